//! `test`: everything the build server does.

use crate::command::{self, cargo};
use crate::servers::Servers;
use crate::steps::{Failed, Steps};
use crate::{check, process_log, services};

/// What the tests need, the checks, all tests, then the examples, as a user runs them.
pub(crate) fn run(steps: &mut Steps) -> Result<(), Failed> {
    services::run(steps)?;
    let servers = Servers::start(steps)?;
    check::run(steps)?;
    steps.step("tests", || {
        let mut command = cargo(["test", "--workspace", "--all-features"]);
        command.envs(servers.addresses());
        command::run(command)
    })?;
    steps.step("example hello", || command::run(cargo(["run", "--quiet", "-p", "hello"])))?;
    steps.step("example process-log", process_log::run)
}
