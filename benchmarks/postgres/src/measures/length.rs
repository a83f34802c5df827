//! What the length of an account costs: its 1,000th command beside the 10th, for one client.

use std::time::Instant;

use super::{THERE_BEFORE, in_turn};
use crate::args::Args;
use crate::contender::{Client, Connect, Contender, Result};
use crate::databases::Databases;
use crate::report::Report;
use crate::statistics::median;

const MEASURE: &str = "milliseconds of a command";

/// Each figure of a round is the median of so many: of the 10th command on as many accounts, and of
/// the commands around the 1,000th on one.
const SAMPLES: usize = 20;
const SHORT: usize = 10;
const LONG: usize = 1_000;

pub(crate) async fn run(
    args: &Args,
    contenders: &[&dyn Contender],
    databases: &Databases,
    report: &mut Report,
) -> Result<()> {
    for round in 0..args.rounds {
        for contender in in_turn(contenders, round) {
            match cell(args, contender, databases).await {
                Ok([short, long]) => {
                    let name = contender.name();
                    eprintln!("round {}: {name}: {short:.3} ms, then {long:.3} ms", round + 1);
                    report.add(MEASURE, "the 10th", contender, short);
                    report.add(MEASURE, "the 1,000th", contender, long);
                    report.add(MEASURE, "1,000th / 10th", contender, long / short);
                }
                Err(error) => report.fail(MEASURE, contender, &error),
            }
        }
    }
    Ok(())
}

async fn cell(args: &Args, contender: &dyn Contender, databases: &Databases) -> Result<[f64; 2]> {
    let (accounts, events) = THERE_BEFORE;
    let template = databases.filled(contender, accounts, events).await?;
    let database = databases.copy_of(&template).await?;
    let url = databases.server().url(&database);
    let connect = Connect { clients: 1, pool: args.pool };
    let outcome = async {
        let bank = contender.connect(&url, connect).await?;
        let mut client = bank.client().await?;
        // Warms up connection and statements.
        timed(&mut *client, SHORT, 0).await?;
        let mut short = Vec::with_capacity(SAMPLES);
        for _ in 0..SAMPLES {
            short.extend(timed(&mut *client, SHORT, 1).await?);
        }
        let long = timed(&mut *client, LONG + SAMPLES / 2, SAMPLES).await?;
        Ok([short, long].map(|samples| median(&samples).expect("there are samples")))
    }
    .await;
    databases.drop(&database).await?;
    outcome
}

/// Gives commands to a new account; answers with the milliseconds of the last ones.
async fn timed(client: &mut dyn Client, commands: usize, last: usize) -> Result<Vec<f64>> {
    let account = client.open().await?;
    let mut milliseconds = Vec::with_capacity(last);
    for command in 2..=commands {
        let start = Instant::now();
        client.deposit(&account, 1).await?;
        if command > commands - last {
            milliseconds.push(start.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    let balance = client.balance(&account).await?;
    if balance != commands as i64 - 1 {
        return Err(format!("{balance} after {commands} commands").into());
    }
    Ok(milliseconds)
}
