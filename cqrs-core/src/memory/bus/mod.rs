//! The reference bus: every rule of the port in plain Rust, for tests and for services of one process.

mod group;
mod member;
mod requests;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};
use crate::port::bus::{
    Bus, BusCapabilities, BusHealth, BusLimits, BusState, DeadLetter, DeadLetterId, FindDeadLetters,
};
use crate::port::capabilities::Support;
use crate::port::clock::{Clock, SystemClock};
use crate::port::lanes::Lane;
use crate::port::publisher::{OutboundMessage, Publisher, Unpublished};
use crate::port::subscriber::{BusStart, BusSubscription, Deliveries, Subscriber};
use member::Member;
use state::{State, Stored};

/// A bus in the memory of this process. Its clones are one connection to it; [`connect`](Self::connect)
/// makes another one.
///
/// It keeps all promises of the port but durability. Each group holds a bounded number of messages,
/// those that wait, those that are handed over and its dead letters together: where one more has no
/// room in a group that gets it, publishing it fails at once as
/// [`Overloaded`](ErrorKind::Overloaded), and no group gets it. The relay of an app tries again, and
/// the message is safe in the store meanwhile.
///
/// See [`Publisher`], [`Subscriber`] and [`DeadLetter`] for examples.
#[derive(Clone)]
pub struct MemoryBus {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
    capabilities: BusCapabilities,
    capacity: usize,
    connection: Arc<Connection>,
}

/// What clones share, and other connections do not.
#[derive(Debug)]
struct Connection {
    id: u64,
    closed: watch::Sender<bool>,
    unheard: AtomicU64,
}

impl Connection {
    fn new(id: u64) -> Arc<Self> {
        Arc::new(Self { id, closed: watch::Sender::new(false), unheard: AtomicU64::new(0) })
    }
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::with_clock(SystemClock)
    }
}

impl MemoryBus {
    /// A bus that takes its times from a clock: those of retries, of silent members and of what it
    /// keeps.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self {
            state: Arc::default(),
            clock: Arc::new(clock),
            capabilities: BusCapabilities {
                durable: Support::No("it lives in the memory of one process"),
                shared: Support::No("it lives in the memory of one process"),
                keeps_published: Support::No("what nobody listens to is gone"),
                deduplicates: Some(Duration::from_secs(120)),
                longest_redelivery: Some(Duration::from_secs(7 * 24 * 60 * 60)),
                limits: BusLimits::default(),
            },
            capacity: 10_000,
            connection: Connection::new(0),
        }
    }

    /// Messages that each group holds at most. Default: 10,000.
    #[must_use]
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: BusLimits) -> Self {
        self.capabilities.limits = limits;
        self
    }

    /// For how long it knows the id of a message. Default: 2 minutes.
    #[must_use]
    pub fn deduplicate(mut self, within: Duration) -> Self {
        self.capabilities.deduplicates = Some(within);
        self
    }

    /// For how long dead letters are kept. Default: 7 days.
    #[must_use]
    pub fn keep_dead_letters(mut self, kept: Duration) -> Self {
        self.capabilities.longest_redelivery = Some(kept);
        self
    }

    /// Another connection to the same bus: one is closed without the other, as if they were two
    /// processes.
    #[must_use]
    pub fn connect(&self) -> Self {
        let id = self.state().next();
        Self { connection: Connection::new(id), ..self.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes of the state, so a poisoned one is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, without the dead letters that are too old.
    fn state_now(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        if let Some(kept) = self.capabilities.longest_redelivery {
            state.forget_letters(self.clock.now().saturating_sub(kept));
        }
        state
    }

    fn is_closed(&self) -> bool {
        *self.connection.closed.borrow()
    }

    /// One message. The lock is held: what is checked holds.
    fn publish_one(&self, state: &mut State, message: OutboundMessage) -> Result<()> {
        message.check(&self.capabilities.limits)?;
        if self.is_closed() {
            return Err(closed());
        }
        let now = self.clock.now();
        let within = self.capabilities.deduplicates.unwrap_or_default();
        match state.publish(message, now, now.saturating_sub(within), self.capacity)? {
            Stored::Heard => {}
            Stored::Unheard => {
                self.connection.unheard.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Publisher for MemoryBus {
    async fn publish(&self, messages: Vec<OutboundMessage>) -> Result<(), Unpublished> {
        let mut state = self.state_now();
        let mut failed = Vec::new();
        let mut broken: Vec<Lane> = Vec::new();
        for (n, message) in messages.into_iter().enumerate() {
            let lane = Lane::of_outbound(&message);
            let stored = match &lane {
                Some(lane) if broken.contains(lane) => Err(message.behind_a_failure()),
                _ => self.publish_one(&mut state, message),
            };
            if let Err(error) = stored {
                failed.push((n, error));
                broken.extend(lane);
            }
        }
        Unpublished::unless_empty(failed)
    }
}

#[async_trait]
impl Subscriber for MemoryBus {
    async fn subscribe(&self, subscription: BusSubscription) -> Result<Deliveries> {
        subscription.check(&self.capabilities.limits)?;
        if subscription.start == BusStart::Kept {
            let context = "the memory bus keeps no message that nobody listens to";
            return Err(Error::new(ErrorKind::Unsupported { part: "keeps_published" }, context));
        }
        let mut state = self.state();
        if self.is_closed() {
            return Err(closed());
        }
        let changed = state.subscribe(&subscription)?;
        let member = Member::new(self.clone(), subscription, state.next(), changed);
        let deliveries = stream::unfold(member, |mut member| async {
            let delivery = member.next().await?;
            Some((Ok(delivery), member))
        });
        Ok(deliveries.boxed())
    }
}

#[async_trait]
impl Bus for MemoryBus {
    fn capabilities(&self) -> &BusCapabilities {
        &self.capabilities
    }

    async fn health(&self) -> BusHealth {
        let state = if self.is_closed() { BusState::Closed } else { BusState::Up };
        BusHealth { state, unheard: self.connection.unheard.load(Ordering::Relaxed) }
    }

    async fn dead_letters(&self, find: FindDeadLetters) -> Result<Vec<DeadLetter>> {
        let mut state = self.state_now();
        state.expire(self.clock.now());
        Ok(state.letters(&find))
    }

    async fn send_again(&self, letter: &DeadLetterId) -> Result<()> {
        self.state_now().send_again(letter)
    }

    async fn discard(&self, letter: &DeadLetterId) -> Result<()> {
        self.state_now().discard(letter)
    }

    async fn close(&self) -> Result<()> {
        let mut state = self.state();
        // Under the lock: whoever hands something over or publishes looks under it as well.
        self.connection.closed.send_replace(true);
        state.responders.leave(self.connection.id);
        state.give_back_all(self.connection.id, self.clock.now());
        Ok(())
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "this connection to the memory bus was closed")
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bus = f.debug_struct("MemoryBus");
        bus.field("connection", &self.connection.id).finish_non_exhaustive()
    }
}
