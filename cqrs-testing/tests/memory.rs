//! The store suite over the store in memory.

use std::process::ExitCode;

use cqrs_core::memory::MemoryStore;
use cqrs_testing::store_suite;

fn main() -> ExitCode {
    store_suite("memory", || async { MemoryStore::default() }).main()
}
