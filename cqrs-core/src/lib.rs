//! Commands, queries and events: the traits, the typed facades and the in-memory store.

mod app;
mod documents;
mod domain;
mod error;
mod handler;
mod load;
pub mod memory;
mod message;
mod once;
mod port;
mod repository;
mod retry;
mod work;

pub use app::{App, AppBuilder, Mediator, RawAnswer, RawRejection, RawReply, RawRequest, Sending};
pub use documents::{Documents, Versioned};
pub use domain::aggregate::{Aggregate, AggregateId};
pub use domain::context::Context;
pub use domain::decide::{Decide, Decision};
pub use domain::entity::Entity;
pub use error::{BoxError, Conflict, Error, ErrorKind, Failure, Never, Problem, Rejection, Result};
pub use handler::{Answer, Call, Handler, Inject, IntoHandler, Res, Resources};
pub use load::{At, Loaded};
pub use message::envelope::{Envelope, Reply};
pub use message::event::{Event, EventType};
pub use message::event_set::{EventSet, Raw};
pub use message::fingerprint::Fingerprint;
pub use message::id::MessageId;
pub use message::metadata::Metadata;
pub use message::payload::{Json, Payload, PayloadRef};
pub use message::request::{Command, Query, Request, RequestKind, Visibility};
pub use message::timestamp::{InvalidTimestamp, Timestamp};
pub use message::upcast::Upcaster;
pub use message::wire::{Codec, Wire};
pub use port::capabilities::{Capabilities, Limits, Support};
pub use port::clock::{Clock, ManualClock, SystemClock};
pub use port::commit::{
    Append, CheckpointWrite, Commit, CommitId, Committed, DocumentWrite, Expected, Fence, Guard,
    InboxMark, NewEvent, Outgoing, OutgoingKind, ParkedWrite, Settled, TimerWrite,
};
pub use port::document::{
    Collection, Document, DocumentKey, FieldValue, FindDocuments, IndexedField,
};
pub use port::filter::Filter;
pub use port::page::{Page, Recorded};
pub use port::read::{PageSize, ReadLog, ReadStream};
pub use port::store::{Head, InboxEntry, LogId, Pages, Store};
pub use port::stream_id::StreamId;
pub use port::{Position, Version};
pub use repository::Repository;
pub use retry::ConflictRetry;
pub use work::Work;
