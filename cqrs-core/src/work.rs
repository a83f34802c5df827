//! The unit of work of one command: several aggregates, documents and guards, one commit.

mod sending;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::documents::{self, Versioned};
use crate::domain::aggregate::Aggregate;
use crate::domain::context::Context;
use crate::domain::decide::Decide;
use crate::domain::storage::Kind;
use crate::error::{Error, ErrorKind, Failure, Result};
use crate::load::{self, Loaded};
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::payload::Json;
use crate::message::request::Command;
use crate::port::clock::{Clock, SystemClock};
use crate::port::commit::{
    Append, Commit, CommitId, Committed, DocumentWrite, Expected, Guard, InboxMark,
};
use crate::port::filter::Filter;
use crate::port::store::Store;
use crate::port::stream_id::StreamId;
use crate::port::{Position, Version};
use crate::record;
use crate::schema::entity::Entity;

/// What one command does, gathered: loads aggregates and documents, notes what follows, and writes
/// it in one commit, all or nothing.
///
/// As a parameter of a function handler it is committed when the function returns `Ok`, and
/// dropped when it returns `Err`. When another commit came first, the function runs again, if its
/// request has [`Request::again`](crate::Request::again), as one that is `Clone` should. Its clones
/// are handles on one unit of work.
///
/// The ids of the commit and its events are derived from the command's id, in the order in which
/// they are noted: a retry of the command makes the same ones.
///
/// ```
/// use cqrs_core::{Failure, Work};
/// # use cqrs_core::{Aggregate, Command, Event, EventType, Metadata, Rejection, Request, RequestKind};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # enum AccountEvent { Deposited { amount: u64 }, Withdrawn { amount: u64 } }
/// # impl Event for AccountEvent {
/// #     const TYPES: &'static [EventType] =
/// #         &[EventType::new("bank.deposited", "Deposited"), EventType::new("bank.withdrawn", "Withdrawn")];
/// #     fn event_type(&self) -> &'static EventType {
/// #         match self { Self::Deposited { .. } => &Self::TYPES[0], Self::Withdrawn { .. } => &Self::TYPES[1] }
/// #     }
/// # }
/// # #[derive(Debug, Default)]
/// # struct Account { balance: u64 }
/// # impl Aggregate for Account {
/// #     const CATEGORY: &'static str = "account";
/// #     type Id = String;
/// #     type Event = AccountEvent;
/// #     fn apply(&mut self, event: &AccountEvent) {
/// #         match event {
/// #             AccountEvent::Deposited { amount } => self.balance += amount,
/// #             AccountEvent::Withdrawn { amount } => self.balance -= amount,
/// #         }
/// #     }
/// # }
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("not enough money")]
/// # struct Overdrawn;
/// # impl Rejection for Overdrawn { fn code(&self) -> &'static str { "bank.overdrawn" } }
///
/// #[derive(Clone)]
/// struct Transfer { from: String, to: String, amount: u64 }
///
/// impl Request for Transfer {
///     const NAME: &'static str = "bank.transfer";
///     const KIND: RequestKind = RequestKind::Command;
///     type Output = ();
///     type Error = Overdrawn;
///     fn again(&self) -> Option<Self> { Some(self.clone()) }
/// }
/// # impl Command for Transfer {}
///
/// async fn transfer(t: Transfer, work: Work) -> Result<(), Failure<Overdrawn>> {
///     let mut from = work.load::<Account>(&t.from).await?;
///     let mut to = work.load::<Account>(&t.to).await?;
///     if from.balance < t.amount { Err(Overdrawn)?; }
///     work.record(&mut from, [AccountEvent::Withdrawn { amount: t.amount }])?;
///     work.record(&mut to, [AccountEvent::Deposited { amount: t.amount }])?;
///     Ok(())
/// }
/// # let _ = transfer;
/// ```
#[derive(Clone)]
pub struct Work(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metadata: Metadata,
    /// What all ids are derived from.
    base: MessageId,
    /// Whether a handler's call commits it.
    of_call: bool,
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    commit: Commit,
    /// Ids of events and of the domain that were made so far.
    events: u32,
    made: u32,
    committed: bool,
}

