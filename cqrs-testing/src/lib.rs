//! Given-when-then scenarios for domains, apps in virtual time, and conformance suites for stores and
//! buses.
//!
//! # What it is
//!
//! Whoever writes a domain tests it here, without a store: a [`Scenario`](scenario::Scenario) says
//! what happened before, which command came, and what followed from it. What follows from a commit
//! (handlers of events, projections, sagas, retries, timers) is tested with a [`Harness`]: the whole app
//! under a clock that moves when it is told to.
//!
//! Whoever writes an adapter proves it here: [`store_suite`] holds a store to every promise of the
//! [`Store`](cqrs_core::Store) port, [`bus_suite`] to those of a [`Bus`](cqrs_core::Bus), and
//! [`runtime_suite`] runs the runtime over a store, one named case a behaviour.
//!
//! # The smallest program
//!
//! `tests/suite.rs` of the adapter, with `harness = false` in its `[[test]]` section:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use std::sync::Arc;
//!
//! use cqrs_testing::store_suite;
//! # use cqrs_core::memory::MemoryStore as MyStore;
//!
//! fn main() -> ExitCode {
//!     store_suite("mine", || async { Arc::new(MyStore::default()) }).main()
//! }
//! ```
//!
//! [`store_suite`] shows one on disk as well.
//!
//! # How the parts fit
//!
//! A [`StoreFixture`] makes new, empty stores; each is a [`StoreUnderTest`], which opens any number of handles
//! on itself, as so many processes would. Closures are both. A [`Suite`] runs its cases on them, each on a
//! store and in a runtime of its own, and answers with an [`Outcome`]: as a test binary that `cargo test` and
//! `cargo nextest` know how to drive, or from code. For buses, a [`BusFixture`] makes [`BusUnderTest`]s, and a
//! [`BusSuite`] runs its cases on them; a [`Broker`] is one that can be killed. Stores on a server have more to
//! prove, which a test of their own sets up: a [`Load`] of commits goes on while the server is killed, and
//! processes [`race`].
//!
//! # What it covers
//!
//! | | |
//! |---|---|
//! | commits | expectations, guards, all or nothing over every part, repeats, the inbox, limits, hostile names, tenants |
//! | reading | streams, the log, filters, pages, snapshots, reading while others write |
//! | documents | versions, unique and indexed fields, paging, declaring, purging |
//! | leases | terms, tokens, takeovers, races, and the fences of commits under them |
//! | timers | due, set anew, cancelled, fired once |
//! | outgoing messages | order, positions in one count with events, pages, settled once |
//! | what is set aside | every field, expectations, every filter, done once |
//! | what lasts | all of it after the store was opened anew; hints that wake up readers |
//!
//! # What it promises
//!
//! A case that fails names the behaviour that is missing. A case that needs something that the
//! store declares not to offer is ignored, and says why; a server that is not there is a failure,
//! never silence. The suite is itself tested: stores that are broken on purpose, one for each kind
//! of mistake, must fail the case that is meant to catch them.
//!
//! # What can go wrong
//!
//! Races show with some probability only: `RACE_SECONDS` (default 2) and `MODEL_RUNS` (default 20)
//! set how long the suite looks for them, and `MODEL_SEED` repeats a run that failed.
//!
//! How long an inbox knows a message shows only for a store that keeps it for a few seconds: run the
//! suite, or its case, over a store that is configured so.

mod bus;
pub mod faults;
mod harness;
mod load;
pub mod race;
mod runtime;
pub mod scenario;
mod store;

pub use bus::broker::{Broker, Way};
pub use bus::fixture::{BusFixture, BusUnderTest};
pub use bus::suite::{BusSuite, bus_suite};
pub use harness::Harness;
pub use load::Load;
pub use runtime::notes::Noted;
pub use runtime::runtime_suite;
pub use runtime::sink::{SinkHand, SinkUnderTest};
pub use store::fixture::{StoreFixture, StoreUnderTest};
pub use store::suite::{Outcome, Suite, run_suites, store_suite};
