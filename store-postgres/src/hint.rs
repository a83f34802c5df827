//! Hints to other processes that the log has grown: told outside of what is committed, and gathered.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::Position;
use deadpool_postgres::ClientWrapper;
use tokio::sync::watch;

use crate::connect::backoff;
use crate::error::Trouble;
use crate::read::Reader;
use crate::statements::Sql;

/// Hints are no closer to each other than this: a notification locks the database for a moment.
const PACE: Duration = Duration::from_millis(20);

/// How often it is looked whether the connection still lives that listens.
const LOOKS: Duration = Duration::from_secs(10);

/// The channel of a schema.
fn channel(schema: &str) -> String {
    format!("{schema}_grown")
}

/// The log reaches so far: wakes those of this process who wait for that, if it is news.
pub(crate) fn grow(grown: &watch::Sender<Position>, to: Position) {
    grown.send_if_modified(|known| {
        let is_new = to > *known;
        *known = to.max(*known);
        is_new
    });
}

/// Tells others what this process commits.
pub(crate) async fn tell(reader: Reader, schema: String, mut grown: watch::Receiver<Position>) {
    let channel = channel(&schema);
    let mut told = 0;
    while grown.changed().await.is_ok() {
        let position = *grown.borrow_and_update();
        if position <= told {
            continue;
        }
        let done = async {
            let client = reader.connector.get().await?;
            let text = position.to_string();
            reader.statements.query(&client, Sql::Notify, &[&channel, &text]).await
        };
        match done.await {
            Ok(_) => told = position,
            // They look by themselves from time to time.
            Err(trouble) => tracing::debug!(?trouble, "others cannot be told that the log grew"),
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Passes on what others tell, on a connection of its own, until it is dropped.
pub(crate) async fn listen(reader: Reader, schema: String, grown: Arc<watch::Sender<Position>>) {
    let mut attempts = 0;
    loop {
        let listened = listen_once(&reader, &schema, &grown).await;
        attempts += 1;
        if let Err(trouble) = listened {
            tracing::debug!(?trouble, attempts, "nobody can be listened to; trying again");
        }
        tokio::time::sleep(backoff(attempts.min(6)) + PACE).await;
    }
}

async fn listen_once(
    reader: &Reader,
    schema: &str,
    grown: &watch::Sender<Position>,
) -> Result<(), Trouble> {
    let (client, mut told): (ClientWrapper, _) = reader.connector.listening().await?;
    client.batch_execute(&format!("LISTEN {}", channel(schema))).await?;
    loop {
        match tokio::time::timeout(LOOKS, told.recv()).await {
            Ok(Some(position)) => grow(grown, position),
            Ok(None) => return Ok(()),
            // Somebody may have cut the connection without a word.
            Err(_) => drop(reader.statements.query(&client, Sql::Head, &[]).await?),
        }
    }
}
