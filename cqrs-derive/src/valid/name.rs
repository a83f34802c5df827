//! Names and versions, as they are recorded and sent.

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
