//! The sinks of a store under test: what an adapter makes for the suite, and what tells it what to do.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::{HandlerError, Sink, Store};

use crate::runtime::hand::Hand;
use crate::runtime::notes::Noted;

/// The sinks of a store under test, all of which write to one table of the user's own.
///
/// As the memory store does it:
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use async_trait::async_trait;
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Sink, Store};
/// use cqrs_testing::{
///     Noted, Outcome, SinkHand, SinkUnderTest, StoreUnderTest, runtime_suite,
/// };
///
/// #[derive(Default)]
/// struct Memory {
///     store: MemoryStore,
///     rows: Arc<Mutex<Vec<Noted>>>,
/// }
///
/// #[async_trait]
/// impl StoreUnderTest for Memory {
///     async fn open(&self) -> Arc<dyn Store> {
///         Arc::new(self.store.clone())
///     }
///
///     fn sinks(&self) -> Result<&dyn SinkUnderTest, &'static str> {
///         Ok(self)
///     }
/// }
///
/// #[async_trait]
/// impl SinkUnderTest for Memory {
///     async fn open_sink(&self, hand: SinkHand) -> (Arc<dyn Store>, Arc<dyn Sink>) {
///         let sink = self.store.sink(&self.rows, move |rows: &mut Vec<Noted>, note: &Noted, _| {
///             rows.push(note.clone());
///             hand.take(note).map_err(|error| error.to_string().into())
///         });
///         (self.open().await, sink)
///     }
///
///     async fn rows(&self) -> Vec<Noted> {
///         self.rows.lock().unwrap().clone()
///     }
/// }
///
/// let suite = runtime_suite("memory", || async { Memory::default() });
/// assert_eq!(suite.run("sinks::poison_parks_its_key_only"), Outcome::Passed);
/// ```
#[async_trait]
pub trait SinkUnderTest: Send + Sync {
    /// A further handle, as [`StoreUnderTest::open`](crate::StoreUnderTest::open) gives it, and a sink
    /// of that handle. Of each [`Noted`] the sink adds a row to its table and asks the hand then: what
    /// that answers is what came of the event.
    async fn open_sink(&self, hand: SinkHand) -> (Arc<dyn Store>, Arc<dyn Sink>);

    /// The rows of the table, in the order in which they were added.
    async fn rows(&self) -> Vec<Noted>;
}

/// Tells a sink what to do about an event. Its clones are one. See [`SinkUnderTest`] for an example.
#[derive(Clone)]
pub struct SinkHand(Hand);

impl SinkHand {
    pub(crate) fn new(hand: Hand) -> Self {
        Self(hand)
    }

    /// What comes of an event whose row was added.
    ///
    /// # Errors
    /// The event is to fail with this error, and nothing of its page is to be written.
    ///
    /// # Panics
    /// When that is what the case is about. The sink answers as to an error.
    pub fn take(&self, note: &Noted) -> Result<(), HandlerError> {
        self.0.take_now(note)
    }
}

impl fmt::Debug for SinkHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkHand").finish_non_exhaustive()
    }
}
