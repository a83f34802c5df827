//! Values of entities in BSON: what the driver's own collections read as the same entities.

use std::fmt::Write as _;

use bson::raw::{CString, RawBson, RawBsonRef};
use bson::spec::BinarySubtype;
use bson::{Decimal128, RawArrayBuf, RawDocumentBuf};
use cqrs_core::{Cell, FieldType};
use serde_json::Value;
use uuid::Uuid;

use crate::row::{self, time_of};

/// Levels of a value within one. The server takes 100 in a document.
const DEEPEST: usize = 90;

/// A value as a document has it; `None`: none can.
pub(super) fn to_bson(of: &FieldType, cell: &Cell) -> Option<RawBson> {
    Some(match cell {
        Cell::Null => RawBson::Null,
        Cell::Text(text) => RawBson::String(text.clone()),
        Cell::Integer(n) => RawBson::Int64(*n),
        Cell::Unsigned(n) => unsigned(*n)?,
        Cell::Float(n) => RawBson::Double(*n),
        Cell::Bool(b) => RawBson::Boolean(*b),
        Cell::Uuid(uuid) => RawBson::Binary(row::uuid(*uuid)),
        // With all digits, so that the order of the texts is that of the times. Dates have milliseconds only.
        Cell::Time(time) => RawBson::String(format!("{time:.6}")),
        Cell::Json(text) => of_json(of, &serde_json::from_str(text).ok()?, DEEPEST)?,
    })
}

/// A whole number; one that is too large for 64 bits with a sign is a decimal one.
fn unsigned(n: u64) -> Option<RawBson> {
    Some(match i64::try_from(n) {
        Ok(n) => RawBson::Int64(n),
        Err(_) => RawBson::Decimal128(n.to_string().parse::<Decimal128>().ok()?),
    })
}

/// JSON as the field has it.
fn of_json(of: &FieldType, value: &Value, deepest: usize) -> Option<RawBson> {
    let (of, deepest) = (of.present(), deepest.checked_sub(1)?);
    Some(match value {
        Value::Null => RawBson::Null,
        Value::Bool(b) => RawBson::Boolean(*b),
        Value::String(text) => match of {
            FieldType::Uuid => RawBson::Binary(row::uuid(text.parse().ok()?)),
            _ => RawBson::String(text.clone()),
        },
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            _ if matches!(of, FieldType::Float) => RawBson::Double(n.as_f64()?),
            (Some(n), _) => RawBson::Int64(n),
            (None, Some(n)) => unsigned(n)?,
            (None, None) => RawBson::Double(n.as_f64()?),
        },
        Value::Array(list) => {
            let each = each_of(of);
            let mut array = RawArrayBuf::new();
            for value in list {
                array.push(of_json(each, value, deepest)?);
            }
            RawBson::Array(array)
        }
        Value::Object(object) => {
            let mut document = RawDocumentBuf::new();
            for (name, value) in object {
                let value = of_json(field_of(of, name), value, deepest)?;
                document.append(CString::try_from(name.as_str()).ok()?, value);
            }
            RawBson::Document(document)
        }
    })
}

/// What the values of a list are.
fn each_of(of: &FieldType) -> &FieldType {
    match of {
        FieldType::List(each) => each,
        _ => &FieldType::Json,
    }
}

/// What the values of a field within a struct are.
fn field_of<'t>(of: &'t FieldType, name: &str) -> &'t FieldType {
    let field = match of {
        FieldType::Struct(fields) => fields.iter().find(|field| field.name == name),
        _ => None,
    };
    field.map_or(&FieldType::Json, |field| &field.of)
}

