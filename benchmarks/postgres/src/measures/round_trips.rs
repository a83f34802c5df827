//! Round trips of a command, once everything is warm.

use super::THERE_BEFORE;
use crate::args::Args;
use crate::contender::{Connect, Contender, Result};
use crate::databases::Databases;
use crate::proxy::Proxy;
use crate::report::Report;

const MEASURE: &str = "round trips per command";

/// Accounts that are opened, with a deposit each, until pools and statements are warm.
const WARM_UP: usize = 50;

/// Of one account, all together: what is done only now and then hardly shows.
const DEPOSITS: i64 = 30;

/// Once is enough: they are counted, not timed.
pub(crate) async fn run(
    args: &Args,
    contenders: &[&dyn Contender],
    databases: &Databases,
    report: &mut Report,
) -> Result<()> {
    for contender in contenders {
        match cell(args, *contender, databases).await {
            Ok(round_trips) => {
                eprintln!("{}: {round_trips:.2} round trips", contender.name());
                report.add(MEASURE, "a deposit", *contender, round_trips);
            }
            Err(error) => report.fail(MEASURE, *contender, &error),
        }
    }
    Ok(())
}

async fn cell(args: &Args, contender: &dyn Contender, databases: &Databases) -> Result<f64> {
    let (accounts, events) = THERE_BEFORE;
    let template = databases.filled(contender, accounts, events).await?;
    let database = databases.copy_of(&template).await?;
    let server = databases.server();
    let proxy = Proxy::to(&server.host, server.port).await?;
    let address = proxy.address();
    let url = server.url_at(&address.ip().to_string(), address.port(), &database);
    let connect = Connect { clients: 1, pool: args.pool };
    let outcome = async {
        let bank = contender.connect(&url, connect).await?;
        let mut client = bank.client().await?;
        let mut account = String::new();
        for _ in 0..WARM_UP {
            account = client.open().await?;
            client.deposit(&account, 1).await?;
        }
        let before = proxy.round_trips().await;
        for amount in 1..=DEPOSITS {
            client.deposit(&account, amount).await?;
        }
        Ok((proxy.round_trips().await - before) as f64 / DEPOSITS as f64)
    }
    .await;
    databases.drop(&database).await?;
    outcome
}
