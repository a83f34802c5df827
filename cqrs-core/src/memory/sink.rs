//! A sink of the memory store: the user's tables are a value in the memory of the process.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::error::{BoxError, Error, Result, panic_text};
use crate::memory::MemoryStore;
use crate::message::event::EventType;
use crate::message::event_set::EventSet;
use crate::port::commit::{Commit, Committed};
use crate::port::page::Recorded;
use crate::port::sink::{Sink, SinkEvents};

impl MemoryStore {
    /// A [`Sink`] into a value, all or nothing: for tests of what is written with the sinks of other
    /// stores.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use cqrs_core::memory::MemoryStore;
    /// # use cqrs_core::{App, Event, EventType};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Debug, Clone, Serialize, Deserialize)]
    /// # struct Deposited { amount: u64 }
    /// # impl Event for Deposited {
    /// #     const TYPES: &'static [EventType] = &[EventType::new("bank.deposited", "Deposited")];
    /// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
    /// # }
    ///
    /// let store = MemoryStore::default();
    /// let total = Arc::new(Mutex::new(0));
    /// let sink = store.sink(&total, |total: &mut u64, event: &Deposited, _| {
    ///     *total += event.amount;
    ///     Ok(())
    /// });
    /// let app = App::builder().store(store).sink("bank.total", sink).build().unwrap();
    /// # let _ = app;
    /// ```
    pub fn sink<S, E, F>(&self, state: &Arc<Mutex<S>>, apply: F) -> Arc<dyn Sink>
    where
        S: Clone + Send + 'static,
        E: EventSet,
        F: Fn(&mut S, &E, &Recorded<'_>) -> Result<(), BoxError> + Send + Sync + 'static,
    {
        let (store, state) = (self.clone(), state.clone());
        let apply: Apply<S> = Box::new(move |state, event| {
            let Some(decoded) = event.decode::<E>()? else { return Ok(()) };
            let done = catch_unwind(AssertUnwindSafe(|| apply(state, &decoded.data, event)));
            let done = done.unwrap_or_else(|panic| {
                Err(format!("it panicked: {}", panic_text(&*panic)).into())
            });
            done.map_err(|cause| Error::event_not_handled("a sink in memory", event, cause))
        });
        Arc::new(MemorySink { store, types: E::types(), state, apply })
    }
}

type Apply<S> = Box<dyn Fn(&mut S, &Recorded<'_>) -> Result<()> + Send + Sync>;

struct MemorySink<S> {
    store: MemoryStore,
    types: Vec<EventType>,
    state: Arc<Mutex<S>>,
    apply: Apply<S>,
}

#[async_trait]
impl<S: Clone + Send + 'static> Sink for MemorySink<S> {
    fn types(&self) -> Vec<EventType> {
        self.types.clone()
    }

    async fn apply(&self, events: SinkEvents, commit: Commit) -> Result<Committed> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = state.clone();
        events.iter().try_for_each(|event| (self.apply)(&mut next, &event))?;
        let committed = self.store.write(commit)?;
        if matches!(committed, Committed::Now { .. }) {
            *state = next;
        }
        Ok(committed)
    }
}

impl<S> fmt::Debug for MemorySink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = self.types.iter().map(|event_type| event_type.name);
        f.debug_tuple("MemorySink").field(&types.collect::<Vec<_>>()).finish()
    }
}
