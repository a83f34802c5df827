//! `doc`: the documentation of the workspace.

use crate::command::{self, cargo};
use crate::steps::{Failed, Steps};

/// Builds it, and opens it in a browser on request.
pub(crate) fn run(steps: &mut Steps, open: bool) -> Result<(), Failed> {
    steps.step("documentation", || {
        let mut command = cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
        if open {
            command.arg("--open");
        }
        command::run(command)
    })
}
