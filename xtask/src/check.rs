//! `check`: what can be said about the code without running it. A warning is an error.

use crate::command::{self, benchmarks, cargo};
use crate::steps::{Failed, Steps};

/// Formatting, lints, documentation.
pub(crate) fn run(steps: &mut Steps) -> Result<(), Failed> {
    steps.step("formatting", || {
        command::run(cargo(["fmt", "--all", "--check"]))?;
        command::run(benchmarks(["fmt", "--all", "--check"]))
    })?;
    steps.step("lints", || {
        let lints = ["clippy", "--workspace", "--all-targets", "--all-features"];
        command::run(cargo(lints.into_iter().chain(["--", "-D", "warnings"])))?;
        command::run(benchmarks(["clippy", "--locked", "--all-targets", "--", "-D", "warnings"]))
    })?;
    steps.step("documentation", || {
        let mut command = cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        command::run(command)
    })
}
