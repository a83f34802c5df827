//! Forgets old commit ids, handled messages and heads of the log, a stretch of a table at a time.

use std::time::Duration;

use crate::error::Trouble;
use crate::read::Reader;
use crate::row::For;
use crate::statements::Sql;

/// Pages of a table that are looked through at once.
const STRETCH: i64 = 256;

/// How long it rests between two stretches. A table is looked through round and round: an index over
/// times would cost every commit a write.
const REST: Duration = Duration::from_secs(10);

/// Sweeps until it is dropped. Any number of nodes may.
pub(crate) async fn run(reader: Reader, schema: String, commits: Duration, inbox: Duration) {
    let mut stretches = [
        Stretch {
            table: format!("{schema}.commits"),
            sql: Sql::SweepCommits,
            kept: commits,
            at: 0,
        },
        Stretch { table: format!("{schema}.inbox"), sql: Sql::SweepInbox, kept: inbox, at: 0 },
    ];
    loop {
        // Not all nodes at the same moment.
        tokio::time::sleep(REST.mul_f64(0.5 + fastrand::f64())).await;
        for stretch in &mut stretches {
            if let Err(trouble) = stretch.sweep(&reader).await {
                tracing::debug!(?trouble, table = stretch.table, "a table is not swept");
            }
        }
        let heads = async {
            let client = reader.connector.get().await?;
            reader.statements.query(&client, Sql::SweepHeads, &[]).await
        };
        if let Err(trouble) = heads.await {
            tracing::debug!(?trouble, "old heads of the log are not swept");
        }
    }
}

struct Stretch {
    table: String,
    sql: Sql,
    kept: Duration,
    at: i64,
}

impl Stretch {
    async fn sweep(&mut self, reader: &Reader) -> Result<(), Trouble> {
        let client = reader.connector.get().await?;
        let row = reader.statements.one(&client, Sql::Pages, &[&self.table]).await?;
        let pages: i64 = row.try_get(0)?;
        if self.at >= pages {
            self.at = 0;
        }
        let end = self.at + STRETCH;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&self.at, &end, &For(self.kept)];
        reader.statements.query(&client, self.sql, &params).await?;
        self.at = end;
        Ok(())
    }
}
