//! Values of columns as SQLite has them.

use cqrs_core::{Cell, FieldType};
use rusqlite::types::{Value, ValueRef};
use serde_json::value::RawValue;

/// Digits of the largest whole number without a sign.
const DIGITS: usize = 20;

pub(super) fn to_sql(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) | Cell::Json(text) => Value::Text(text.clone()),
        Cell::Integer(n) => Value::Integer(*n),
        Cell::Unsigned(n) => match i64::try_from(*n) {
            Ok(n) => Value::Integer(n),
            Err(_) => Value::Text(format!("{n:0DIGITS$}")),
        },
        Cell::Float(n) => Value::Real(*n),
        Cell::Bool(b) => Value::Integer((*b).into()),
        Cell::Uuid(uuid) => Value::Text(uuid.to_string()),
        // With all digits, so that the order of the texts is that of the times.
        Cell::Time(time) => Value::Text(format!("{time:.6}")),
    }
}

/// The value of a column; `None`: it is none of the field's. People edit files.
pub(super) fn from_sql(of: &FieldType, value: ValueRef<'_>) -> Option<Cell> {
    let text = || value.as_str().ok();
    if matches!(value, ValueRef::Null) {
        return Some(Cell::Null);
    }
    Some(match of.present() {
        FieldType::Text => Cell::Text(text()?.to_owned()),
        FieldType::Integer => Cell::Integer(value.as_i64().ok()?),
        FieldType::Unsigned => Cell::Unsigned(match value {
            ValueRef::Integer(n) => u64::try_from(n).ok()?,
            _ => text()?.parse().ok()?,
        }),
        FieldType::Float => Cell::Float(value.as_f64().ok().filter(|n| n.is_finite())?),
        FieldType::Bool => Cell::Bool(match value.as_i64().ok()? {
            0 => false,
            1 => true,
            _ => return None,
        }),
        FieldType::Uuid => Cell::Uuid(text()?.parse().ok()?),
        FieldType::Time => Cell::Time(text()?.parse().ok()?),
        FieldType::List(_) | FieldType::Struct(_) | FieldType::Json => {
            Cell::Json(serde_json::from_str::<&RawValue>(text()?).ok()?.get().to_owned())
        }
        FieldType::Optional(_) => return None,
    })
}
