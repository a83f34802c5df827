//! `chaos`: the long form of the fault tests.

use std::env;
use std::ffi::OsString;

use crate::command::{self, cargo};
use crate::servers::Servers;
use crate::steps::{Failed, Steps};

/// What makes the tests long. A value that is set already stays.
const LONG: [(&str, &str); 10] = [
    // How often a process is killed while it commits.
    ("CRASH_ROUNDS", "200"),
    // How often nodes are killed while they handle events.
    ("NODE_KILLS", "200"),
    // How long readers race with writers.
    ("RACE_SECONDS", "60"),
    // How often PostgreSQL and MongoDB are killed, and a connection to them cut, while tasks commit.
    ("SERVER_KILLS", "20"),
    ("CONNECTION_CUTS", "200"),
    // How many hundred messages of each key are sent while connections to a broker are cut four times a second.
    ("CUT_ROUNDS", "15"),
    // How often the learning platform is killed under load.
    ("KILL_ROUNDS", "50"),
    // How many students enrol, and how often it is killed at a random moment meanwhile.
    ("STORM_ENROLMENTS", "2000"),
    ("STORM_KILLS", "200"),
    // At how many points of each way of an enrolment the platform ends itself.
    ("FAULT_STEPS", "all"),
];

/// Runs the tests of the stores and the fault tests of the buses, optimised, for a faster writer leaves a reader less
/// time; then kills the learning platform.
pub(crate) fn run(steps: &mut Steps) -> Result<(), Failed> {
    let servers = Servers::start(steps)?;
    let test = |args: &[&str]| {
        let mut command = cargo(["test", "--release"]);
        command.args(args).envs(settings(|name| env::var_os(name))).envs(servers.addresses());
        command::run(command)
    };
    steps.step("fault tests of SQLite", || test(&["-p", "store-sqlite"]))?;
    steps.step("fault tests of PostgreSQL", || {
        // One after the other: what one waits is not to be another one's doing.
        let only = ["--test", "postgres", "--", "--nocapture", "--test-threads", "1"];
        test(&[&["-p", "store-postgres"], &only[..]].concat())
    })?;
    steps.step("fault tests of MongoDB", || {
        let only = ["--test", "mongo", "--", "--nocapture", "--test-threads", "1"];
        test(&[&["-p", "store-mongo"], &only[..]].concat())
    })?;
    steps.step("fault tests of the buses", || {
        let only = ["--test", "suite", "--", "faults"];
        test(&[&["-p", "bus-nats", "-p", "bus-rabbitmq"], &only[..]].concat())
    })?;
    steps.step("kill -9 of the service", || {
        let only = ["--test", "platform", "--", "kill::", "--nocapture"];
        test(&[&["-p", "learning-platform"], &only[..]].concat())
    })?;
    steps.step("a death at every step", || {
        let only = ["--test", "platform", "--", "steps::", "--nocapture"];
        test(&[&["-p", "learning-platform"], &only[..]].concat())
    })?;
    steps.step("storm of kills", || {
        let only = ["storm", "--nocapture", "--test-threads", "1"];
        test(&[&["-p", "learning-platform", "--test", "platform", "--"], &only[..]].concat())
    })
}

fn settings(
    current: impl Fn(&str) -> Option<OsString>,
) -> impl Iterator<Item = (&'static str, OsString)> {
    LONG.into_iter().map(move |(name, long)| (name, current(name).unwrap_or_else(|| long.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_set_already_stays() {
        let current = |name: &str| (name == "CRASH_ROUNDS").then(|| "9".into());
        let settings: Vec<_> = settings(current).collect();
        let (race, kill) = (("RACE_SECONDS", "60".into()), ("KILL_ROUNDS", "50".into()));
        let nodes = ("NODE_KILLS", "200".into());
        let server = [
            ("SERVER_KILLS", "20".into()),
            ("CONNECTION_CUTS", "200".into()),
            ("CUT_ROUNDS", "15".into()),
        ];
        let storm = [("STORM_ENROLMENTS", "2000".into()), ("STORM_KILLS", "200".into())];
        let steps = [("FAULT_STEPS", "all".into())];
        let expected =
            [&[("CRASH_ROUNDS", "9".into()), nodes, race][..], &server, &[kill], &storm, &steps]
                .concat();
        assert_eq!(settings, expected);
    }
}
