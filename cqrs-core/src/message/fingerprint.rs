//! A short digest that tells whether two contents under one id are the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The first 128 bits of a SHA-256: tells a repeat from another content under the same id (P5).
///
/// ```
/// use cqrs_core::Fingerprint;
///
/// assert_eq!(Fingerprint::of(b"{}"), Fingerprint::of(b"{}"));
/// assert_ne!(Fingerprint::of(b"{}"), Fingerprint::of(b"[]"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Fingerprinter::new().part(bytes).finish()
    }

    /// A fingerprint that a store kept.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The fingerprint of a body. A JSON body counts by what it says, not by the order of its keys, which
/// a hash map changes from one encoding to the next, nor by its white space. Numbers count as they
/// are written.
pub(crate) fn canonical(body: &[u8]) -> Fingerprint {
    let mut fingerprint = Fingerprinter::new();
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(value) if add_json(&mut fingerprint, value.get()) => {}
        _ => return Fingerprint::of(body),
    }
    fingerprint.finish()
}

/// False: it is nested too deep.
fn add_json(fingerprint: &mut Fingerprinter, value: &str) -> bool {
    match value.as_bytes().first() {
        Some(b'{') => {
            // Of equal keys the last counts, as it does for serde's maps.
            let Ok(object) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(value)
            else {
                return false;
            };
            fingerprint.text("{");
            fingerprint.number(object.len() as u64);
            object.iter().all(|(key, value)| {
                fingerprint.text(key);
                add_json(fingerprint, value.get())
            })
        }
        Some(b'[') => {
            let Ok(array) = serde_json::from_str::<Vec<&RawValue>>(value) else { return false };
            fingerprint.text("[");
            fingerprint.number(array.len() as u64);
            array.iter().all(|value| add_json(fingerprint, value.get()))
        }
        Some(b'"') => {
            let Ok(text) = serde_json::from_str::<Cow<'_, str>>(value) else { return false };
            fingerprint.text("\"");
            fingerprint.text(&text);
            true
        }
        _ => {
            fingerprint.text(value);
            true
        }
    }
}

/// Feeds parts to a digest, each with its length, so that no two lists of parts look alike.
pub(crate) struct Fingerprinter(Sha256);

impl Fingerprinter {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.add(text.as_bytes());
    }

    /// A list: its length, then its items.
    pub(crate) fn each<'a, T: 'a>(&mut self, items: &'a [T], add: impl Fn(&mut Self, &'a T)) {
        self.number(items.len() as u64);
        for item in items {
            add(self, item);
        }
    }

    /// Whether it is there, then what it is.
    pub(crate) fn option<T>(&mut self, item: Option<T>, add: impl Fn(&mut Self, T)) {
        self.number(u64::from(item.is_some()));
        if let Some(item) = item {
            add(self, item);
        }
    }

    pub(crate) fn number(&mut self, n: u64) {
        self.0.update(n.to_le_bytes());
    }

    pub(crate) fn part(mut self, bytes: &[u8]) -> Self {
        self.add(bytes);
        self
    }

    pub(crate) fn finish(self) -> Fingerprint {
        let digest = self.0.finalize();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Fingerprint(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_counts_by_what_it_says() {
        let same = [
            r#"{"a":[1,{"x":2,"y":"\u0041"}],"b":null}"#,
            r#" { "b" : null, "a":[ 1 ,{"y":"A", "x":2}]}"#,
        ];
        assert_eq!(canonical(same[0].as_bytes()), canonical(same[1].as_bytes()));
        let different = [
            "1",
            "1.0",
            "\"1\"",
            "[1]",
            "[[1]]",
            "{\"1\":1}",
            "[]",
            "{}",
            "null",
            "no json",
            "[1,2]",
            "[2,1]",
            "340282366920938463463374607431768211454",
            "340282366920938463463374607431768211455",
        ];
        for (n, one) in different.iter().enumerate() {
            for other in &different[..n] {
                assert_ne!(canonical(one.as_bytes()), canonical(other.as_bytes()), "{one} {other}");
            }
        }
    }

    #[test]
    fn deep_and_broken_bodies_have_a_fingerprint() {
        for body in ["[".repeat(10_000), "{\"a\":".repeat(10_000), "\u{1}".into()] {
            assert_eq!(canonical(body.as_bytes()), canonical(body.as_bytes()));
        }
        let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
        assert_ne!(canonical(deep.as_bytes()), canonical(b"1"));
    }
}
