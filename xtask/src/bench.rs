//! `bench`: the benchmarks of the SQLite store.

use crate::command::{self, cargo};
use crate::steps::{Failed, Steps};

/// Runs them; the arguments go to the benchmark as they are.
pub(crate) fn run(steps: &mut Steps, args: &[String]) -> Result<(), Failed> {
    steps.step("benchmarks", || {
        let mut command = cargo(["bench", "-p", "store-sqlite", "--bench", "sqlite", "--"]);
        command.args(args);
        command::run(command)
    })
}
