//! `process-log`: a process log in, events out, a report back.

mod bounded;
mod case;
mod history;
mod import;
mod report;
mod rows;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cqrs_core::{BoxError, Timestamp};

/// Imports a process log as commands on event-sourced cases, and reports on it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Turns each row of a CSV file into a command. Running it again adds nothing twice.
    Import {
        /// The file; its columns are `case:concept:name`, `concept:name`, `org:resource` and
        /// `time:timestamp`, others are ignored.
        file: PathBuf,
        #[command(flatten)]
        store: StoreArgument,
    },
    /// Reads the log and prints figures of it as JSON.
    Report {
        #[command(flatten)]
        store: StoreArgument,
    },
    /// Prints the events of a case.
    History {
        /// The case.
        case: String,
        /// Prints the state at this time instead (RFC 3339).
        #[arg(long)]
        at: Option<Timestamp>,
        #[command(flatten)]
        store: StoreArgument,
    },
}

#[derive(clap::Args)]
struct StoreArgument {
    /// Where the events are: `sqlite:PATH`, `postgres://…`, `mongodb://…` or `memory:`.
    #[arg(long = "store", env = "STORE_URL", default_value = "sqlite:process-log.db")]
    url: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("process-log: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, BoxError> {
    match command {
        Command::Import { file, store } => {
            let store = store::Opened::at(&store.url).await?;
            let imported = import::import(&file, store.store.clone()).await?;
            eprintln!("{imported}");
            if store.in_memory {
                // There is nobody else to ask for it.
                report::print(&*store.store).await?;
            }
            store.close().await?;
            Ok(if imported.bad_rows == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
        }
        Command::Report { store } => {
            let store = store::Opened::at(&store.url).await?;
            report::print(&*store.store).await?;
            store.close().await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::History { case, at, store } => {
            let store = store::Opened::at(&store.url).await?;
            history::print(store.store.clone(), &case, at).await?;
            store.close().await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
