//! The bus suite over the bus in memory.

use std::process::ExitCode;

use cqrs_core::memory::MemoryBus;
use cqrs_testing::bus_suite;

fn main() -> ExitCode {
    bus_suite("memory_bus", || async { MemoryBus::default() }).main()
}
