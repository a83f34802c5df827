//! Hints to other processes that the log has grown: told outside of what is committed, and gathered. The
//! connection that listens also tells the others when this process dies.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{Position, Timestamp};
use deadpool_postgres::ClientWrapper;
use tokio::sync::watch;

use crate::connect::backoff;
use crate::error::Trouble;
use crate::read::Reader;
use crate::row::At;
use crate::statements::Sql;

/// Hints are no closer to each other than this: a notification locks the database for a moment.
const PACE: Duration = Duration::from_millis(20);

/// How often it is looked whether the connection still lives that listens.
const LOOKS: Duration = Duration::from_secs(10);

/// How long whoever asks for a lease waits for the connection that will tell of his death.
const SESSION: Duration = Duration::from_secs(2);

/// What the server knows a process by that listens: it is gone when its connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) pid: i32,
    pub(crate) since: Timestamp,
}

/// The session of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    ToCome,
    None,
    One(Session),
}

/// The session, if there is one, or will be soon.
pub(crate) async fn session(known: &watch::Receiver<Sessions>) -> Option<Session> {
    let mut known = known.clone();
    let came = known.wait_for(|session| *session != Sessions::ToCome);
    match tokio::time::timeout(SESSION, came).await {
        Ok(Ok(session)) => match *session {
            Sessions::One(session) => Some(session),
            Sessions::ToCome | Sessions::None => None,
        },
        _ => None,
    }
}

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
pub(crate) async fn listen(
    reader: Reader,
    schema: String,
    grown: Arc<watch::Sender<Position>>,
    session: watch::Sender<Sessions>,
) {
    let mut attempts = 0;
    loop {
        let listened = listen_once(&reader, &schema, &grown, &session).await;
        session.send_replace(Sessions::None);
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
    session: &watch::Sender<Sessions>,
) -> Result<(), Trouble> {
    let (client, mut told): (ClientWrapper, _) = reader.connector.listening().await?;
    client.batch_execute(&format!("LISTEN {}", channel(schema))).await?;
    let row = reader.statements.one(&client, Sql::Session, &[]).await?;
    let (pid, since) = (row.try_get(0)?, row.try_get::<_, At>(1)?.0);
    session.send_replace(Sessions::One(Session { pid, since }));
    loop {
        match tokio::time::timeout(LOOKS, told.recv()).await {
            Ok(Some(position)) => grow(grown, position),
            Ok(None) => return Ok(()),
            // Somebody may have cut the connection without a word.
            Err(_) => drop(reader.statements.query(&client, Sql::Head, &[]).await?),
        }
    }
}
