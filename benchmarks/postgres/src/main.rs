//! The bank account on one PostgreSQL server: hand-written floors, other libraries and this suite.
//!
//! An account is opened, then money is deposited; each command loads its account by replay, decides,
//! and appends one JSON event of about 100 bytes. All contenders use the same server with the same
//! durability; within a round they take turns, and each round starts with another of them.
//!
//! `cargo run --release --bin postgres` reads `POSTGRES_URL`, measures and prints a table;
//! `-- help` lists the options.

mod account;
mod args;
mod contender;
mod contenders;
mod databases;
mod measures;
mod proxy;
mod report;
mod resident;
mod server;
mod statistics;

use std::process::ExitCode;

use args::{Args, Wanted};
use contender::Result;
use databases::Databases;
use report::Report;
use server::Server;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args().skip(1)) {
        Ok(Wanted::Help) => {
            println!("{}", args::USAGE);
            Ok(())
        }
        Ok(Wanted::ReplayHere { contender, url, pool }) => {
            measures::replay::here(&contender, &url, pool).await
        }
        Ok(Wanted::Run(args)) => run(&args).await,
        Err(wrong) => Err(format!("{wrong}\n\n{}", args::USAGE).into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let contenders = contenders::named(&args.only)?;
    let server = Server::from_env().await?;
    let mut report = Report::new(args, server.facts().await?);
    let databases = Databases::new(server);
    let outcome = tokio::select! {
        outcome = measures::run(args, &contenders, &databases, &mut report) => outcome,
        () = stopped() => Err("stopped from outside".into()),
    };
    databases.drop_all().await?;
    outcome?;
    println!("{}", report.table(&contenders));
    if let Some(file) = &args.json {
        std::fs::write(file, report.json()?)
            .map_err(|e| format!("{} could not be written: {e}", file.display()))?;
    }
    match report.failures() {
        0 => Ok(()),
        failures => Err(format!("{failures} measurements failed").into()),
    }
}

/// Ctrl-C or SIGTERM: the databases are dropped then too.
async fn stopped() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
