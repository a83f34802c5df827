//! The table of the floors: the columns that a store of events needs.

use std::sync::Arc;

use futures_util::TryStreamExt;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Row};

use super::super::filling;
use crate::account::{Account, AccountEvent, FILLED_AMOUNT};
use crate::contender::{Result, Totals};
use crate::server;

pub(crate) async fn create(url: &str) -> Result<()> {
    let client = server::connect(url).await?;
    Ok(client.batch_execute(include_str!("../../sql/floor_create.sql")).await?)
}

pub(crate) async fn fill(url: &str, accounts: i32, events: i32) -> Result<()> {
    let [opened, deposited] =
        filling::json([&AccountEvent::opened(), &AccountEvent::deposited(FILLED_AMOUNT)])?;
    let statement = include_str!("../../sql/floor_fill.sql");
    filling::fill(url, statement, [accounts, events], &[&opened, &deposited]).await
}

/// An account with the version of its last event; none has 0.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) account: Account,
    pub(crate) version: i64,
}

/// From rows with the version first and the event second.
pub(crate) fn loaded(rows: &[Row]) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    for row in rows {
        loaded.version = row.try_get(0)?;
        let Json(event) = row.try_get::<_, Json<AccountEvent>>(1)?;
        loaded.account.apply(&event);
    }
    Ok(loaded)
}

/// All columns of all events, row by row as they come.
pub(crate) async fn replay(client: &Arc<Client>) -> Result<Totals> {
    let statement = client.prepare(include_str!("../../sql/floor_replay.sql")).await?;
    let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
    let rows = client.query_raw(&statement, none).await?;
    let mut rows = std::pin::pin!(rows);
    let mut totals = Totals::default();
    while let Some(row) = rows.try_next().await? {
        let event = Stored::from(&row)?;
        std::hint::black_box(&event);
        totals.add(event.event.amount());
    }
    Ok(totals)
}

/// An event with all that is stored of it.
#[expect(dead_code, reason = "it is read from the row as a user would have it")]
struct Stored<'a> {
    position: i64,
    stream: &'a str,
    version: i64,
    name: &'a str,
    id: uuid::Uuid,
    recorded_at: std::time::SystemTime,
    metadata: Json<Metadata>,
    event: AccountEvent,
}

/// What the floors say about an event: nothing, as the others do.
#[derive(Debug, serde::Deserialize)]
struct Metadata {}

impl<'a> Stored<'a> {
    fn from(row: &'a Row) -> Result<Self> {
        let Json(event) = row.try_get(7)?;
        Ok(Self {
            position: row.try_get(0)?,
            stream: row.try_get(1)?,
            version: row.try_get(2)?,
            name: row.try_get(3)?,
            id: row.try_get(4)?,
            recorded_at: row.try_get(5)?,
            metadata: row.try_get(6)?,
            event,
        })
    }
}
