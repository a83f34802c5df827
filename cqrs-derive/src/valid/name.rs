//! Names and versions, as they are recorded and sent.

use quote::ToTokens;
use syn::{LitInt, LitStr};

use crate::fault::Faults;

/// Bytes that a name has at most.
const LIMIT: usize = 256;

/// Checks a name: segments of lower-case letters, digits and `_`, joined by dots.
pub(crate) fn name(literal: &LitStr, faults: &mut Faults) {
    let text = literal.value();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.is_empty() {
        faults.at(literal, "a name has at least one character");
    } else if text.len() > LIMIT {
        faults.at(literal, format!("a name has at most {LIMIT} bytes, not {}", text.len()));
    } else if let Some(wrong) = text.chars().find(|&c| c != '.' && !plain(c)) {
        let message = format!(
            "a name has lower-case letters, digits, `_` and dots, such as \
             `learning.create_course`: {wrong:?} is none of them"
        );
        faults.at(literal, message);
    } else if text.split('.').any(str::is_empty) {
        faults.at(literal, "every dot of a name stands between two segments");
    }
}

/// Bytes that the name of a table has at most, and that of a column.
const TABLE: usize = 40;
const COLUMN: usize = 48;

/// Checks the name of the collection of an entity: each database takes it as that of a table.
pub(crate) fn table(literal: &LitStr, faults: &mut Faults) {
    stored("a collection with a schema", literal, &literal.value(), TABLE, faults);
}

/// Checks the name of a column.
pub(crate) fn column(at: impl ToTokens, text: &str, faults: &mut Faults) {
    stored("a column", at, text, COLUMN, faults);
}

/// Names that each database takes, and that mean the same in each.
fn stored(what: &str, at: impl ToTokens, text: &str, most: usize, faults: &mut Faults) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.len() > most {
        faults.at(at, format!("the name of {what} has at most {most} bytes, not {}", text.len()));
    } else if !text.starts_with(|c: char| c.is_ascii_alphabetic())
        || !text.chars().all(plain)
        || text.contains("__")
    {
        let message = format!(
            "the name of {what} is a letter, then letters, digits and single `_`: `{text}` is not"
        );
        faults.at(at, message);
    }
}

/// The version that a literal says: a whole number from 1.
pub(crate) fn version(literal: &LitInt, faults: &mut Faults) -> u16 {
    match literal.base10_parse::<u16>() {
        Ok(version) if version >= 1 => version,
        _ => {
            faults.at(literal, "a version is a whole number from 1 to 65535");
            1
        }
    }
}
