//! Aggregates of one kind: load, decide, commit, and again when another came first.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::at_hand::AtHand;
use crate::cache::{Cache, Hot};
use crate::domain::aggregate::Aggregate;
use crate::domain::context::Context;
use crate::domain::decide::{Decide, Decision};
use crate::error::{Error, Failure, Result};
use crate::handler::{Answer, Handler};
use crate::load::{self, At, Loaded};
use crate::message::envelope::{Envelope, Reply};
use crate::message::metadata::Metadata;
use crate::message::request::Command;
use crate::once::{self, Once};
use crate::port::clock::{Clock, SystemClock};
use crate::port::commit::{Commit, CommitId, Committed};
use crate::port::read::ReadStream;
use crate::port::store::{Pages, Store};
use crate::rebuild;
use crate::retry::ConflictRetry;

/// The aggregates of one kind in a store, however they are [stored](crate::Storage).
///
/// It is the handler of every command that `A` decides on (see
/// [`AppBuilder::decides`](crate::AppBuilder::decides)), a parameter of function handlers, and of
/// use on its own:
///
/// ```
/// use std::sync::Arc;
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{At, Decide, Metadata, Repository};
/// # use cqrs_core::{Aggregate, Command, Context, Decision, Event, EventType, Never, Request, RequestKind};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # enum AccountEvent { Deposited { amount: u64 } }
/// # impl Event for AccountEvent {
/// #     const TYPES: &'static [EventType] = &[EventType::new("bank.deposited", "Deposited")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
/// # #[derive(Debug, Default)]
/// # struct Account { balance: u64 }
/// # impl Aggregate for Account {
/// #     const CATEGORY: &'static str = "account";
/// #     type Id = String;
/// #     type Event = AccountEvent;
/// #     fn apply(&mut self, event: &AccountEvent) {
/// #         let AccountEvent::Deposited { amount } = event;
/// #         self.balance += amount;
/// #     }
/// # }
/// # struct Deposit { account: String, amount: u64 }
/// # impl Request for Deposit {
/// #     const NAME: &'static str = "bank.deposit";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = Never;
/// # }
/// # impl Command for Deposit {}
/// # impl Decide<Deposit> for Account {
/// #     fn target(command: &Deposit) -> String { command.account.clone() }
/// #     fn decide(&self, command: &Deposit, _: &Context<'_>) -> Result<Decision<AccountEvent>, Never> {
/// #         Ok(Decision::event(AccountEvent::Deposited { amount: command.amount }))
/// #     }
/// # }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let accounts = Repository::<Account>::new(Arc::new(MemoryStore::default()));
/// for amount in [2, 3] {
///     let deposit = Deposit { account: "17".into(), amount };
///     accounts.execute(&deposit, &Metadata::default()).await?;
/// }
/// assert_eq!(accounts.load(&"17".into()).await?.balance, 5);
/// assert_eq!(accounts.load_at(&"17".into(), At::Version(1)).await?.balance, 2);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
pub struct Repository<A> {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    retry: ConflictRetry,
    tenant: Option<Box<str>>,
    cache: Option<Cache>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> Repository<A> {
    /// The aggregates in a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            clock: Arc::new(SystemClock),
            retry: ConflictRetry::default(),
            tenant: None,
            cache: None,
            aggregate: PhantomData,
        }
    }

    /// Takes the time from another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Meets conflicts in another way than the default.
    #[must_use]
    pub fn retry(mut self, retry: ConflictRetry) -> Self {
        self.retry = retry;
        self
    }

    /// The aggregates of a tenant.
    #[must_use]
    pub fn of_tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Keeps the states of so many aggregates in memory for the commands that come next: the ones
    /// that are in use, for this repository and its clones. Their number is what bounds the memory.
    ///
    /// A command on one of them is a single call of the store, its commit. What is kept is never
    /// trusted: the commit expects the version at which it is, and when another one came first, the
    /// new events are read and the decision is made anew. A rejection, and a decision that nothing
    /// happens, are answered after a look for new events.
    ///
    /// Commands on one aggregate take turns, so that within a process none of them conflicts. When
    /// the one whose turn it is takes more than a second or two, because the store stalls, those
    /// behind it go on without. The wait needs a Tokio runtime with time.
    ///
    /// [`load`](Self::load) and [`Work`](crate::Work) read the store, which tells what is there
    /// without a command. When events are erased, or a log is restored to an older state, under a
    /// running process, what it keeps is from before: start it anew.
    #[must_use]
    pub fn cached(self, aggregates: usize) -> Self {
        self.cached_in(Some(Cache::of(aggregates)))
    }

    pub(crate) fn cached_in(mut self, cache: Option<Cache>) -> Self {
        self.cache = cache;
        self
    }

    /// An aggregate as it is now. One that does not exist has the default state and version 0.
    ///
    /// # Errors
    /// [`Undecodable`](crate::ErrorKind::Undecodable) when one of its events cannot be read: with
    /// stream, position and cause (P6); of one that has a snapshot, one of those after it.
    /// [`Decode`](crate::ErrorKind::Decode) when it is stored as a document that cannot be read. Or
    /// when the store cannot be read.
    pub async fn load(&self, id: &A::Id) -> Result<Loaded<A>> {
        load::load(&self.store, load::stream_of::<A>(id, self.tenant.as_deref())).await
    }

    /// An aggregate as it was, from its events.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_at(&self, id: &A::Id, at: At) -> Result<Loaded<A>> {
        load::load_at(&self.store, load::stream_of::<A>(id, self.tenant.as_deref()), at).await
    }

    /// Writes the document of an aggregate that has events and no document, once: for aggregates that
    /// were stored as their events before they were [stored as documents](crate::Storage::document).
    /// Whether it did; for one that its events delete, or that is stored otherwise, there is nothing
    /// to do. The document says what the events come to.
    ///
    /// One whose document was deleted without an event ([`Work::delete`](crate::Work::delete)) looks
    /// the same, and comes back.
    ///
    /// # Errors
    /// A conflict when another commit came first: once more is safe. As [`load_at`](Self::load_at);
    /// when the document could not be read again; as [`Store::commit`].
    pub async fn rebuild(&self, id: &A::Id) -> Result<bool> {
        rebuild::rebuild::<A>(&self.store, load::stream_of::<A>(id, self.tenant.as_deref())).await
    }

    /// The recorded events of an aggregate, by the page, oldest first. Other stretches are read with
    /// [`Store::read_stream`].
    pub fn history(&self, id: &A::Id) -> Pages {
        let stream = load::stream_of::<A>(id, self.tenant.as_deref());
        self.store.read_stream(ReadStream::of(stream))
    }

    /// Loads the command's aggregate, lets it decide, and commits what was decided. When another
    /// commit came first, it takes in the new events and decides anew ([`ConflictRetry`]).
    ///
    /// The ids of the commit and its events are derived from the id in `metadata`: the same command
    /// under the same id is never applied twice. With an [inbox](Metadata::with_inbox) its repeat
    /// answers as the first did; without one it is decided anew, and refused: by the domain, or as
    /// [`IdReused`](crate::ErrorKind::IdReused).
    ///
    /// The command is the tenant's that its metadata names, or else the repository's.
    ///
    /// Cancel safety: when the future is dropped the command may still be applied.
    ///
    /// # Errors
    /// [`Failure::Rejected`] when the domain says no; [`Failure::Failed`] when the command is
    /// invalid, or as [`load`](Self::load) and [`Store::commit`] say.
    pub async fn execute<C: Command>(&self, command: &C, metadata: &Metadata) -> Answer<C>
    where
        A: Decide<C>,
    {
        command.validate()?;
        self.decide(command, metadata).await
    }

    async fn decide<C: Command>(&self, command: &C, metadata: &Metadata) -> Answer<C>
    where
        A: Decide<C>,
    {
        let once = Once::of(command, metadata)?;
        let stream = load::stream_of::<A>(&A::target(command), self.tenant_of(metadata)?);
        let mut hot = match &self.cache {
            Some(cache) => cache.seat::<A>(&stream).await,
            None => None,
        };
        let mut at_hand = match hot.as_mut().and_then(Hot::take) {
            Some(loaded) => AtHand::kept(loaded),
            None => AtHand::read(&self.store, stream).await?,
        };
        let answer = self.decide_on(&mut at_hand, command, metadata, once.as_ref()).await;
        if let (Some(hot), Some(loaded)) = (hot, at_hand.into_kept()) {
            hot.put(loaded);
        }
        answer
    }

    async fn decide_on<C: Command>(
        &self,
        at_hand: &mut AtHand<A>,
        command: &C,
        metadata: &Metadata,
        once: Option<&Once<C>>,
    ) -> Answer<C>
    where
        A: Decide<C>,
    {
        let base = metadata.base_id(C::NAME);
        let mut failed = 0;
        loop {
            let decided = {
                let loaded = at_hand.loaded();
                let context = Context::new(self.clock.now(), metadata, loaded.version);
                let context = context.existing(loaded.exists).based_on(base, 0);
                loaded.state.decide(command, &context)
            };
            // No commit is going to find out that the state was an old one.
            let is_final = decided.as_ref().map_or(true, |decision| decision.events.is_empty());
            if is_final && at_hand.renew(&self.store).await? {
                continue;
            }
            let Decision { events, output } = match decided {
                Ok(decision) => decision,
                Err(rejection) => {
                    return once::rejected(once, &*self.store, metadata, rejection).await;
                }
            };
            if events.is_empty() && once.is_none() {
                return Ok(Reply { output, position: None });
            }
            let inbox = once.map(|once| once.mark(metadata, &output)).transpose()?;
            let id = CommitId(base.derived("commit", 0));
            let (appends, recorded) = at_hand.append(&events, metadata, id)?;
            let mut commit =
                Commit { id, appends, inbox: inbox.into_iter().collect(), ..Commit::default() };
            at_hand.go_ahead(&mut commit, &recorded, &*self.store)?;
            match (self.store.commit(commit).await, once) {
                (Ok(Committed::Before { position, reply }), Some(once)) => {
                    return Ok(once.answer(position, reply.as_deref())?);
                }
                (Ok(committed), _) => {
                    if matches!(committed, Committed::Now { .. }) {
                        at_hand.arrive(&recorded);
                    }
                    return Ok(Reply { output, position: Some(committed.position()) });
                }
                (Err(error), _) => {
                    // An old state that was kept is no attempt.
                    let was_old = !at_hand.is_current() && error.is_conflict();
                    failed += u32::from(!was_old);
                    if !was_old && !self.retry.again(&error, failed).await {
                        return Err(Failure::Failed(error));
                    }
                    at_hand.fall_back(&self.store, &error).await?;
                }
            }
        }
    }

    fn tenant_of<'a>(&'a self, metadata: &'a Metadata) -> Result<Option<&'a str>> {
        match (self.tenant.as_deref(), metadata.tenant()) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                let context = format!("a command of tenant {theirs} for aggregates of {ours}");
                Err(Error::invalid_field("tenant", context))
            }
            (ours, theirs) => Ok(theirs.or(ours)),
        }
    }
}

impl<A, C> Handler<C> for Repository<A>
where
    A: Decide<C>,
    C: Command,
{
    const ANSWERS_REPEATS: bool = true;

    async fn handle(&self, request: Envelope<C>) -> Answer<C> {
        self.decide(&request.message, &request.metadata).await
    }
}

impl<A> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            clock: self.clock.clone(),
            retry: self.retry,
            tenant: self.tenant.clone(),
            cache: self.cache.clone(),
            aggregate: PhantomData,
        }
    }
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("category", &A::CATEGORY).finish_non_exhaustive()
    }
}
