//! What kind of item a derive takes.

use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Type};

use crate::fault::Faults;
use crate::plain;

/// Refuses type parameters and lifetimes: `what` names one thing, and has one name.
pub(crate) fn not_generic(input: &DeriveInput, what: &str, faults: &mut Faults) {
    if let Some(parameter) = input.generics.params.first() {
        let message = format!("{what} has one name, so its type has no parameters");
        faults.at(parameter, message);
    }
}

/// Refuses unions.
pub(crate) fn not_union(input: &DeriveInput, what: &str, faults: &mut Faults) {
    if let Data::Union(data) = &input.data {
        faults.at(data.union_token, format!("{what} is a struct or an enum, not a union"));
    }
}

/// What a type is, as far as its name tells. What a name stands for, only the compiler knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    /// A truth value or a character.
    Value,
    Text,
    List,
    Map,
}

/// What a type is. A pointer is what it points to.
pub(crate) fn kind(ty: &Type) -> Option<Kind> {
    match plain::ty(ty) {
        Type::Reference(reference) => return kind(&reference.elem),
        Type::Array(_) | Type::Slice(_) => return Some(Kind::List),
        _ => {}
    }
    let last = plain::last_segment(ty)?;
    Some(match last.ident.to_string().as_str() {
        "String" | "str" => Kind::Text,
        "bool" | "char" => Kind::Value,
        "Vec" | "VecDeque" | "HashSet" | "BTreeSet" => Kind::List,
        "HashMap" | "BTreeMap" => Kind::Map,
        "Box" | "Rc" | "Arc" | "Cow" => return kind(plain::argument(last)?),
        name if is_number(name) => Kind::Number,
        _ => return None,
    })
}

/// Whether this is what Rust calls a number.
fn is_number(name: &str) -> bool {
    let size = name.strip_prefix(['u', 'i', 'f']).unwrap_or_default();
    size == "size" || size.parse::<u8>().is_ok_and(|size| size.is_power_of_two() && size >= 8)
}

/// Refuses an event whose body would have no field.
pub(crate) fn not_bare(fields: &Fields, faults: &mut Faults) {
    if let Fields::Unnamed(unnamed) = fields
        && let [only] = Vec::from_iter(&unnamed.unnamed)[..]
        && is_bare(&only.ty)
    {
        faults.near(&unnamed.span(), "name this field: the body of an event is an object");
    }
}

/// Whether a value has no fields.
fn is_bare(ty: &Type) -> bool {
    if let Type::Tuple(_) = plain::ty(ty) {
        return true;
    }
    match plain::last_segment(ty) {
        Some(last) if last.ident == "Option" => plain::argument(last).is_some_and(is_bare),
        _ => kind(ty).is_some_and(|kind| kind != Kind::Map),
    }
}

/// Refuses fields that the log could not tell apart in a later version.
pub(crate) fn recordable(fields: &Fields, faults: &mut Faults) {
    if let Fields::Unnamed(unnamed) = fields
        && unnamed.unnamed.len() != 1
    {
        let message = "name these fields: their names are what a later version tells them apart by";
        faults.near(&unnamed.span(), message);
    }
}
