//! What waits, as the cases write and find it: leases, timers, messages to send, entries set aside.

use std::fmt::Debug;
use std::panic::Location;
use std::time::Duration;

use cqrs_core::{
    Commit, Conflict, Error, ErrorKind, Expected, Fence, FindOutgoing, FindParked, FindTimers,
    Lease, LeaseRequest, Outgoing, OutgoingKind, ParkedEntry, ParkedState, ParkedWrite, Payload,
    PendingMessage, Position, Result, Settled, Timer, TimerWrite, Timestamp,
};
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::store::handle::{Handle, patiently};
use crate::store::make::body;

/// Longer than any case takes.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Short enough to wait for its end.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// How long a case waits for what must come; then it has failed.
const BOUND: Duration = Duration::from_secs(10);

/// The owner of the timers that the cases set.
pub(crate) const SAGA: &str = "checkout";

/// The subscription for which the cases set entries aside.
pub(crate) const MAILER: &str = "mailer";

/// A time, in microseconds.
pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A request for leases.
pub(crate) fn request(holder: &str, names: &[&str], term: Duration) -> LeaseRequest {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    LeaseRequest { holder: holder.to_owned(), names, term }
}

/// A commit under fences.
pub(crate) fn fenced(fences: Vec<Fence>, commit: Commit) -> Commit {
    Commit { fences, ..commit }
}

/// A timer to set; `None` cancels it.
pub(crate) fn timer(key: &str, generation: u64, due: Option<i64>) -> TimerWrite {
    TimerWrite {
        owner: SAGA.to_owned(),
        tenant: None,
        key: key.to_owned(),
        name: "payment".to_owned(),
        generation,
        due: due.map(at),
    }
}

/// A commit of timers.
pub(crate) fn sets(timers: Vec<TimerWrite>) -> Commit {
    Commit { timers, ..Commit::default() }
}

/// A message to send.
pub(crate) fn message(key: &str) -> Outgoing {
    let says = Payload::Json(body(&json!({ "amount": 5 })));
    Outgoing::new(OutgoingKind::Command, "payments.charge", key, says)
}

/// A commit of messages.
pub(crate) fn sends(outgoing: Vec<Outgoing>) -> Commit {
    Commit { outgoing, ..Commit::default() }
}

/// A commit that settles something.
pub(crate) fn settles(settled: Vec<Settled>) -> Commit {
    Commit { settled, ..Commit::default() }
}

/// The message is sent.
pub(crate) fn sent(message: &Outgoing) -> Settled {
    Settled::Outgoing(message.metadata.id())
}

/// An entry to set aside.
pub(crate) fn aside(subscription: &str, position: Position) -> ParkedWrite {
    ParkedWrite {
        subscription: subscription.to_owned(),
        position,
        expected: Expected::NoStream,
        partition: 0,
        key: "account-4".to_owned(),
        message: "bank.opened".to_owned(),
        state: ParkedState::Parked,
        due: None,
        cause: "no such address".to_owned(),
        attempts: 8,
        edited: None,
    }
}

/// A commit of entries to set aside.
pub(crate) fn parks(parked: Vec<ParkedWrite>) -> Commit {
    Commit { parked, ..Commit::default() }
}

/// The entry is done.
pub(crate) fn unparked(subscription: &str, position: Position) -> Settled {
    let ParkedWrite { subscription, position, key, .. } = aside(subscription, position);
    Settled::Parked { subscription, position, key }
}

/// Asserts that an error says that something was settled or changed before.
#[track_caller]
pub(crate) fn assert_settled(error: &Error, why: &str) {
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Conflict(Conflict::Settled { .. })), "{why}: {error:?}");
}

/// Asks until there is an answer to take, or for too long.
#[track_caller]
pub(crate) fn until<'a, T, F>(
    what: &'a str,
    mut look: impl FnMut() -> F + Send + 'a,
) -> BoxFuture<'a, T>
where
    F: Future<Output = Option<T>> + Send + 'a,
    T: Send + 'a,
{
    let at = Location::caller();
    Box::pin(async move {
        let looking = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let found = tokio::time::timeout(BOUND, looking).await;
        found.unwrap_or_else(|_| panic!("{at}: after {BOUND:?} still not: {what}"))
    })
}

