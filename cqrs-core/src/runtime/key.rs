//! Keys: what is kept in order, and which partition a key is in.

use sha2::{Digest, Sha256};

/// One partition of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) index: u32,
    pub(crate) of: u32,
}

impl Slice {
    /// Whether a key is in it.
    pub(crate) fn has(self, key: &str) -> bool {
        self.of <= 1 || partition_of(key, self.of) == self.index
    }
}

/// The partition of a key: the same on every node, in every version of this crate. The first 64 bits
/// of its SHA-256, modulo the number of partitions.
pub(crate) fn partition_of(key: &str, partitions: u32) -> u32 {
    let digest = Sha256::digest(key.as_bytes());
    let first = digest.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    (first % u64::from(partitions.max(1))) as u32
}

/// Bytes of a lane at most: stores keep it beside what is set aside.
const LONGEST: usize = 512;

/// The key of something of a tenant. Tenants with names like keys share a lane at worst.
pub(crate) fn of_tenant(tenant: Option<&str>, key: &str) -> String {
    lane(match tenant {
        None => key.to_owned(),
        Some(tenant) => format!("{tenant}/{key}"),
    })
}

/// A lane that stores take: one that is too long is cut, and told apart by a digest.
pub(crate) fn lane(text: String) -> String {
    if text.len() <= LONGEST {
        return text;
    }
    let digest = Sha256::digest(text.as_bytes());
    let mut cut = LONGEST - 33;
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut lane = format!("{}~", &text[..cut]);
    lane.extend(digest.iter().take(16).map(|byte| format!("{byte:02x}")));
    lane
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down: another hash would send every key to another partition, in the middle of work.
    #[test]
    fn the_partition_of_a_key_never_changes() {
        let partitions: Vec<u32> =
            ["", "a", "account-17", "é"].map(|key| partition_of(key, 8)).into();
        assert_eq!(partitions, [4, 2, 7, 3]);
    }

    #[test]
    fn a_lane_is_bounded_and_lanes_that_differ_late_stay_apart() {
        let long = "é".repeat(1_000);
        let (one, other) = (lane(format!("{long}1")), lane(format!("{long}2")));
        assert!(one.len() <= LONGEST && other.len() <= LONGEST);
        assert_ne!(one, other);
        assert_eq!(lane("short".to_owned()), "short");
    }

    #[test]
    fn keys_spread_over_all_partitions() {
        let mut counts = [0; 8];
        for n in 0..8_000 {
            counts[partition_of(&format!("key-{n}"), 8) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
