//! An entity as the values of its columns, and back.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::message::payload::Json;
use crate::message::timestamp::Timestamp;
use crate::port::document::{FieldValue, IndexedField};
use crate::schema::field::{Field, FieldType};
use crate::schema::mapping::Mapping;

/// A value of a column: for adapters. See [`Mapping::cells`] for an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// A text without NUL.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A whole number without a sign.
    Unsigned(u64),
    /// A finite number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A UUID.
    Uuid(Uuid),
    /// A moment, from the year 1 on.
    Time(Timestamp),
    /// A list, a struct or any JSON, as text.
    Json(String),
}

/// 0001-01-01T00:00:00Z.
const YEAR_ONE: Timestamp = Timestamp::from_micros(-62_135_596_800_000_000);

impl Mapping {
    /// The values of an entity, in the order of the fields: what an adapter writes.
    ///
    /// ```
    /// use cqrs_core::{Cell, Field, FieldType, Json, Mapping};
    ///
    /// let mapping = Mapping::new(1, vec![
    ///     Field::new("name", FieldType::Text),
    ///     Field::new("born", FieldType::Integer.optional()),
    /// ]);
    /// let body = Json::parse(r#"{"name":"Ada","born":1815}"#)?;
    /// let cells = mapping.cells("tutors", "17", &body)?;
    /// assert_eq!(cells, [Cell::Text("Ada".into()), Cell::Integer(1815)]);
    /// assert_eq!(mapping.body(cells), body);
    /// # Ok::<_, cqrs_core::BoxError>(())
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) naming the field, in a list or struct by its path, when a value is
    /// missing, is not what the mapping says, or belongs to no field; when the id is another one.
    pub fn cells(&self, collection: &str, id: &str, body: &Json) -> Result<Vec<Cell>> {
        let of = Of { collection, id };
        let Ok(mut object) = serde_json::from_str::<BTreeMap<String, &RawValue>>(body.as_str())
        else {
            return Err(of.refuse("body", "is no JSON object"));
        };
        let mut cells = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let cell = match object.remove(&*field.name) {
                Some(raw) => of.cell(field, raw.get())?,
                None if field.may_be_absent() => Cell::Null,
                None => return Err(of.refuse(&field.name, "is missing")),
            };
            if self.id.as_ref().is_some_and(|name| *name == field.name) && !cell.is_id(id) {
                return Err(of.refuse(&field.name, "is not the id that it is stored under"));
            }
            if field.index.is_some() {
                let what = match &cell {
                    Cell::Text(text) if text.len() > IndexedField::MAX_TEXT => {
                        "is longer than 1,024 bytes: too long to index"
                    }
                    Cell::Unsigned(n) if i64::try_from(*n).is_err() => {
                        "is no whole number of 64 bits with a sign: too large to index"
                    }
                    _ => "",
                };
                if !what.is_empty() {
                    return Err(of.refuse(&field.name, what));
                }
            }
            cells.push(cell);
        }
        match object.into_keys().next() {
            Some(name) => Err(of.refuse(
                &name,
                "has no column: declare the collection with it, and a higher version",
            )),
            None => Ok(cells),
        }
    }

    /// The entity with these values, in the order of the fields: what an adapter has read. Times are written as
    /// [`Timestamp`] writes them; what is written from the values of a body is the same entity.
    pub fn body(&self, cells: impl IntoIterator<Item = Cell>) -> Json {
        let mut text = String::from("{");
        for (field, cell) in self.fields.iter().zip(cells) {
            if matches!(cell, Cell::Null) && !field.of.takes_null() {
                continue;
            }
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&Value::String(field.name.clone().into_owned()).to_string());
            text.push(':');
            match cell {
                Cell::Null => text.push_str("null"),
                Cell::Text(value) => text.push_str(&Value::String(value).to_string()),
                Cell::Integer(value) => text.push_str(&value.to_string()),
                Cell::Unsigned(value) => text.push_str(&value.to_string()),
                Cell::Float(value) => text.push_str(&Value::from(value).to_string()),
                Cell::Bool(value) => text.push_str(if value { "true" } else { "false" }),
                Cell::Uuid(value) => text.push_str(&format!("\"{value}\"")),
                Cell::Time(value) => text.push_str(&format!("\"{value}\"")),
                Cell::Json(value) => text.push_str(&value),
            }
        }
        text.push('}');
        Json::trusted(text)
    }
}

