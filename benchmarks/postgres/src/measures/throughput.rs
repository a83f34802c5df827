//! Commands per second of many clients, each with accounts of its own.

use std::time::{Duration, Instant};

use super::{THERE_BEFORE, in_turn};
use crate::args::Args;
use crate::contender::{Bank, Client, Connect, Contender, Result, Totals};
use crate::databases::Databases;
use crate::report::{COMMANDS, Report};

/// An account lives this long: it is opened, then come deposits; all of them are commands.
const COMMANDS_PER_ACCOUNT: i64 = 10;

/// What part of the window goes before it, uncounted.
const WARM_UP: f64 = 0.4;

pub(crate) async fn run(
    args: &Args,
    contenders: &[&dyn Contender],
    databases: &Databases,
    report: &mut Report,
) -> Result<()> {
    for round in 0..args.rounds {
        for &clients in &args.clients {
            let case =
                if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
            for contender in in_turn(contenders, round) {
                match cell(args, contender, clients, databases).await {
                    Ok(cell) => {
                        let name = contender.name();
                        eprintln!("round {}: {name}, {case}: {:.0}/s", round + 1, cell.per_second);
                        report.add(COMMANDS, &case, contender, cell.per_second);
                        if cell.repeats > 0.0 {
                            report.add("repeats per command", &case, contender, cell.repeats);
                        }
                    }
                    Err(error) => report.fail(&case, contender, &error),
                }
            }
        }
    }
    Ok(())
}

struct Cell {
    per_second: f64,
    repeats: f64,
}

async fn cell(
    args: &Args,
    contender: &dyn Contender,
    clients: usize,
    databases: &Databases,
) -> Result<Cell> {
    let (_, events) = THERE_BEFORE;
    let accounts = args.there / events;
    let template = databases.filled(contender, accounts, events).await?;
    let database = databases.copy_of(&template).await?;
    let url = databases.server().url(&database);
    let connect = Connect { clients, pool: args.pool };
    let outcome = async {
        let bank = contender.connect(&url, connect).await?;
        let (cell, written) = measured(&*bank, clients, args.window).await?;
        bank.replay().await?.must_be(Totals::filled(accounts, events).and(written))?;
        Ok(cell)
    }
    .await;
    databases.drop(&database).await?;
    outcome
}

/// When a command counts.
#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    until: Instant,
}

async fn measured(bank: &dyn Bank, clients: usize, window: Duration) -> Result<(Cell, Totals)> {
    let mut at_once = Vec::with_capacity(clients);
    for _ in 0..clients {
        at_once.push(bank.client().await?);
    }
    let from = Instant::now() + window.mul_f64(WARM_UP);
    let until = from + window;
    let tasks: Vec<_> = at_once
        .into_iter()
        .map(|client| tokio::spawn(work(client, Window { from, until })))
        .collect();
    let mut all_worked = Vec::with_capacity(clients);
    for task in tasks {
        all_worked.push(task.await??);
    }
    let (mut counted, mut repeats, mut written) = (0, 0, Totals::default());
    for mut worked in all_worked {
        worked.check().await?;
        counted += worked.counted;
        repeats += worked.repeats;
        written = written.and(worked.written);
    }
    let cell = Cell {
        per_second: counted as f64 / window.as_secs_f64(),
        repeats: repeats as f64 / written.events as f64,
    };
    Ok((cell, written))
}

struct Worked {
    client: Box<dyn Client>,
    counted: u64,
    repeats: u64,
    written: Totals,
    /// The account that it had last, and what must be on it.
    last: (String, i64),
}

impl Worked {
    /// Once all have ended: not every store shows what it stored while others write.
    async fn check(&mut self) -> Result<()> {
        let (account, balance) = &self.last;
        let replayed = self.client.balance(account).await?;
        if replayed != *balance {
            return Err(format!("{replayed} on an account with {balance}").into());
        }
        Ok(())
    }
}

async fn work(mut client: Box<dyn Client>, window: Window) -> Result<Worked> {
    let (mut counted, mut written) = (0, Totals::default());
    loop {
        let account = client.open().await?;
        let mut balance = 0;
        for amount in 0..COMMANDS_PER_ACCOUNT {
            if amount > 0 {
                client.deposit(&account, amount).await?;
                balance += amount;
            }
            written.add(amount);
            let now = Instant::now();
            if now >= window.until {
                let (repeats, last) = (client.repeats(), (account, balance));
                return Ok(Worked { client, counted, repeats, written, last });
            }
            counted += u64::from(now >= window.from);
        }
    }
}
