//! What an adapter hands to the suite: how to make an empty store, and how to open it.

use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::Store;
use cqrs_core::memory::MemoryStore;

use crate::runtime::sink::SinkUnderTest;

/// Makes new, empty stores: every case gets one.
///
/// A closure is one when its future gives a [`StoreUnderTest`]. When no store can be made, because
/// its server is not there, `create` panics, and the case fails with what it says.
///
/// See [`store_suite`](crate::store_suite) for an example.
#[async_trait]
pub trait StoreFixture: Send + Sync + 'static {
    /// A new, empty store. What it lives in is dropped with the value.
    async fn create(&self) -> Box<dyn StoreUnderTest>;
}

/// One store, of which any number of handles can be opened.
///
/// A closure is one when its future gives an `Arc<dyn Store>`; what it captures (a directory for
/// the time of the test, the name of a database) lives as long as the store. Every call must open
/// the same store. So is an `Arc` of a store that lives in one process.
///
/// See [`store_suite`](crate::store_suite) for an example.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store under test",
    note = "for a store that lives in one process: `|| async {{ Arc::new(MyStore::default()) }}`",
    note = "for any other: a closure that opens it, `move || async move {{ Arc::new(store) as Arc<dyn Store> }}`"
)]
pub trait StoreUnderTest: Send + Sync {
    /// A further handle, opened as another process would open it. A store that lives in one process
    /// gives a clone.
    async fn open(&self) -> Arc<dyn Store>;

    /// Its sinks, for the cases of the [`runtime_suite`](crate::runtime_suite) about them. Provided:
    /// it has none, and those cases are ignored.
    ///
    /// # Errors
    /// Why it has none.
    fn sinks(&self) -> Result<&dyn SinkUnderTest, &'static str> {
        Err("the fixture makes no sinks")
    }
}

#[async_trait]
impl<F, Fut, U> StoreFixture for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = U> + Send,
    U: StoreUnderTest + 'static,
{
    async fn create(&self) -> Box<dyn StoreUnderTest> {
        Box::new(self().await)
    }
}

#[async_trait]
impl<F, Fut> StoreUnderTest for F
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Arc<dyn Store>> + Send,
{
    async fn open(&self) -> Arc<dyn Store> {
        self().await
    }
}

#[async_trait]
impl StoreUnderTest for MemoryStore {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl<S: Store> StoreUnderTest for Arc<S> {
    async fn open(&self) -> Arc<dyn Store> {
        self.clone()
    }
}
