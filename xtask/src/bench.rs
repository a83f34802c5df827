//! `bench`: the benchmarks, each against a floor or a peer that it measures itself.

use crate::command::{self, benchmarks, cargo};
use crate::servers::Servers;
use crate::steps::{Failed, Steps};
use crate::task::Benchmark;

/// Runs them; the arguments go to the benchmark as they are.
pub(crate) fn run(steps: &mut Steps, of: &[Benchmark], args: &[String]) -> Result<(), Failed> {
    let needs_servers = of.iter().any(|benchmark| benchmark.needs_servers());
    let servers = if needs_servers { Servers::start(steps)? } else { Servers::default() };
    for benchmark in of {
        match benchmark {
            Benchmark::Sqlite => {
                package(steps, &servers, "benchmark sqlite", ["store-sqlite", "sqlite"], args)
            }
            Benchmark::Http => {
                package(steps, &servers, "benchmark http", ["learning-platform", "http"], args)
            }
            Benchmark::Dispatch => {
                comparison(steps, &servers, "benchmark dispatch", "dispatch", args)
            }
            Benchmark::Postgres => {
                comparison(steps, &servers, "benchmark postgres", "postgres", args)
            }
            Benchmark::Mongo => {
                package(steps, &servers, "benchmark mongo", ["store-mongo", "mongo"], args)
            }
            Benchmark::Nats => {
                package(steps, &servers, "benchmark nats", ["bus-nats", "nats"], args)
            }
            Benchmark::Rabbitmq => {
                package(steps, &servers, "benchmark rabbitmq", ["bus-rabbitmq", "rabbitmq"], args)
            }
        }?;
    }
    Ok(())
}

fn package(
    steps: &mut Steps,
    servers: &Servers,
    step: &'static str,
    [package, name]: [&str; 2],
    args: &[String],
) -> Result<(), Failed> {
    steps.step(step, || {
        let mut command = cargo(["bench", "-p", package, "--bench", name, "--"]);
        command.args(args).envs(servers.addresses());
        command::run(command)
    })
}

/// The comparisons with other libraries have a workspace of their own.
fn comparison(
    steps: &mut Steps,
    servers: &Servers,
    step: &'static str,
    program: &str,
    args: &[String],
) -> Result<(), Failed> {
    steps.step(step, || {
        let mut command = benchmarks(["run", "--release", "--bin", program]);
        command.arg("--").args(args).envs(servers.addresses());
        command::run(command)
    })
}