impl Handle {
    /// How the leases stand that were asked for.
    #[track_caller]
    pub(crate) fn asks(&self, request: LeaseRequest) -> BoxFuture<'_, Vec<Lease>> {
        let at = Location::caller();
        Box::pin(async move {
            let answer = patiently(|| self.lease(request.clone())).await;
            found(at, answer, &request)
        })
    }

    /// How one lease stands after it was asked for.
    #[track_caller]
    pub(crate) fn asks_for(
        &self,
        holder: &str,
        name: &str,
        term: Duration,
    ) -> BoxFuture<'_, Lease> {
        let at = Location::caller();
        let answer = self.asks(request(holder, &[name], term));
        Box::pin(async move {
            let mut leases = answer.await;
            assert_eq!(leases.len(), 1, "{at}: one was asked for: {leases:?}");
            leases.remove(0)
        })
    }

    /// A lease that is free, for longer than a case takes.
    #[track_caller]
    pub(crate) fn takes<'a>(&'a self, holder: &'a str, name: &str) -> BoxFuture<'a, Lease> {
        let at = Location::caller();
        let answer = self.asks_for(holder, name, LONG);
        Box::pin(async move {
            let lease = answer.await;
            assert!(lease.is_of(holder), "{at}: it is free: {lease:?}");
            lease
        })
    }

    /// Waits until a lease is given out, and says what came.
    #[track_caller]
    pub(crate) fn gets<'a>(&'a self, holder: &'a str, name: &'a str) -> BoxFuture<'a, Lease> {
        until("the lease is given out", move || async move {
            Some(self.asks_for(holder, name, LONG).await).filter(|lease| lease.is_of(holder))
        })
    }

    /// Waits until nobody holds the lease.
    #[track_caller]
    pub(crate) fn outlives<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        until(
            "the lease is over",
            move || async move { self.held(name).await.is_empty().then_some(()) },
        )
    }

    /// Gives leases back.
    #[track_caller]
    pub(crate) fn gives_back<'a>(&'a self, holder: &'a str, names: &[&str]) -> BoxFuture<'a, ()> {
        let at = Location::caller();
        let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        Box::pin(async move {
            let answer = patiently(|| self.release(holder, &names)).await;
            found(at, answer, &names);
        })
    }

    /// The leases that are held.
    #[track_caller]
    pub(crate) fn held<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Vec<Lease>> {
        let at = Location::caller();
        Box::pin(async move { found(at, self.leases(prefix).await, &prefix) })
    }

    /// The timers of an owner that are due by then, at most so many.
    #[track_caller]
    pub(crate) fn due(
        &self,
        owner: &str,
        due_by: Timestamp,
        limit: u32,
    ) -> BoxFuture<'_, Vec<Timer>> {
        let at = Location::caller();
        let find = FindTimers { owner: owner.to_owned(), due_by, limit };
        Box::pin(async move { found(at, self.timers(find.clone()).await, &find) })
    }

    /// All timers that the cases set.
    #[track_caller]
    pub(crate) fn set(&self) -> BoxFuture<'_, Vec<Timer>> {
        self.due(SAGA, Timestamp::MAX, 1_000)
    }

    /// One page of messages that are not settled.
    #[track_caller]
    pub(crate) fn waits(&self, find: FindOutgoing) -> BoxFuture<'_, Vec<PendingMessage>> {
        let at = Location::caller();
        Box::pin(async move { found(at, self.outgoing(find).await, &find) })
    }

    /// All messages that are not settled, after a position.
    #[track_caller]
    pub(crate) fn pending(&self, after: Position) -> BoxFuture<'_, Vec<PendingMessage>> {
        let at = Location::caller();
        Box::pin(async move {
            let mut all = Vec::<PendingMessage>::new();
            loop {
                let last = all.last().map_or(after, |last| last.position);
                let find = FindOutgoing::after(last);
                let page = found(at, self.outgoing(find).await, &find);
                let in_order = page.iter().all(|message| message.position > last);
                assert!(in_order, "{at}: asked for those after {last}: {page:?}");
                if page.is_empty() {
                    return all;
                }
                all.extend(page);
            }
        })
    }

    /// What is set aside.
    #[track_caller]
    pub(crate) fn aside(&self, find: FindParked) -> BoxFuture<'_, Vec<ParkedEntry>> {
        let at = Location::caller();
        Box::pin(async move { found(at, self.parked(find.clone()).await, &find) })
    }
}

fn found<T>(at: &Location<'_>, answer: Result<T>, asked: &dyn Debug) -> T {
    answer.unwrap_or_else(|error| panic!("{at}: no answer: {error:?}\n{asked:?}"))
}
