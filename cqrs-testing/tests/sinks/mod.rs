//! The store in memory with sinks, right or broken on purpose.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{Sink, Store};
use cqrs_testing::{Noted, SinkHand, SinkUnderTest, StoreUnderTest};

/// The table of the sinks.
pub(crate) type Rows = Arc<Mutex<Vec<Noted>>>;

/// One way to be broken: a sink around the right one.
pub(crate) trait SinkFault: fmt::Debug + Default + Send + Sync + 'static {
    /// The sink of the store with these rows.
    fn sink(right: Arc<dyn Sink>, rows: Rows) -> Arc<dyn Sink>;
}

/// None.
#[derive(Debug, Default)]
pub(crate) struct Right;

impl SinkFault for Right {
    fn sink(right: Arc<dyn Sink>, _: Rows) -> Arc<dyn Sink> {
        right
    }
}

/// The store in memory, and what its sinks write.
#[derive(Debug, Default)]
pub(crate) struct Memory<F> {
    store: MemoryStore,
    rows: Rows,
    fault: std::marker::PhantomData<F>,
}

#[async_trait]
impl<F: SinkFault> StoreUnderTest for Memory<F> {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn sinks(&self) -> Result<&dyn SinkUnderTest, &'static str> {
        Ok(self)
    }
}

#[async_trait]
impl<F: SinkFault> SinkUnderTest for Memory<F> {
    async fn open_sink(&self, hand: SinkHand) -> (Arc<dyn Store>, Arc<dyn Sink>) {
        let right = self.store.sink(&self.rows, move |rows: &mut Vec<Noted>, note: &Noted, _| {
            rows.push(note.clone());
            hand.take(note).map_err(|error| error.to_string().into())
        });
        (self.open().await, F::sink(right, self.rows.clone()))
    }

    async fn rows(&self) -> Vec<Noted> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
