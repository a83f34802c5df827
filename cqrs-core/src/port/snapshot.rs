//! Snapshots: what the events of a stream came to at a version, so that a load need not fold them
//! all. Derived data: nothing is lost with it.

use crate::message::fingerprint::Fingerprint;
use crate::message::payload::Json;
use crate::port::Version;
use crate::port::stream_id::StreamId;

/// A snapshot to keep, or those of a stream to forget.
///
/// A store keeps the newest snapshot of a stream under each of two schemas: the one that was written
/// last, and of the others the newest. So two versions of a program that run side by side have one
/// each, and what an old one left behind does not add up.
///
/// ```
/// use futures_util::StreamExt;
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{
///     Append, Commit, Expected, Fingerprint, Json, NewEvent, Payload, ReadStream, SnapshotWrite,
///     Store, StreamId,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (account, schema) = (StreamId::new("account", "17"), Fingerprint::of(b"balance: u64"));
/// let deposited = || NewEvent::new("bank.deposited", Payload::Json(Json::parse(r#"{"amount":5}"#).unwrap()));
/// let store = MemoryStore::default();
/// store.commit(Commit {
///     appends: vec![Append {
///         stream: account.clone(),
///         expected: Expected::NoStream,
///         events: vec![deposited(), deposited()],
///     }],
///     snapshots: vec![SnapshotWrite::Keep {
///         stream: account.clone(),
///         schema,
///         version: 2,
///         body: Json::parse(r#"{"balance":10}"#)?,
///     }],
///     ..Commit::default()
/// }).await?;
///
/// let mut pages = store.read_stream(ReadStream::of(account.clone()).with_snapshot(schema));
/// let page = pages.next().await.unwrap()?;
/// let snapshot = page.snapshot().unwrap();
/// assert_eq!((snapshot.version, snapshot.body), (2, r#"{"balance":10}"#));
/// assert!(page.is_empty()); // nothing came after it
///
/// // What is erased from the events must go from the snapshots, too:
/// let forget = SnapshotWrite::Forget { stream: account.clone() };
/// store.commit(Commit { snapshots: vec![forget], ..Commit::default() }).await?;
/// let mut pages = store.read_stream(ReadStream::of(account).with_snapshot(schema));
/// assert_eq!(pages.next().await.unwrap()?.len(), 2);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotWrite {
    /// Keeps what the stream came to, instead of an older one of its schema. It goes with an append
    /// to the stream that names its version ([`Expected::Exactly`](crate::Expected::Exactly) or
    /// `NoStream`): a snapshot of a state that never was cannot be written. A commit keeps one of a
    /// stream at most.
    Keep {
        /// The stream.
        stream: StreamId,
        /// What the body is made of: it is given to readers of the same schema only.
        schema: Fingerprint,
        /// The version of the last event in it: one of this commit.
        version: Version,
        /// The state.
        body: Json,
    },
    /// Forgets the snapshots of the stream, those of every schema.
    Forget {
        /// The stream.
        stream: StreamId,
    },
}

impl SnapshotWrite {
    /// The stream that it is about.
    pub const fn stream(&self) -> &StreamId {
        match self {
            Self::Keep { stream, .. } | Self::Forget { stream } => stream,
        }
    }

    /// Bytes of its body.
    pub fn size(&self) -> usize {
        match self {
            Self::Keep { body, .. } => body.len(),
            Self::Forget { .. } => 0,
        }
    }
}

/// A snapshot as it was read, borrowed from its [`Page`](crate::Page). See [`SnapshotWrite`] for an
/// example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotRef<'a> {
    /// The version of the last event in it.
    pub version: Version,
    /// The state, as JSON.
    pub body: &'a str,
}
