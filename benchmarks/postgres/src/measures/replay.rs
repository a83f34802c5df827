//! Reading all events, each decoded into its type, in a process of its own.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::in_turn;
use crate::args::Args;
use crate::contender::{Connect, Contender, Result, Totals};
use crate::contenders;
use crate::databases::Databases;
use crate::report::Report;
use crate::resident;

const SPEED: &str = "events per second, replayed";
const MEMORY: &str = "MiB of resident memory, grown";
const EVENTS_PER_ACCOUNT: i32 = 100;

/// What the process says.
#[derive(Debug, Serialize, Deserialize)]
struct Replayed {
    events: u64,
    balance: i64,
    seconds: f64,
    grown_kib: u64,
}

pub(crate) async fn run(
    args: &Args,
    contenders: &[&dyn Contender],
    databases: &Databases,
    report: &mut Report,
) -> Result<()> {
    let accounts = args.events / EVENTS_PER_ACCOUNT;
    let case = format!("{} events", accounts * EVENTS_PER_ACCOUNT);
    let mut ready: Vec<&dyn Contender> = Vec::new();
    for contender in contenders {
        match databases.filled(*contender, accounts, EVENTS_PER_ACCOUNT).await {
            Ok(_) => ready.push(*contender),
            Err(error) => report.fail(&case, *contender, &error),
        }
    }
    for round in 0..args.rounds {
        for contender in in_turn(&ready, round) {
            match cell(args, contender, accounts, databases).await {
                Ok(Replayed { events, seconds, grown_kib, .. }) => {
                    let speed = events as f64 / seconds;
                    eprintln!("round {}: {}: {speed:.0} events/s", round + 1, contender.name());
                    report.add(SPEED, &case, contender, speed);
                    report.add(MEMORY, &case, contender, grown_kib as f64 / 1024.0);
                }
                Err(error) => report.fail(&case, contender, &error),
            }
        }
    }
    Ok(())
}

async fn cell(
    args: &Args,
    contender: &dyn Contender,
    accounts: i32,
    databases: &Databases,
) -> Result<Replayed> {
    let database = databases.filled(contender, accounts, EVENTS_PER_ACCOUNT).await?;
    let url = databases.server().url(&database);
    let output = tokio::process::Command::new(std::env::current_exe()?)
        .args(["replay-here", contender.name(), &url, &args.pool.to_string()])
        .output()
        .await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let replayed: Replayed = serde_json::from_slice(&output.stdout)?;
    Totals { events: replayed.events, balance: replayed.balance }
        .must_be(Totals::filled(accounts, EVENTS_PER_ACCOUNT))?;
    Ok(replayed)
}

/// Replays in this process and prints what came of it.
pub(crate) async fn here(contender: &str, url: &str, pool: u32) -> Result<()> {
    let contender = contenders::all()
        .into_iter()
        .find(|known| known.name() == contender)
        .ok_or_else(|| format!("there is no contender `{contender}`"))?;
    let bank = contender.connect(url, Connect { clients: 1, pool }).await?;
    resident::forget_peak();
    let before = resident::now()?;
    let start = Instant::now();
    let Totals { events, balance } = bank.replay().await?;
    let seconds = start.elapsed().as_secs_f64();
    let grown_kib = resident::peak()?.saturating_sub(before);
    println!("{}", serde_json::to_string(&Replayed { events, balance, seconds, grown_kib })?);
    Ok(())
}