impl Work {
    /// The unit of work of the message with this metadata, for use outside a handler.
    pub fn new(store: Arc<dyn Store>, metadata: Metadata) -> Self {
        Self::with_clock(store, metadata, Arc::new(SystemClock))
    }

    /// The same, with another clock than the system's.
    pub fn with_clock(store: Arc<dyn Store>, metadata: Metadata, clock: Arc<dyn Clock>) -> Self {
        let base = metadata.id();
        Self::begin(store, clock, metadata, base, false)
    }

    /// The unit of work of a handler, which its call commits.
    pub(crate) fn of_call(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metadata: Metadata,
        base: MessageId,
    ) -> Self {
        Self::begin(store, clock, metadata, base, true)
    }

    fn begin(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metadata: Metadata,
        base: MessageId,
        of_call: bool,
    ) -> Self {
        let commit = Commit { id: CommitId(base.derived("commit", 0)), ..Commit::default() };
        let gathered = Mutex::new(Gathered { commit, ..Gathered::default() });
        Self(Arc::new(Inner { store, clock, metadata, base, of_call, gathered }))
    }

    /// Metadata of the message that is handled.
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// An aggregate as it is now: read from the store, not from a
    /// [cache](crate::AppBuilder::cache). What is recorded on it expects it to stay so until the commit.
    ///
    /// # Errors
    /// As [`Repository::load`](crate::Repository::load).
    pub async fn load<A: Aggregate>(&self, id: &A::Id) -> Result<Loaded<A>> {
        let stream = load::stream_of::<A>(id, self.0.metadata.tenant());
        load::load(&self.0.store, stream).await
    }

    /// Lets an aggregate decide, and records what it decided.
    ///
    /// # Errors
    /// [`Failure::Rejected`] when the domain says no; as [`record`](Self::record) otherwise.
    pub fn decide<A, C>(
        &self,
        loaded: &mut Loaded<A>,
        command: &C,
    ) -> Result<C::Output, Failure<C::Error>>
    where
        A: Decide<C>,
        C: Command,
    {
        let made = self.gathered()?.made;
        let context = Context::new(self.0.clock.now(), &self.0.metadata, loaded.version);
        let context = context.existing(loaded.exists).based_on(self.0.base, made);
        let decision = loaded.state.decide(command, &context).map_err(Failure::Rejected)?;
        self.gathered()?.made = context.made();
        self.record(loaded, decision.events)?;
        Ok(decision.output)
    }

    /// Records events on an aggregate, and applies them to the state at hand.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when the aggregate was loaded twice and events were recorded
    /// on the other copy, or when it is one of the past
    /// ([`load_at`](crate::Repository::load_at)); when an event, or the document that the state is
    /// stored as, cannot be encoded or could not be read again. Nothing is recorded then, and the
    /// state at hand is as it was.
    pub fn record<A: Aggregate>(
        &self,
        loaded: &mut Loaded<A>,
        events: impl IntoIterator<Item = A::Event>,
    ) -> Result<()> {
        of_now(loaded)?;
        // Gathered before the lock is taken: the iterator is the caller's, and may use this work.
        let decided: Vec<_> = events.into_iter().collect();
        let mut gathered = self.gathered()?;
        let cause = self.0.metadata.for_events();
        let mut new = Vec::with_capacity(decided.len());
        let mut recorded = Vec::with_capacity(decided.len());
        for (event, n) in decided.iter().zip(gathered.events..) {
            let metadata = cause.sibling(gathered.commit.id.event(n));
            let (event, back) = record::encode(event, metadata)?;
            new.push(event);
            recorded.push(back);
        }
        if new.is_empty() {
            return Ok(());
        }
        let Gathered { commit, events, .. } = &mut *gathered;
        let before = commit.appends.iter().position(|append| append.stream == loaded.stream);
        if before.is_some_and(|before| !follows(&commit.appends[before], loaded)) {
            return Err(loaded_twice(&loaded.stream));
        }
        let expected = loaded.expected();
        // First: when the state cannot be stored, its events are not gathered either.
        record::take_in(commit, loaded, &recorded, before.is_some(), &*self.0.store)?;
        *events += new.len() as u32;
        match before {
            Some(before) => commit.appends[before].events.extend(new),
            None => {
                commit.appends.push(Append {
                    stream: loaded.stream.clone(),
                    expected,
                    events: new,
                });
            }
        }
        Ok(())
    }

