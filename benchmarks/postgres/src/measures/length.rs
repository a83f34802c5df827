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
/// the commands around the 1,000th on one, in turns, so that both meet the same weather.
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
    // One for the long account: some know only the account that they opened last.
    let connect = Connect { clients: 2, pool: args.pool };
    let outcome = async {
        let bank = contender.connect(&url, connect).await?;
        let (mut client, mut other) = (bank.client().await?, bank.client().await?);
        let mut of_short = Vec::with_capacity(SAMPLES);
        let mut of_long = Vec::with_capacity(SAMPLES);
        // Also warms up connection and statements.
        let mut long = Account::open(&mut *other).await?;
        while long.commands < LONG - SAMPLES / 2 {
            long.timed(&mut *other).await?;
        }
        for _ in 0..SAMPLES {
            let mut short = Account::open(&mut *client).await?;
            while short.commands < SHORT - 1 {
                short.timed(&mut *client).await?;
            }
            of_short.push(short.timed(&mut *client).await?);
            short.check(&mut *client).await?;
            of_long.push(long.timed(&mut *other).await?);
        }
        long.check(&mut *other).await?;
        Ok([of_short, of_long].map(|samples| median(&samples).expect("there are samples")))
    }
    .await;
    databases.drop(&database).await?;
    outcome
}

/// An account, and how many commands it was given.
struct Account {
    id: String,
    commands: usize,
}

impl Account {
    async fn open(client: &mut dyn Client) -> Result<Self> {
        Ok(Self { id: client.open().await?, commands: 1 })
    }

    /// Gives one more. Answers with its milliseconds.
    async fn timed(&mut self, client: &mut dyn Client) -> Result<f64> {
        let start = Instant::now();
        client.deposit(&self.id, 1).await?;
        self.commands += 1;
        Ok(start.elapsed().as_secs_f64() * 1_000.0)
    }

    async fn check(&self, client: &mut dyn Client) -> Result<()> {
        let balance = client.balance(&self.id).await?;
        if balance != self.commands as i64 - 1 {
            return Err(format!("{balance} after {} commands", self.commands).into());
        }
        Ok(())
    }
}
