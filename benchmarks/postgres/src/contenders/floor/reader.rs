//! The floor of a replay.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Client as Connection;

use super::tables;
use crate::contender::{Bank, Client, Connect, Contender, Measure, Result, Totals};
use crate::server;

pub(crate) struct Reader;

#[async_trait]
impl Contender for Reader {
    fn name(&self) -> &'static str {
        "floor: query_raw"
    }

    fn note(&self) -> &'static str {
        "tokio-postgres; one `query_raw` of all columns in the order of the position, each event \
         decoded with serde_json straight into its type"
    }

    fn takes_part(&self, measure: Measure) -> bool {
        measure == Measure::Replay
    }

    async fn create(&self, url: &str) -> Result<()> {
        tables::create(url).await
    }

    async fn fill(&self, url: &str, accounts: i32, events: i32) -> Result<()> {
        tables::fill(url, accounts, events).await
    }

    async fn connect(&self, url: &str, _connect: Connect) -> Result<Box<dyn Bank>> {
        Ok(Box::new(ReaderBank { connection: Arc::new(server::connect(url).await?) }))
    }
}

struct ReaderBank {
    connection: Arc<Connection>,
}

#[async_trait]
impl Bank for ReaderBank {
    async fn client(&self) -> Result<Box<dyn Client>> {
        Err("it only reads".into())
    }

    async fn replay(&self) -> Result<Totals> {
        tables::replay(&self.connection).await
    }
}