impl Field {
    /// Checks a list, a struct or any JSON that is stored: for adapters, where the field says more of it than
    /// before.
    ///
    /// # Errors
    /// As [`Mapping::cells`] has them for one value.
    pub fn check(&self, collection: &str, id: &str, json: &str) -> Result<()> {
        Of { collection, id }.cell(self, json).map(drop)
    }

    /// The error for what is stored and is no value of the field: for adapters.
    #[cold]
    pub fn unreadable(&self, collection: &str, id: &str) -> Error {
        let Self { name, column, of, .. } = self;
        let context = format!(
            "`{name}` of {collection}/{id} is no {of}: repair `{column}` where it is stored"
        );
        let field = Some(name.clone().into_owned());
        Error::new(ErrorKind::Decode { message: collection.to_owned(), field }, context)
    }
}

impl Cell {
    /// Whether it is this, as an id.
    fn is_id(&self, id: &str) -> bool {
        match self {
            Self::Text(text) => text == id,
            Self::Integer(n) => n.to_string() == id,
            Self::Unsigned(n) => n.to_string() == id,
            Self::Uuid(uuid) => uuid.to_string() == id,
            _ => false,
        }
    }

    /// The id of an entity as the value of the field that it is.
    ///
    /// `None`: no entity has it.
    pub fn of_id(of: &FieldType, id: &str) -> Option<Self> {
        let cell = match of.present() {
            FieldType::Integer => Self::Integer(id.parse().ok()?),
            FieldType::Unsigned => Self::Unsigned(id.parse().ok()?),
            FieldType::Uuid => Self::Uuid(id.parse().ok()?),
            _ => Self::Text(id.to_owned()),
        };
        cell.is_id(id).then_some(cell)
    }

    /// A value to find by, as one of the field's. `None`: no entity has it.
    pub fn to_find(of: &FieldType, value: &FieldValue) -> Option<Self> {
        match (of.present(), value) {
            (FieldType::Text, FieldValue::Text(text)) => Some(Self::Text(text.clone())),
            (FieldType::Integer, FieldValue::Integer(n)) => Some(Self::Integer(*n)),
            (FieldType::Unsigned, FieldValue::Integer(n)) => {
                u64::try_from(*n).ok().map(Self::Unsigned)
            }
            (FieldType::Bool, FieldValue::Bool(b)) => Some(Self::Bool(*b)),
            (FieldType::Uuid, FieldValue::Text(text)) => text.parse().ok().map(Self::Uuid),
            (FieldType::Time, FieldValue::Text(text)) => text.parse().ok().map(Self::Time),
            _ => None,
        }
    }
}

/// Whose values are looked at, for errors.
struct Of<'a> {
    collection: &'a str,
    id: &'a str,
}