    /// Makes the commit fail unless the aggregate is still as it was loaded. Not needed for those
    /// on which events are recorded.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn guard<A: Aggregate>(&self, loaded: &Loaded<A>) -> Result<()> {
        of_now(loaded)?;
        let mut gathered = self.gathered()?;
        match gathered.commit.appends.iter().find(|append| append.stream == loaded.stream) {
            // The expectation of its events guards it.
            Some(append) if follows(append, loaded) => Ok(()),
            Some(_) => Err(loaded_twice(&loaded.stream)),
            None => {
                let stream = loaded.stream.clone();
                if let Kind::Document(whole) = A::storage().0 {
                    let (key, expected) = (whole.key(&stream), Expected::Exactly(loaded.document));
                    gathered.commit.guards.push(Guard::Document { key, expected });
                }
                gathered.commit.guards.push(Guard::Stream { stream, expected: loaded.expected() });
                Ok(())
            }
        }
    }

    /// Makes the commit fail when an event that matches came after a position: what was read up to
    /// there is all there is.
    ///
    /// # Errors
    /// When the work was committed before.
    pub fn guard_none(&self, filter: Filter, after: Position) -> Result<()> {
        self.gathered()?.commit.guards.push(Guard::NoneMatching { filter, after });
        Ok(())
    }

    /// A document as it is now; `None` when it does not exist.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) when its body is not a `T`; when the store cannot be read.
    pub async fn get<T: Entity>(&self, id: &str) -> Result<Option<Versioned<T>>> {
        documents::get(&*self.0.store, self.0.metadata.tenant(), id).await
    }

    /// Adds a document that must not exist yet.
    ///
    /// That it exists, or that another one holds a unique value of it, is known at the commit, and is
    /// a conflict then. To say no in the words of the domain, look first: the handler runs again
    /// after the conflict ([`Request::again`](crate::Request::again)), and finds it.
    ///
    /// Its collection must be declared ([`Documents::declare`](crate::Documents::declare)).
    ///
    /// # Errors
    /// When it cannot be encoded or could not be read again, or was written in this work before.
    pub fn insert<T: Entity>(&self, entity: &T) -> Result<()> {
        self.write::<T>(&entity.id(), Expected::NoStream, Some(documents::encode(entity)?))
    }

    /// Saves a document that must still be as it was read.
    ///
    /// # Errors
    /// When it cannot be encoded or could not be read again, was written in this work before, or has
    /// another id than the one that was read.
    pub fn save<T: Entity>(&self, entity: &Versioned<T>) -> Result<()> {
        let id = entity.checked_id()?;
        self.write::<T>(
            id,
            Expected::Exactly(entity.version()),
            Some(documents::encode(&**entity)?),
        )
    }

    /// Deletes a document that must still be as it was read.
    ///
    /// # Errors
    /// When it was written in this work before.
    pub fn delete<T: Entity>(&self, entity: &Versioned<T>) -> Result<()> {
        self.write::<T>(entity.stored_id(), Expected::Exactly(entity.version()), None)
    }

    /// Makes the commit fail unless the document is still as it was read. Not needed for those that
    /// are saved or deleted.
    ///
    /// # Errors
    /// When the work was committed before.
    pub fn guard_document<T: Entity>(&self, entity: &Versioned<T>) -> Result<()> {
        let key = documents::key::<T>(self.0.metadata.tenant(), entity.stored_id());
        let guard = Guard::Document { key, expected: Expected::Exactly(entity.version()) };
        self.gathered()?.commit.guards.push(guard);
        Ok(())
    }

    /// Makes the commit fail when a document exists that was not there when it was looked for.
    ///
    /// # Errors
    /// When the work was committed before.
    pub fn guard_absent<T: Entity>(&self, id: &str) -> Result<()> {
        let key = documents::key::<T>(self.0.metadata.tenant(), id);
        let guard = Guard::Document { key, expected: Expected::NoStream };
        self.gathered()?.commit.guards.push(guard);
        Ok(())
    }

    fn write<T: Entity>(&self, id: &str, expected: Expected, body: Option<Json>) -> Result<()> {
        let key = documents::key::<T>(self.0.metadata.tenant(), id);
        let mut gathered = self.gathered()?;
        if gathered.commit.documents.iter().any(|write| write.key == key) {
            return Err(documents::written_twice(&key));
        }
        gathered.commit.documents.push(DocumentWrite { key, expected, body });
        Ok(())
    }

    /// Writes what was gathered, and checks what is guarded. `None`: nothing was gathered.
    ///
    /// The work is closed afterwards, also when the commit failed.
    ///
    /// # Errors
    /// As [`Store::commit`]; [`Invalid`](ErrorKind::Invalid) when it was committed before, and in a
    /// handler, whose work is committed when it returns.
    pub async fn commit(&self) -> Result<Option<Committed>> {
        if self.0.of_call {
            let context = "the work of a handler is committed when the handler returns";
            return Err(Error::new(ErrorKind::Invalid { field: None }, context));
        }
        self.commit_marking(None).await
    }

    /// What was gathered. The work is closed.
    pub(crate) fn take(&self) -> Result<Commit> {
        let mut gathered = self.gathered()?;
        gathered.committed = true;
        let mut commit = std::mem::take(&mut gathered.commit);
        commit.leave_out_snapshots(&self.0.store.capabilities().limits);
        Ok(commit)
    }

    pub(crate) async fn commit_marking(
        &self,
        mark: Option<InboxMark>,
    ) -> Result<Option<Committed>> {
        let mut commit = self.take()?;
        commit.inbox.extend(mark);
        // Once more: the reply takes room, too.
        commit.leave_out_snapshots(&self.0.store.capabilities().limits);
        if commit.is_nothing() {
            return Ok(None);
        }
        self.0.store.commit(commit).await.map(Some)
    }

    fn gathered(&self) -> Result<MutexGuard<'_, Gathered>> {
        let gathered = self.0.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        if gathered.committed {
            let context = format!("the work for message {} was committed", self.0.metadata.id());
            return Err(Error::new(ErrorKind::Invalid { field: None }, context));
        }
        Ok(gathered)
    }
}

/// Whether the state at hand is the one that the append leads to.
fn follows<A>(append: &Append, loaded: &Loaded<A>) -> bool {
    let events = append.events.len() as Version;
    matches!(append.expected, Expected::Exactly(read) if read + events == loaded.version)
}

fn of_now<A>(loaded: &Loaded<A>) -> Result<()> {
    if !loaded.past {
        return Ok(());
    }
    let stream = &loaded.stream;
    let context = format!("{stream} was loaded with `load_at`: load it as it is now with `load`");
    Err(Error::new(ErrorKind::Invalid { field: None }, context))
}

fn loaded_twice(stream: &StreamId) -> Error {
    let context = format!("{stream} was loaded twice in one unit of work and changed on one copy");
    Error::new(ErrorKind::Invalid { field: None }, context)
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("message", &self.0.metadata.id()).finish_non_exhaustive()
    }
}
