//! A short digest that tells whether two contents under one id are the same.

use std::fmt;

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
