//! The project's own commands: `cargo xtask <task>`.
//!
//! Each task is a file of this crate. It needs nothing but the Rust toolchain; `services` installs
//! what the tests need beside it.

mod bench;
mod chaos;
mod check;
mod command;
mod doc;
mod process_log;
mod python;
mod servers;
mod services;
mod steps;
mod task;
mod test;

use std::env;
use std::process::ExitCode;

use steps::Steps;
use task::{Task, USAGE};

/// Exit codes: 0 for success, 1 for a failed step, 2 for a call that names no task.
fn main() -> ExitCode {
    let args = env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    let task = match Task::parse(args) {
        Ok(task) => task,
        Err(wrong) => {
            eprintln!("error: {wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut steps = Steps::default();
    let outcome = match task {
        Task::Help => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        // Its output is for other programs: addresses and nothing else.
        Task::Serve => {
            return match servers::run() {
                Ok(()) => ExitCode::SUCCESS,
                Err(cause) => {
                    eprintln!("error: {cause}");
                    ExitCode::FAILURE
                }
            };
        }
        Task::Check => check::run(&mut steps),
        Task::Test => test::run(&mut steps),
        Task::Services => services::run(&mut steps),
        Task::Bench { of, args } => bench::run(&mut steps, &of, &args),
        Task::Chaos => chaos::run(&mut steps),
        Task::Doc { open } => doc::run(&mut steps, open),
    };
    println!("\n{steps}");
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("error: {failed}");
            ExitCode::FAILURE
        }
    }
}
