//! The runtime suite over the store in memory.

mod memory_sinks;

use std::process::ExitCode;

use cqrs_testing::runtime_suite;

use crate::memory_sinks::{Memory, Right};

fn main() -> ExitCode {
    runtime_suite("memory", || async { Memory::<Right>::default() }).main()
}
