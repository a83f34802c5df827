//! The process-log example as a user runs it. What it reports is compared by its own tests.

use std::fs;
use std::process;

use crate::command::{self, Cause, cargo, target};

/// Imports the sample into a database that only this run uses, reports on it, looks at one case.
/// The database is removed, unless something went wrong with it.
pub(crate) fn run() -> Result<(), Cause> {
    let folder = target().join("xtask").join(format!("process-log-{}", process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let store = format!("sqlite:{}", folder.join("log.db").display());
    let process_log = |args: &[&str]| {
        let mut command = cargo(["run", "--quiet", "-p", "process-log", "--"]);
        command.args(args).args(["--store", &store]);
        command::run(command)
    };
    process_log(&["import", "examples/process-log/sample.csv"])
        .and_then(|()| process_log(&["report"]))
        .and_then(|()| process_log(&["history", "order-001"]))
        .map_err(|cause| format!("{cause}\nthe database is kept in {}", folder.display()))?;
    fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))
}
