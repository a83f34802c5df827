//! A field, and what its values are.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What the values of a field are. See [`Schema`](crate::Schema) for an example.
///
/// Adapters have a column for each of the plain ones, and keep lists and structs as what their database
/// has for such values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text without NUL, which not every database takes.
    Text,
    /// A whole number of 64 bits, with a sign.
    Integer,
    /// A whole number of 64 bits, without a sign.
    Unsigned,
    /// A number that is finite, of double precision.
    Float,
    /// True or false.
    Bool,
    /// A UUID, in JSON as text in lower case with hyphens.
    Uuid,
    /// A moment in microseconds from the year 1 on, in JSON as RFC 3339. It comes back as the same
    /// moment, in UTC.
    Time,
    /// One of these, or `null`.
    Optional(Box<FieldType>),
    /// Several of these.
    List(Box<FieldType>),
    /// Fields of its own.
    Struct(Vec<Field>),
    /// Any JSON.
    Json,
}

impl FieldType {
    /// One of these, or `null`. What already may be `null` stays as it is.
    #[must_use]
    pub fn optional(self) -> Self {
        match self {
            Self::Optional(_) => self,
            other => Self::Optional(Box::new(other)),
        }
    }

    /// Several of these.
    #[must_use]
    pub fn list(self) -> Self {
        Self::List(Box::new(self))
    }

    /// A struct with fields of its own: what a derived [`Schema`](crate::Schema) says. `name` tells structs
    /// apart: one within itself is [`Json`](Self::Json) there.
    pub fn structure(name: &'static str, fields: impl FnOnce() -> Vec<Field>) -> Self {
        thread_local! {
            static INSIDE: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
        }
        if INSIDE.with_borrow(|inside| inside.contains(&name)) {
            return Self::Json;
        }
        INSIDE.with_borrow_mut(|inside| inside.push(name));
        let fields = fields();
        INSIDE.with_borrow_mut(Vec::pop);
        Self::Struct(fields)
    }

    /// The fields of a struct; none of what is no struct.
    pub fn into_fields(self) -> Vec<Field> {
        match self {
            Self::Struct(fields) => fields,
            _ => Vec::new(),
        }
    }

    /// What it is where it is not `null`.
    pub fn present(&self) -> &Self {
        match self {
            Self::Optional(of) => of.present(),
            other => other,
        }
    }

    /// Whether it may be `null` in place of a value. The `null` of [`Json`](Self::Json) is a value.
    pub fn takes_null(&self) -> bool {
        matches!(self, Self::Optional(_))
    }

    /// Whether it is a column of its own kind in each database: neither a list nor a struct nor any JSON.
    pub fn is_plain(&self) -> bool {
        !matches!(self.present(), Self::List(_) | Self::Struct(_) | Self::Json)
    }

    /// Whether documents can be found by it.
    pub fn is_indexable(&self) -> bool {
        self.is_plain() && !matches!(self.present(), Self::Float)
    }

    /// Whether some of it is any JSON, whose numbers must stay as they are written.
    pub fn holds_any_json(&self) -> bool {
        match self {
            Self::Json => true,
            Self::Optional(of) | Self::List(of) => of.holds_any_json(),
            Self::Struct(fields) => fields.iter().any(|field| field.of.holds_any_json()),
            _ => false,
        }
    }

    /// Whether it is the same, in whatever order the fields of its structs are.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Optional(one), Self::Optional(other)) | (Self::List(one), Self::List(other)) => {
                one.is_same(other)
            }
            (Self::Struct(one), Self::Struct(other)) => {
                one.len() == other.len()
                    && one.iter().all(|field| other.iter().any(|other| field.is_same(other)))
            }
            _ => self == other,
        }
    }

    /// Whether each value of the other one is one of these, as JSON.
    pub(crate) fn takes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json, _) => true,
            (Self::Optional(new), old) => new.takes(old.present()),
            (_, Self::Optional(_)) => false,
            (Self::List(new), Self::List(old)) => new.takes(old),
            (Self::Struct(new), Self::Struct(old)) => {
                let named = |of: &[Field], name: &str| of.iter().position(|f| f.name == name);
                old.iter().all(|field| named(new, &field.name).is_some())
                    && new.iter().all(|field| match named(old, &field.name) {
                        Some(n) => {
                            field.of.takes(&old[n].of) && (field.may_miss || !old[n].may_miss)
                        }
                        None => field.may_be_absent(),
                    })
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Integer => f.write_str("whole number of 64 bits"),
            Self::Unsigned => f.write_str("whole number of 64 bits without a sign"),
            Self::Float => f.write_str("number"),
            Self::Bool => f.write_str("boolean"),
            Self::Uuid => f.write_str("UUID in lower case with hyphens"),
            Self::Time => f.write_str("time in RFC 3339, from the year 1 on, in microseconds"),
            Self::Optional(of) => of.fmt(f),
            Self::List(_) => f.write_str("list"),
            Self::Struct(_) => f.write_str("object"),
            Self::Json => f.write_str("JSON"),
        }
    }
}

/// A field of an entity, or of a struct within one. See [`Mapping`](crate::Mapping) for an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// What it is called in JSON.
    pub name: Cow<'static, str>,
    /// What it is called in the database, at the top of an entity.
    pub column: Cow<'static, str>,
    /// What its values are.
    pub of: FieldType,
    /// Whether JSON may be without it, which is another thing than `null`.
    pub may_miss: bool,
    /// Whether entities are found by it, at the top of one.
    pub index: Option<Index>,
}

/// How a [`Field`] is indexed. See [`Mapping`](crate::Mapping) for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Index {
    /// Several may share a value.
    Plain,
    /// No two of a tenant share a value.
    Unique,
}

impl Field {
    /// A field under one name.
    pub fn new(name: impl Into<Cow<'static, str>>, of: FieldType) -> Self {
        let name = name.into();
        Self { column: name.clone(), name, of, may_miss: false, index: None }
    }

    /// Under another name in the database.
    #[must_use]
    pub fn column(mut self, column: impl Into<Cow<'static, str>>) -> Self {
        self.column = column.into();
        self
    }

    /// JSON may be without it.
    #[must_use]
    pub fn may_miss(mut self) -> Self {
        self.may_miss = true;
        self
    }

    /// Entities are found by it.
    #[must_use]
    pub fn indexed(mut self) -> Self {
        self.index = Some(Index::Plain);
        self
    }

    /// Entities are found by it, and no two of a tenant share a value.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.index = Some(Index::Unique);
        self
    }

    /// Whether it is the same, in whatever order the fields of its structs are.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let Self { name, column, of, may_miss, index } = self;
        *name == other.name
            && *column == other.column
            && of.is_same(&other.of)
            && *may_miss == other.may_miss
            && *index == other.index
    }

    /// Whether an entity may have no value there.
    pub fn may_be_absent(&self) -> bool {
        self.may_miss || self.of.takes_null()
    }
}
