//! `bench`: the benchmarks, each against a floor or a peer that it measures itself.

use crate::command::{self, benchmarks, cargo};
use crate::steps::{Failed, Steps};
use crate::task::Benchmark;

/// Runs them; the arguments go to the benchmark as they are.
pub(crate) fn run(steps: &mut Steps, of: &[Benchmark], args: &[String]) -> Result<(), Failed> {
    for benchmark in of {
        match benchmark {
            Benchmark::Sqlite => {
                package(steps, "benchmark sqlite", ["store-sqlite", "sqlite"], args)
            }
            Benchmark::Http => {
                package(steps, "benchmark http", ["learning-platform", "http"], args)
            }
            Benchmark::Dispatch => comparison(steps, "benchmark dispatch", "dispatch", args),
            Benchmark::Postgres => comparison(steps, "benchmark postgres", "postgres", args),
        }?;
    }
    Ok(())
}

fn package(
    steps: &mut Steps,
    step: &'static str,
    [package, name]: [&str; 2],
    args: &[String],
) -> Result<(), Failed> {
    steps.step(step, || {
        let mut command = cargo(["bench", "-p", package, "--bench", name, "--"]);
        command.args(args);
        command::run(command)
    })
}

/// The comparisons with other libraries have a workspace of their own.
fn comparison(
    steps: &mut Steps,
    step: &'static str,
    program: &str,
    args: &[String],
) -> Result<(), Failed> {
    steps.step(step, || {
        let mut command = benchmarks(["run", "--release", "--bin", program]);
        command.arg("--").args(args);
        command::run(command)
    })
}
