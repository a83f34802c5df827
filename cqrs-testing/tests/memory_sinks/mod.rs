//! The store in memory with sinks, right or broken on purpose.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{Sink, Store};
use cqrs_testing::{Noted, SinkHand, SinkUnderTest, StoreUnderTest};

/// One way to be broken: a sink around the right one.
pub(crate) trait SinkFault: Send + Sync + 'static {
    fn around(right: Arc<dyn Sink>) -> Arc<dyn Sink>;
}

/// None.
pub(crate) struct Right;

impl SinkFault for Right {
    fn around(right: Arc<dyn Sink>) -> Arc<dyn Sink> {
        right
    }
}

/// The store in memory, and what its sinks write.
pub(crate) struct Memory<F> {
    store: MemoryStore,
    rows: Arc<Mutex<Vec<Noted>>>,
    fault: PhantomData<F>,
}

impl<F> Default for Memory<F> {
    fn default() -> Self {
        Self { store: MemoryStore::default(), rows: Arc::default(), fault: PhantomData }
    }
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
        (self.open().await, F::around(right))
    }

    async fn rows(&self) -> Vec<Noted> {
        self.rows.lock().expect("no panic").clone()
    }
}
