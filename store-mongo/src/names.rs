//! The collections of a log: their names, what is in them, and by what it is found.

use bson::{RawDocumentBuf, rawdoc};

/// Collections of the store in its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coll {
    /// One document: the id of the log, its head, and whose turn it is.
    Log,
    /// Events by their positions.
    Events,
    /// Commits that no event tells of.
    Commits,
    /// Handled messages.
    Inbox,
    Documents,
    /// What is declared of documents.
    Collections,
    Snapshots,
    Checkpoints,
    Leases,
    Timers,
    Outgoing,
    Parked,
    /// Where those meet who write under a lease, and who takes it over.
    Fences,
    /// Sessions that may hold the log, so that those of the dead can be ended.
    Writers,
}

impl Coll {
    pub(crate) const ALL: [Self; 14] = [
        Self::Log,
        Self::Events,
        Self::Commits,
        Self::Inbox,
        Self::Documents,
        Self::Collections,
        Self::Snapshots,
        Self::Checkpoints,
        Self::Leases,
        Self::Fences,
        Self::Timers,
        Self::Outgoing,
        Self::Parked,
        Self::Writers,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Log => "cqrs_log",
            Self::Events => "cqrs_events",
            Self::Commits => "cqrs_commits",
            Self::Inbox => "cqrs_inbox",
            Self::Documents => "cqrs_documents",
            Self::Collections => "cqrs_collections",
            Self::Snapshots => "cqrs_snapshots",
            Self::Checkpoints => "cqrs_checkpoints",
            Self::Leases => "cqrs_leases",
            Self::Fences => "cqrs_fences",
            Self::Timers => "cqrs_timers",
            Self::Outgoing => "cqrs_outgoing",
            Self::Parked => "cqrs_parked",
            Self::Writers => "cqrs_writers",
        }
    }

    /// How it is made: events lie in the order of their positions.
    pub(crate) fn options(self) -> RawDocumentBuf {
        match self {
            Self::Events | Self::Outgoing => {
                rawdoc! { "clusteredIndex": { "key": { "_id": 1 }, "unique": true } }
            }
            _ => RawDocumentBuf::new(),
        }
    }

    /// The indexes beside that of `_id`.
    pub(crate) fn indexes(self) -> Vec<RawDocumentBuf> {
        match self {
            Self::Events => vec![
                rawdoc! {
                    "name": "stream", "unique": true,
                    "key": { "tenant": 1, "category": 1, "stream": 1, "version": 1 },
                },
                rawdoc! { "name": "id", "unique": true, "key": { "id": 1 } },
                rawdoc! { "name": "type", "key": { "type": 1, "_id": 1 } },
                rawdoc! { "name": "category", "key": { "category": 1, "_id": 1 } },
                rawdoc! {
                    "name": "tags", "key": { "tags": 1, "_id": 1 },
                    "partialFilterExpression": { "tags": { "$exists": true } },
                },
            ],
            // Their ids are documents of what they are called by, in the order of that.
            Self::Documents => vec![
                rawdoc! {
                    "name": "fields",
                    "key": { "_id.collection": 1, "_id.tenant": 1, "fields": 1, "_id.id": 1 },
                    "partialFilterExpression": { "fields": { "$exists": true } },
                },
                rawdoc! {
                    "name": "unique", "unique": true,
                    "key": { "_id.collection": 1, "_id.tenant": 1, "unique": 1 },
                    "partialFilterExpression": { "unique": { "$exists": true } },
                },
            ],
            Self::Timers => vec![rawdoc! {
                "name": "due",
                "key": { "_id.owner": 1, "due_us": 1, "_id.tenant": 1, "_id.key": 1, "_id.name": 1 },
            }],
            Self::Outgoing => vec![rawdoc! { "name": "id", "unique": true, "key": { "id": 1 } }],
            Self::Parked => vec![
                rawdoc! { "name": "key", "key": { "_id.key": 1, "_id": 1 } },
                rawdoc! { "name": "state", "key": { "state": 1, "_id": 1 } },
                rawdoc! {
                    "name": "due", "key": { "due_us": 1, "_id": 1 },
                    "partialFilterExpression": { "due_us": { "$exists": true } },
                },
            ],
            Self::Log
            | Self::Commits
            | Self::Inbox
            | Self::Collections
            | Self::Snapshots
            | Self::Checkpoints
            | Self::Leases
            | Self::Fences
            | Self::Writers => Vec::new(),
        }
    }
}