impl Of<'_> {
    fn refuse(&self, field: &str, what: &str) -> Error {
        let Self { collection, id } = self;
        Error::invalid_field(field, format!("`{field}` of the document {collection}/{id} {what}"))
    }

    fn no(&self, field: &str, of: &FieldType) -> Error {
        self.refuse(field, &format!("is no {of}"))
    }

    /// A value at the top.
    fn cell(&self, field: &Field, raw: &str) -> Result<Cell> {
        let (name, of) = (&*field.name, field.of.present());
        if raw == "null" && !matches!(field.of, FieldType::Json) {
            return match field.may_be_absent() {
                true => Ok(Cell::Null),
                false => Err(self.refuse(name, "is null, which it may not be")),
            };
        }
        let no = || self.no(name, of);
        Ok(match of {
            FieldType::Text => Cell::Text(self.text(name, raw).ok_or_else(no)??),
            FieldType::Integer => Cell::Integer(raw.parse().map_err(|_| no())?),
            FieldType::Unsigned => Cell::Unsigned(raw.parse().map_err(|_| no())?),
            FieldType::Float => {
                let value = serde_json::from_str::<f64>(raw).ok().filter(|f| f.is_finite());
                Cell::Float(value.ok_or_else(no)?)
            }
            FieldType::Bool => Cell::Bool(raw.parse().map_err(|_| no())?),
            FieldType::Uuid => Cell::Uuid(uuid(raw.trim_matches('"')).ok_or_else(no)?),
            FieldType::Time => Cell::Time(time(raw.trim_matches('"')).ok_or_else(no)?),
            FieldType::List(_) | FieldType::Struct(_) | FieldType::Json => {
                let value = serde_json::from_str(raw).map_err(|_| no())?;
                self.check(name, of, &value)?;
                Cell::Json(raw.to_owned())
            }
            // What is present is not optional.
            FieldType::Optional(_) => return Err(no()),
        })
    }

    /// A text; `None`: it is something else.
    fn text(&self, name: &str, raw: &str) -> Option<Result<String>> {
        let text = serde_json::from_str::<String>(raw).ok()?;
        Some(match text.contains('\0') {
            true => Err(self.refuse(name, "holds NUL, which not every database takes")),
            false => Ok(text),
        })
    }

    /// A value within one, at this path.
    fn check(&self, path: &str, of: &FieldType, value: &Value) -> Result<()> {
        let within = |name: &str| format!("{path}.{name}");
        let is_one = match (of, value) {
            (FieldType::Optional(_) | FieldType::Json, Value::Null)
            | (FieldType::Float | FieldType::Json, Value::Number(_))
            | (FieldType::Bool | FieldType::Json, Value::Bool(_)) => true,
            (FieldType::Optional(of), value) => return self.check(path, of, value),
            (FieldType::Text | FieldType::Json, Value::String(text)) => {
                if text.contains('\0') {
                    return Err(self.refuse(path, "holds NUL, which not every database takes"));
                }
                true
            }
            (FieldType::Integer, Value::Number(n)) => n.is_i64(),
            (FieldType::Unsigned, Value::Number(n)) => n.is_u64(),
            (FieldType::Uuid, Value::String(text)) => uuid(text).is_some(),
            (FieldType::Time, Value::String(text)) => time(text).is_some(),
            (FieldType::List(of), Value::Array(list)) => {
                for (n, value) in list.iter().enumerate() {
                    self.check(&within(&n.to_string()), of, value)?;
                }
                true
            }
            (FieldType::Json, Value::Array(list)) => {
                for (n, value) in list.iter().enumerate() {
                    self.check(&within(&n.to_string()), of, value)?;
                }
                true
            }
            (FieldType::Json, Value::Object(object)) => {
                for (name, value) in object {
                    if name.contains('\0') {
                        let what = "has a name with NUL, which not every database takes";
                        return Err(self.refuse(path, what));
                    }
                    self.check(&within(name), of, value)?;
                }
                true
            }
            (FieldType::Struct(fields), Value::Object(object)) => {
                for field in fields {
                    let name = within(&field.name);
                    match object.get(&*field.name) {
                        None | Some(Value::Null) if field.may_be_absent() => {}
                        None => return Err(self.refuse(&name, "is missing")),
                        Some(value) => self.check(&name, &field.of, value)?,
                    }
                }
                let known = |name: &&String| fields.iter().any(|field| field.name == **name);
                if let Some(name) = object.keys().find(|name| !known(name)) {
                    return Err(self.refuse(&within(name), "belongs to no field"));
                }
                true
            }
            _ => false,
        };
        if is_one { Ok(()) } else { Err(self.no(path, of)) }
    }
}

/// A UUID as every database writes it.
fn uuid(text: &str) -> Option<Uuid> {
    let uuid = text.parse::<Uuid>().ok()?;
    (uuid.to_string() == text).then_some(uuid)
}

/// A moment from the year 1 on, in whole microseconds: no store has finer ones.
fn time(text: &str) -> Option<Timestamp> {
    let exact = text.parse::<jiff::Timestamp>().ok()?;
    let time = text.parse::<Timestamp>().ok()?;
    (time >= YEAR_ONE && exact.subsec_nanosecond() % 1_000 == 0).then_some(time)
}
