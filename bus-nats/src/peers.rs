//! The connections that have members of a group: which there are, and which part is whose.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::subjects::Part;

/// How often a connection tells of itself.
pub(crate) const TELLS: Duration = Duration::from_millis(500);

/// After so much silence a connection is left out. It does not lose what it owns by that.
const SILENT: Duration = Duration::from_secs(2);

/// What a connection tells the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) id: String,
    /// Whether it has members.
    pub(crate) here: bool,
    /// How many messages they would take beside those that they hold.
    #[serde(default)]
    pub(crate) room: u32,
}

/// The other connections.
#[derive(Debug, Default)]
pub(crate) struct Peers(BTreeMap<String, Peer>);

#[derive(Debug)]
struct Peer {
    heard: Instant,
    room: u32,
}

impl Peers {
    /// Whether this one is new.
    pub(crate) fn hear(&mut self, told: &Told, now: Instant) -> bool {
        match told.here {
            true => {
                let peer = Peer { heard: now, room: told.room };
                self.0.insert(told.id.clone(), peer).is_none()
            }
            false => {
                self.0.remove(&told.id);
                false
            }
        }
    }

    /// Leaves out those that are silent.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.0.retain(|_, peer| now.duration_since(peer.heard) < SILENT);
    }

    /// One that takes a message more, by what it told last.
    pub(crate) fn with_room(&mut self) -> Option<&str> {
        let (id, peer) = self.0.iter_mut().max_by_key(|(_, peer)| peer.room)?;
        if peer.room == 0 {
            return None;
        }
        peer.room -= 1;
        Some(id)
    }

    /// Whether a part is that of `me`, when all have the same number of them as far as possible.
    pub(crate) fn is_mine(&self, me: &str, part: Part) -> bool {
        let before = self.0.keys().filter(|id| id.as_str() < me).count();
        part.number() % (self.0.len() + 1) == before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_one_connections_and_all_have_as_many() {
        let now = Instant::now();
        let told = |id: &str| Told { id: id.to_owned(), here: true, room: 1 };
        let ids = ["a", "b", "c"];
        let mine = |me: &str| {
            let mut peers = Peers::default();
            ids.iter().filter(|id| **id != me).for_each(|id| assert!(peers.hear(&told(id), now)));
            Part::all().filter(|part| peers.is_mine(me, *part)).collect::<Vec<_>>()
        };
        let all = ids.map(mine);
        assert!(all.iter().all(|mine| (1..=2).contains(&mine.len())), "{all:?}");
        let mut all = all.concat();
        all.sort();
        assert_eq!(all, Part::all().collect::<Vec<_>>());
    }

    #[test]
    fn who_is_silent_or_leaves_is_left_out() {
        let now = Instant::now();
        let mut peers = Peers::default();
        let mine = |peers: &Peers| Part::all().filter(|part| peers.is_mine("b", *part)).count();
        assert!(peers.hear(&Told { id: "a".into(), here: true, room: 1 }, now));
        assert!(!peers.hear(&Told { id: "a".into(), here: true, room: 1 }, now));
        assert_eq!(mine(&peers), 2);
        peers.expire(now + SILENT);
        assert_eq!(mine(&peers), Part::count());
        peers.hear(&Told { id: "a".into(), here: true, room: 1 }, now);
        assert_eq!(
            (peers.with_room().map(str::to_owned), peers.with_room()),
            (Some("a".into()), None)
        );
        peers.hear(&Told { id: "a".into(), here: false, room: 0 }, now);
        assert_eq!(mine(&peers), Part::count());
    }
}
