//! `bench`: the benchmarks, each against a floor or a peer that it measures itself.

use crate::command::{self, cargo};
use crate::steps::{Failed, Steps};
use crate::task::Benchmark;

/// Runs them; the arguments go to the benchmark as they are.
pub(crate) fn run(steps: &mut Steps, of: &[Benchmark], args: &[String]) -> Result<(), Failed> {
    for benchmark in of {
        let (step, package, name) = match benchmark {
            Benchmark::Sqlite => ("benchmark sqlite", "store-sqlite", "sqlite"),
            Benchmark::Http => ("benchmark http", "learning-platform", "http"),
        };
        steps.step(step, || {
            let mut command = cargo(["bench", "-p", package, "--bench", name, "--"]);
            command.args(args);
            command::run(command)
        })?;
    }
    Ok(())
}
