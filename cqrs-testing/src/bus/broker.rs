//! What an adapter hands to the suite for the cases about a broker that dies: one of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::Bus;

/// A broker that nobody else uses, with one bus on it, for the cases about its death. What fails panics, and the
/// case with it. Dropped, the broker is gone.
///
/// See [`BusSuite::with_broker`](crate::BusSuite::with_broker) for an example.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// A connection to the bus, whose calls wait for so long while the broker is out of reach.
    async fn connect(&self, way: Way, patience: Duration) -> Arc<dyn Bus>;

    /// `kill -9` of the broker.
    fn kill(&mut self);

    /// Starts it again where it was, with what it has stored, and waits until it answers.
    fn start_again(&mut self);

    /// Cuts all connections that were made [over a proxy](Way::OverProxy); others can be made.
    fn cut(&self);

    /// From now on nothing goes over the proxy any more.
    fn cut_for_good(&mut self);
}

/// How a connection to a [`Broker`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Straight.
    Straight,
    /// Over something that can cut it.
    OverProxy,
}
