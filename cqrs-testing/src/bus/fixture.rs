//! What an adapter hands to the suite: how to make an empty bus, and how to connect to it.

use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::Bus;
use cqrs_core::memory::MemoryBus;

/// Makes new buses, without groups and messages: every case gets one. On a server that several cases
/// use, it is one with a prefix of its own.
///
/// A closure is one when its future gives a [`BusUnderTest`]. When no bus can be made, because its
/// server is not there, `create` panics, and the case fails with what it says.
///
/// See [`bus_suite`](crate::bus_suite) for an example.
#[async_trait]
pub trait BusFixture: Send + Sync + 'static {
    /// A new bus. What it lives in is dropped with the value.
    async fn create(&self) -> Box<dyn BusUnderTest>;
}

/// One bus, to which any number of connections can be made.
///
/// A closure is one when its future gives an `Arc<dyn Bus>`; every call must connect to the same bus,
/// as another process would. So is a [`MemoryBus`].
///
/// See [`bus_suite`](crate::bus_suite) for an example.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no bus under test",
    note = "give a closure that connects to it: `move || async move {{ Arc::new(bus) as Arc<dyn Bus> }}`"
)]
pub trait BusUnderTest: Send + Sync {
    /// A further connection.
    async fn connect(&self) -> Arc<dyn Bus>;
}

#[async_trait]
impl<F, Fut, U> BusFixture for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = U> + Send,
    U: BusUnderTest + 'static,
{
    async fn create(&self) -> Box<dyn BusUnderTest> {
        Box::new(self().await)
    }
}

#[async_trait]
impl<F, Fut> BusUnderTest for F
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Arc<dyn Bus>> + Send,
{
    async fn connect(&self) -> Arc<dyn Bus> {
        self().await
    }
}

#[async_trait]
impl BusUnderTest for MemoryBus {
    async fn connect(&self) -> Arc<dyn Bus> {
        Arc::new(MemoryBus::connect(self))
    }
}
