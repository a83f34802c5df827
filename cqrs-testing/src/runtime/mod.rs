//! The runtime suite: what the runtime promises over any store, case by case.

mod cases;
mod deaths;
mod hand;
mod node;
pub(crate) mod notes;
pub(crate) mod sink;
mod tap;
mod trips;
mod views;
mod world;

use crate::store::fixture::StoreFixture;
use crate::store::suite::Suite;

/// The runtime suite over the stores that a fixture makes: what follows the commits of an app
/// (handlers of events, projections, sagas, timers, the relay) keeps its promises when handlers fail,
/// processes die, leases change hands and answers are lost.
///
/// Retries and timers run in virtual time; only leases are waited for, and those of the suite are
/// short. The cases about sinks are for stores that have some: see
/// [`StoreUnderTest::sinks`](crate::StoreUnderTest::sinks).
///
/// ```no_run
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_testing::runtime_suite;
///
/// fn main() -> std::process::ExitCode {
///     runtime_suite("memory", || async { MemoryStore::default() }).main()
/// }
/// ```
pub fn runtime_suite(name: impl Into<String>, fixture: impl StoreFixture) -> Suite {
    Suite::new(name, cases::all().collect(), fixture)
}
