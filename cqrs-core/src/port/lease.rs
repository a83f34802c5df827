//! Leases: who may work on something now, so that no two nodes do.

use std::time::Duration;

use crate::message::timestamp::Timestamp;
use crate::port::commit::Fence;

/// Asks for leases, or for more time on them. See [`Store::lease`](crate::Store::lease).
///
/// ```
/// use std::time::Duration;
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{LeaseRequest, Store};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::default();
/// let asks = |holder: &str| LeaseRequest {
///     holder: holder.into(),
///     names: vec!["mailer/0".into()],
///     term: Duration::from_secs(10),
/// };
/// let mine = store.lease(asks("node-a")).await?.remove(0);
/// assert!(mine.is_of("node-a") && !mine.taken_over);
/// // Another node is told who has it.
/// assert!(store.lease(asks("node-b")).await?[0].is_of("node-a"));
/// store.release("node-a", &["mailer/0".into()]).await?;
/// let theirs = store.lease(asks("node-b")).await?.remove(0);
/// // What the first one still commits under its token is refused.
/// assert!(theirs.is_of("node-b") && theirs.token > mine.token);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Who asks: one name for each start of a process, at most [`Limits::id`](crate::Limits::id)
    /// bytes.
    pub holder: String,
    /// Which leases, each once.
    pub names: Vec<String>,
    /// For how long, by the store's clock. Ask again well before it is over.
    pub term: Duration,
}

/// How a lease stands. See [`LeaseRequest`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub name: String,
    /// Who has it, or had it last.
    pub holder: String,
    /// Counts how often it went from one holder to another, from 1. A commit names it
    /// ([`Fence`]) and is refused once somebody else has the lease.
    pub token: u64,
    /// When it ends, by the store's clock, unless its holder asks again.
    pub until: Timestamp,
    /// It was given out just now, and the one who had it before had not released it: that one died,
    /// or was held up, maybe in the middle of something.
    pub taken_over: bool,
}

impl Lease {
    /// Whether this is its holder.
    pub fn is_of(&self, holder: &str) -> bool {
        self.holder == holder
    }

    /// What a commit says to be refused once the lease is another's.
    pub fn fence(&self) -> Fence {
        Fence { lease: self.name.clone(), token: self.token }
    }
}
