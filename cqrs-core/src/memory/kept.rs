//! What the memory store keeps for a time: ids of commits and marks of the inbox.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// When a map was last looked through for what is too old.
#[derive(Debug, Default)]
pub(super) struct Kept {
    forget_at: usize,
}

impl Kept {
    /// Forgets old entries once as many came as were kept the last time: a constant effort for each
    /// commit, on average.
    pub(super) fn sweep<K, V>(&mut self, map: &mut HashMap<K, V>, is_kept: impl Fn(&V) -> bool)
    where
        K: Eq + Hash,
    {
        if map.len() >= self.forget_at.max(1024) {
            map.retain(|_, value| is_kept(value));
            self.forget_at = 1024.max(map.len() * 2);
        }
    }
}

/// How long something is kept when nobody says otherwise.
pub(super) const COMMIT_IDS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
pub(super) const INBOX_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
