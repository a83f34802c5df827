//! What the server says of commits that it did not apply.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cqrs_core::{
    Commit, Committed, Conflict, Error, ErrorKind, Guard, Head, LogId, MessageId, Position, Result,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::row::bound;

/// A verdict on the n-th commit of a group, from 1.
#[derive(Debug, Deserialize)]
pub(crate) struct Verdict {
    pub(super) n: usize,
    #[serde(flatten)]
    is: Is,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum Is {
    Before { position: i64, reply: Option<String> },
    Reused { what: String, id: Uuid },
    Inbox { consumer: String, message: Uuid },
    Lease { lease: String, token: i64, actual: i64 },
    Stream { tenant: String, category: String, stream: String, actual: i64 },
    Document { collection: String, id: String, actual: i64 },
    Matching { after: i64, found: i64 },
    Beyond { after: i64, head: i64, log: Uuid },
    Checkpoint { subscription: String, partition: u32, actual: i64 },
    Settled { what: String },
    Timer { owner: String, key: String, name: String, actual: i64 },
    Parked { subscription: String, position: i64, actual: i64 },
    Unique { collection: String, id: String, field: String },
}

impl Verdict {
    /// The verdicts on a group.
    pub(super) fn all(json: &str) -> Result<Vec<Self>> {
        serde_json::from_str(json).map_err(damaged)
    }

    /// The one verdict that a statement was broken off with.
    pub(crate) fn one(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(damaged)
    }

    /// Why the commit of a transaction was refused, where nobody else knows more.
    pub(crate) fn into_refusal(self) -> Result<Error> {
        match self.is {
            Is::Before { position, .. } => {
                let context = format!("the commit was applied before, at position {position}");
                Ok(Conflict::Settled { what: context }.into())
            }
            _ => match self.into_result(&Commit::default()) {
                Err(error) => Ok(error),
                Ok(_) => Err(damaged("a refusal that is none")),
            },
        }
    }

    /// What became of the commit.
    pub(crate) fn into_result(self, commit: &Commit) -> Result<Committed> {
        let conflict = match self.is {
            Is::Before { position, reply } => {
                let reply = reply.map(|reply| BASE64.decode(reply)).transpose().map_err(damaged)?;
                let reply = reply.map(Into::into);
                return Ok(Committed::Before { position: position as u64, reply });
            }
            Is::Reused { what, id } => {
                let what = match &*what {
                    "event" => "event",
                    "commit" => "commit",
                    _ => "message",
                };
                return Err(Error::id_reused(what, MessageId::from_uuid(id)));
            }
            Is::Beyond { after, head, log } => {
                let head = Head { log: LogId(log), position: head as u64 };
                // The server knows the largest positions as one.
                let named = positions(commit).find(|position| bound(*position) == after);
                let beyond = head.admits(None, named.unwrap_or(after as u64));
                return Err(beyond.err().unwrap_or_else(|| damaged("a position past no end")));
            }
            Is::Inbox { consumer, message } => {
                Conflict::Inbox { consumer, message: message.to_string() }
            }
            Is::Lease { lease, token, actual } => {
                Conflict::Lease { lease, token: token as u64, actual: actual as u64 }
            }
            Is::Stream { tenant, category, stream, actual } => {
                let tenant = (!tenant.is_empty()).then(|| tenant.into());
                let stream = cqrs_core::StreamId { tenant, category: category.into(), id: stream };
                Conflict::Stream { stream: stream.to_string(), actual: actual as u64 }
            }
            Is::Document { collection, id, actual } => {
                Conflict::Document { collection, id, actual: actual as u64 }
            }
            Is::Matching { after, found } => {
                Conflict::NoneMatching { after: after as u64, found: found as u64 }
            }
            Is::Checkpoint { subscription, partition, actual } => {
                Conflict::Checkpoint { subscription, partition, actual: actual as u64 }
            }
            Is::Settled { what } => Conflict::Settled { what },
            Is::Timer { owner, key, name, actual } => {
                Conflict::Timer { owner, key, name, actual: actual as u64 }
            }
            Is::Parked { subscription, position, actual } => {
                Conflict::Parked { subscription, position: position as u64, actual: actual as u64 }
            }
            Is::Unique { collection, id, field } => Conflict::Unique { collection, id, field },
        };
        Err(conflict.into())
    }
}

/// The positions that a commit names as its own or those it has read.
fn positions(commit: &Commit) -> impl Iterator<Item = Position> {
    let guards = commit.guards.iter().filter_map(|guard| match guard {
        Guard::NoneMatching { after, .. } => Some(*after),
        _ => None,
    });
    guards.chain(commit.checkpoint.iter().map(|write| write.to))
}

fn damaged(cause: impl Into<cqrs_core::BoxError>) -> Error {
    let context = "the server's verdict on a commit cannot be read: its functions were changed";
    Error::new(ErrorKind::Internal, context).with_source(cause)
}
