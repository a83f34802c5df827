//! The views that a partition has in its hands: read once, kept in memory within bounds, and written
//! when a batch of events is folded.

use std::borrow::{Borrow, Cow};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::port::Version;
use crate::port::document::DocumentKey;

/// What a view costs beside its body, roughly: its key, its places in maps.
const OVERHEAD: usize = 400;

/// Views by their tenant and key.
///
/// Two shelves: what is used is on the young one. Between two batches, when that is full, the old one
/// is dropped and the young one becomes the old one. So what is in use stays, nothing is counted at
/// each use, and no view that is yet to be written is ever dropped.
pub(crate) struct Views<V> {
    collection: Cow<'static, str>,
    young: Shelf<V>,
    old: Shelf<V>,
    /// Bytes of one shelf, as far as is known.
    room: usize,
    /// Slots that were asked for and are not read yet.
    unread: Vec<usize>,
    /// Slots that were changed and are not known to be written.
    changed: Vec<usize>,
}

struct Shelf<V> {
    index: HashMap<Key, usize>,
    slots: Vec<Slot<V>>,
    bytes: usize,
}

/// A view as it is in the store, or as it will be.
pub(crate) struct Slot<V> {
    pub(crate) key: Arc<DocumentKey>,
    /// Its version in the store; 0: it is not there.
    pub(crate) version: Version,
    pub(crate) view: Option<V>,
    /// Bytes of its body as it was encoded last.
    pub(crate) body: usize,
    /// Bytes that are counted for it.
    counted: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody knows what the store has.
    Unknown,
    /// It is being asked for.
    Asked,
    /// It is what the store has.
    Known,
    /// It is ahead of what the store has.
    Changed,
}

impl<V> Views<V> {
    /// Views of a collection, in so many bytes.
    pub(crate) fn new(collection: Cow<'static, str>, bytes: usize) -> Self {
        Self {
            collection,
            young: Shelf::default(),
            old: Shelf::default(),
            room: bytes / 2,
            unread: Vec::new(),
            changed: Vec::new(),
        }
    }

    /// The place of a view; it is noted when it has to be read.
    pub(crate) fn place(&mut self, tenant: Option<&str>, id: &str) -> usize {
        let at = match self.young.index.get(&(tenant, id) as &dyn Place) {
            Some(at) => *at,
            None => {
                let slot = self.old.take(tenant, id);
                let slot = slot.unwrap_or_else(|| Slot::unknown(self.key(tenant, id).into()));
                self.young.put(slot)
            }
        };
        let slot = &mut self.young.slots[at];
        if slot.state == State::Unknown {
            slot.state = State::Asked;
            self.unread.push(at);
        }
        at
    }

    fn key(&self, tenant: Option<&str>, id: &str) -> DocumentKey {
        DocumentKey {
            tenant: tenant.map(Into::into),
            collection: self.collection.clone(),
            id: id.to_owned(),
        }
    }

    /// Whether a change of it is not known to be written.
    pub(crate) fn is_changed(&self, at: usize) -> bool {
        self.young.slots[at].state == State::Changed
    }

    /// What is to be read from the store.
    pub(crate) fn take_unread(&mut self) -> Vec<(usize, Arc<DocumentKey>)> {
        let unread = std::mem::take(&mut self.unread).into_iter();
        unread.map(|at| (at, self.young.slots[at].key.clone())).collect()
    }

    /// What the store has.
    pub(crate) fn fill(&mut self, at: usize, version: Version, view: Option<V>, size: usize) {
        let slot = &mut self.young.slots[at];
        (slot.version, slot.view, slot.state) = (version, view, State::Known);
        self.young.resize(at, size);
    }

    /// A view that is about to change.
    pub(crate) fn change(&mut self, at: usize) -> &mut Slot<V> {
        let slot = &mut self.young.slots[at];
        if slot.state != State::Changed {
            slot.state = State::Changed;
            self.changed.push(at);
        }
        slot
    }

    /// The n-th of those that were changed, in the order in which they were.
    pub(crate) fn changed(&mut self, n: usize) -> Option<&mut Slot<V>> {
        self.young.slots.get_mut(*self.changed.get(n)?)
    }

    /// How many were changed.
    pub(crate) fn changes(&self) -> usize {
        self.changed.len()
    }

    /// What was changed is in the store.
    pub(crate) fn written(&mut self) {
        for at in std::mem::take(&mut self.changed) {
            let slot = &mut self.young.slots[at];
            slot.state = State::Known;
            let size = match (slot.version, slot.view.is_some()) {
                // Its versions go on from where a deleted one stopped, and nobody said where.
                (0, true) => {
                    (slot.view, slot.state) = (None, State::Unknown);
                    0
                }
                (0, false) => 0,
                (version, true) => {
                    slot.version = version + 1;
                    slot.body
                }
                (_, false) => {
                    slot.version = 0;
                    0
                }
            };
            self.young.resize(at, size);
        }
        self.make_room();
    }

