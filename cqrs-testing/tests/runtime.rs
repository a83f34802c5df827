//! The runtime suite over the store in memory.

use std::process::ExitCode;

use cqrs_core::memory::MemoryStore;
use cqrs_testing::runtime_suite;

fn main() -> ExitCode {
    runtime_suite("memory", || async { MemoryStore::default() }).main()
}
