//! A race of processes on one log: some write as fast as they can, others read meanwhile, and in the end everybody was
//! given what is there, in its order (P3, P4).
//!
//! For stores that several processes share. The suite has readers and writers too, all of one process; here each
//! process has a store of its own, and can be stopped or killed in the middle of its commits.
//!
//! A test starts its own binary again as a [`Racer`], with another test that calls [`write()`]:
//!
//! ```no_run
//! use std::process::{Command, Stdio};
//! use std::sync::Arc;
//!
//! use cqrs_core::Store;
//! use cqrs_core::memory::MemoryStore;
//! use cqrs_testing::race::{self, Racer, Readers, Took};
//!
//! fn connect() -> Arc<dyn Store> {
//!     Arc::new(MemoryStore::default()) // one that processes share
//! }
//!
//! // The process that writes.
//! async fn process_that_races() {
//!     race::write(connect(), "one").await;
//! }
//!
//! // The test.
//! async fn what_a_reader_was_given_is_final() {
//!     let mut process = Command::new(std::env::current_exe().unwrap())
//!         .args(["--exact", "process_that_races", "--nocapture"])
//!         .stdin(Stdio::piped())
//!         .stdout(Stdio::piped())
//!         .spawn()
//!         .unwrap();
//!     let mut racer = Racer::of(&mut process);
//!     let readers = Readers::begin(&connect(), race::filters("one", "one"));
//!     racer.begins();
//!     // Here it is stopped for a while, and others are in its way.
//!     let raced = racer.ends();
//!     process.wait().unwrap();
//!     let log = readers.end(&*connect()).await;
//!     println!("{} events; {}", log.len(), Took::of(&raced.waited));
//! }
//! ```

mod readers;
mod writers;

pub use readers::{Readers, filters};
pub use writers::{Raced, Racer, Took, Waited, now, write};