/// A value out of a document; `None`: it is none of the field's. What a shell writes as another type of number
/// is taken as well.
pub(super) fn from_bson(of: &FieldType, value: RawBsonRef<'_>) -> Option<Cell> {
    if value == RawBsonRef::Null {
        return Some(match of {
            FieldType::Json => Cell::Json("null".to_owned()),
            _ => Cell::Null,
        });
    }
    Some(match of.present() {
        FieldType::Text => Cell::Text(value.as_str()?.to_owned()),
        FieldType::Integer => Cell::Integer(match value {
            RawBsonRef::Int64(n) => n,
            RawBsonRef::Int32(n) => n.into(),
            RawBsonRef::Double(n) if n.fract() == 0.0 && n.abs() < 9.0e15 => n as i64,
            _ => return None,
        }),
        FieldType::Unsigned => Cell::Unsigned(match value {
            RawBsonRef::Int64(n) => n.try_into().ok()?,
            RawBsonRef::Int32(n) => n.try_into().ok()?,
            RawBsonRef::Double(n) if n.fract() == 0.0 && (0.0..9.0e15).contains(&n) => n as u64,
            RawBsonRef::Decimal128(n) => n.to_string().parse().ok()?,
            _ => return None,
        }),
        FieldType::Float => Cell::Float(match value {
            RawBsonRef::Double(n) if n.is_finite() => n,
            RawBsonRef::Int64(n) => n as f64,
            RawBsonRef::Int32(n) => n.into(),
            _ => return None,
        }),
        FieldType::Bool => Cell::Bool(value.as_bool()?),
        FieldType::Uuid => Cell::Uuid(match value {
            RawBsonRef::Binary(of) if of.subtype == BinarySubtype::Uuid => {
                Uuid::from_slice(of.bytes).ok()?
            }
            _ => value.as_str()?.parse().ok()?,
        }),
        FieldType::Time => Cell::Time(match value {
            RawBsonRef::DateTime(date) => time_of(date),
            _ => value.as_str()?.parse().ok()?,
        }),
        FieldType::List(_) | FieldType::Struct(_) | FieldType::Json => {
            let mut json = String::new();
            to_json(of.present(), value, &mut json)?;
            Cell::Json(json)
        }
        FieldType::Optional(_) => return None,
    })
}

/// A value as JSON, as the field has it; `None`: it has something that JSON has not.
fn to_json(of: &FieldType, value: RawBsonRef<'_>, json: &mut String) -> Option<()> {
    let of = of.present();
    match value {
        RawBsonRef::Null => json.push_str("null"),
        RawBsonRef::Boolean(b) => json.push_str(if b { "true" } else { "false" }),
        RawBsonRef::Int64(n) => write!(json, "{n}").ok()?,
        RawBsonRef::Int32(n) => write!(json, "{n}").ok()?,
        // What a shell writes for a whole number.
        RawBsonRef::Double(n)
            if matches!(of, FieldType::Integer | FieldType::Unsigned)
                && n.fract() == 0.0
                && n.abs() < 9.0e15 =>
        {
            write!(json, "{}", n as i64).ok()?;
        }
        RawBsonRef::Double(n) => write!(json, "{}", serde_json::Number::from_f64(n)?).ok()?,
        RawBsonRef::Decimal128(n) => {
            let n: u64 = n.to_string().parse().ok()?;
            write!(json, "{n}").ok()?;
        }
        RawBsonRef::String(text) => json.push_str(&Value::from(text).to_string()),
        RawBsonRef::DateTime(date) => write!(json, "\"{}\"", time_of(date)).ok()?,
        RawBsonRef::Binary(binary) if binary.subtype == BinarySubtype::Uuid => {
            write!(json, "\"{}\"", Uuid::from_slice(binary.bytes).ok()?).ok()?;
        }
        RawBsonRef::Array(array) => {
            let each = each_of(of);
            json.push('[');
            for (n, value) in array.into_iter().enumerate() {
                if n > 0 {
                    json.push(',');
                }
                to_json(each, value.ok()?, json)?;
            }
            json.push(']');
        }
        RawBsonRef::Document(document) => {
            json.push('{');
            for (n, element) in document.iter().enumerate() {
                let (name, value) = element.ok()?;
                if n > 0 {
                    json.push(',');
                }
                json.push_str(&Value::from(name.as_str()).to_string());
                json.push(':');
                to_json(field_of(of, name.as_str()), value, json)?;
            }
            json.push('}');
        }
        _ => return None,
    }
    Some(())
}
