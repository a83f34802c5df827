//! Accounts written straight into a contender's tables.

use serde::Serialize;
use tokio_postgres::types::ToSql;

use crate::contender::Result;
use crate::server;

/// What stands for the id of the account in the JSON of an event that carries it.
pub(crate) const ACCOUNT: &str = "{account}";

/// Runs the statement with the number of accounts as `$1`, of events of each as `$2`, and what it
/// needs besides.
pub(crate) async fn fill(
    url: &str,
    statement: &str,
    [accounts, events]: [i32; 2],
    more: &[&(dyn ToSql + Sync)],
) -> Result<()> {
    let client = server::connect(url).await?;
    let parameters: Vec<&(dyn ToSql + Sync)> = [&accounts as &(dyn ToSql + Sync), &events]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    client.execute(statement, &parameters).await?;
    Ok(())
}

/// Events as JSON, to be parameters.
pub(crate) fn json<const N: usize>(events: [&impl Serialize; N]) -> Result<[String; N]> {
    let mut texts = [const { String::new() }; N];
    for (text, event) in texts.iter_mut().zip(events) {
        *text = serde_json::to_string(event)?;
    }
    Ok(texts)
}
