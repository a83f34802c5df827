//! The neutral description of entities: what a type looks like where it is stored.

pub(crate) mod cell;
pub(crate) mod entity;
pub(crate) mod field;
pub(crate) mod mapping;
mod types;

use crate::schema::field::FieldType;

/// A type that can be described to a store: texts, numbers, booleans, UUIDs, times, lists, options and
/// maps of such, and whatever derives it.
///
/// ```
/// use cqrs_core::{FieldType, Schema};
///
/// assert_eq!(String::field_type(), FieldType::Text);
/// assert_eq!(<Option<u32>>::field_type(), FieldType::Integer.optional());
/// assert_eq!(<Vec<bool>>::field_type(), FieldType::Bool.list());
/// ```
///
/// A type of one's own derives it with `cqrs-derive`, or says what it looks like in JSON:
///
/// ```
/// use cqrs_core::{FieldType, Schema};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(transparent)]
/// struct Email(String);
///
/// impl Schema for Email {
///     fn field_type() -> FieldType { FieldType::Text }
/// }
/// ```
///
/// What it says must be what the type's `Serialize` writes: a value that is otherwise is refused when
/// it is to be stored.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be described to a store",
    label = "it has no `Schema`",
    note = "derive `Schema` for it, or write `#[schema(as = Type)]` at the field, with the type that it looks like in JSON: `as = String`, `as = serde_json::Value`"
)]
pub trait Schema {
    /// What its values are.
    fn field_type() -> FieldType;
}

/// A type whose values documents can be found by: texts, whole numbers, booleans, UUIDs and times, and
/// options of them.
///
/// ```
/// use cqrs_core::Indexable;
///
/// fn indexed<T: Indexable>() {}
/// indexed::<Option<String>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "documents are not found by a `{Self}`",
    label = "it cannot be indexed",
    note = "texts, whole numbers, booleans, UUIDs and times can, and options of them; a type of your own implements `Indexable`"
)]
pub trait Indexable: Schema {}
