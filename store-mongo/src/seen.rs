//! How many events streams have at least: what was read of them, or written. It stays true whoever writes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cqrs_core::{StreamId, Version};

/// Streams that are remembered; with more, all are forgotten.
const REMEMBERED: usize = 65_536;

/// Versions that were seen, and are agreed upon by most members.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<HashMap<StreamId, Version>>);

impl Seen {
    /// The highest version that was seen; 0: none.
    pub(crate) fn version(&self, stream: &StreamId) -> Version {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(stream).copied().unwrap_or_default()
    }

    pub(crate) fn note(&self, stream: &StreamId, version: Version) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.get_mut(stream) {
            *known = version.max(*known);
            return;
        }
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(stream.clone(), version);
    }

    /// The streams may have been made anew.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