    /// Nothing of it may be true any more.
    pub(crate) fn forget(&mut self) {
        let collection = std::mem::take(&mut self.collection);
        *self = Self::new(collection, self.room * 2);
    }

    fn make_room(&mut self) {
        if self.young.size() > self.room {
            self.old = std::mem::take(&mut self.young);
        }
    }

    /// Bytes that it takes, roughly.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.young.size() + self.old.size()
    }
}

impl<V> Shelf<V> {
    fn put(&mut self, slot: Slot<V>) -> usize {
        let at = self.slots.len();
        self.bytes += slot.counted;
        self.index.insert(Key(slot.key.clone()), at);
        self.slots.push(slot);
        at
    }

    fn take(&mut self, tenant: Option<&str>, id: &str) -> Option<Slot<V>> {
        let at = self.index.remove(&(tenant, id) as &dyn Place)?;
        let slot = self.slots.get_mut(at)?;
        let nothing = Slot::unknown(slot.key.clone());
        self.bytes -= slot.counted;
        Some(std::mem::replace(slot, nothing))
    }

    fn resize(&mut self, at: usize, size: usize) {
        let slot = &mut self.slots[at];
        self.bytes = self.bytes + size - slot.counted;
        slot.counted = size;
    }

    /// A view takes about twice the bytes of its body.
    fn size(&self) -> usize {
        self.bytes * 2 + self.slots.len() * OVERHEAD
    }
}

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self { index: HashMap::new(), slots: Vec::new(), bytes: 0 }
    }
}

impl<V> Slot<V> {
    fn unknown(key: Arc<DocumentKey>) -> Self {
        Self { key, version: 0, view: None, body: 0, counted: 0, state: State::Unknown }
    }
}

/// A key that is looked up without being made.
struct Key(Arc<DocumentKey>);

trait Place {
    fn tenant(&self) -> Option<&str>;
    fn id(&self) -> &str;
}

impl Place for Key {
    fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    fn id(&self) -> &str {
        &self.0.id
    }
}

impl Place for (Option<&str>, &str) {
    fn tenant(&self) -> Option<&str> {
        self.0
    }

    fn id(&self) -> &str {
        self.1
    }
}

impl Hash for dyn Place + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tenant().hash(state);
        self.id().hash(state);
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id() && self.tenant() == other.tenant()
    }
}

impl Eq for dyn Place + '_ {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self as &dyn Place).hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (self as &dyn Place) == (other as &dyn Place)
    }
}

impl Eq for Key {}

impl<'a> Borrow<dyn Place + 'a> for Key {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(bytes: usize) -> Views<u32> {
        Views::new("balance".into(), bytes)
    }

    fn known(views: &mut Views<u32>, tenant: Option<&str>, id: &str, version: Version) -> usize {
        let at = views.place(tenant, id);
        views.take_unread();
        views.fill(at, version, (version > 0).then_some(7), 100);
        at
    }

    #[test]
    fn a_view_is_read_once_and_found_by_tenant_and_key() {
        let mut views = views(1 << 20);
        let at = views.place(None, "17");
        assert_eq!(views.place(None, "17"), at);
        assert_ne!(views.place(Some("a"), "17"), at);
        assert_eq!(views.take_unread().len(), 2);
        assert!(views.take_unread().is_empty());
    }

    #[test]
    fn versions_go_on_when_a_view_is_written_and_are_asked_for_when_it_is_new() {
        let mut views = views(1 << 20);
        let (old, new) = (known(&mut views, None, "old", 3), known(&mut views, None, "new", 0));
        views.change(old).view = Some(8);
        views.change(new).view = Some(9);
        assert_eq!(views.changes(), 2);
        views.written();
        assert_eq!(views.changes(), 0);
        views.place(None, "old");
        assert!(views.take_unread().is_empty());
        assert_eq!(views.change(old).version, 4);
        views.place(None, "new");
        assert_eq!(views.take_unread().len(), 1, "nobody knows its version");
    }

    #[test]
    fn a_deleted_view_is_known_to_be_gone() {
        let mut views = views(1 << 20);
        let at = known(&mut views, None, "17", 3);
        views.change(at).view = None;
        views.written();
        views.place(None, "17");
        assert!(views.take_unread().is_empty());
        assert_eq!(views.change(at).version, 0);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_in_use_stays() {
        let mut views = views(100_000);
        let mut read = 0;
        for n in 0..10_000 {
            for id in ["often", &n.to_string()] {
                let at = views.place(None, id);
                for (at, _) in views.take_unread() {
                    read += 1;
                    views.fill(at, 1, Some(7), 100);
                }
                views.change(at).body = 100;
            }
            views.written();
            assert!(views.size() <= 110_000, "{}", views.size());
        }
        assert_eq!(read, 10_001, "`often` was never read again");
    }
}
