//! Nodes that have died: their leases are over before their time. The server knows which nodes are connected, by what
//! each says of itself when it connects.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::options::ReadConcern;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::connect::Connector;
use crate::error::Trouble;

/// A node that is not connected for so long is dead: one that lives connects again, and is back sooner. While the
/// primary is the same, and when it has changed.
const SOON: Duration = Duration::from_millis(150);
const MISSING: Duration = Duration::from_millis(1_500);

/// How often the server is asked at most.
const ASKS: Duration = Duration::from_millis(400);

/// How long its answer is waited for.
const LONGEST: Duration = Duration::from_secs(2);

/// What is known of other nodes.
pub(crate) struct Deaths {
    connector: Arc<Connector>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    asked: Option<Instant>,
    /// Nodes that were not connected, and since when.
    missing: HashMap<String, Instant>,
}

impl Deaths {
    pub(crate) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, known: Mutex::default() }
    }

    /// Those of these nodes that have died.
    pub(crate) async fn among(&self, nodes: BTreeSet<String>) -> BTreeSet<String> {
        if nodes.is_empty() {
            return nodes;
        }
        let mut known = self.known.lock().await;
        if known.asked.is_none_or(|asked| asked.elapsed() > ASKS) {
            known.asked = Some(Instant::now());
            self.look(&mut known, &nodes).await;
            let is_settled = self.connector.primary.is_settled();
            if is_settled && !known.missing.is_empty() {
                // Who lives and has lost its connections is back by then.
                tokio::time::sleep(SOON).await;
                self.look(&mut known, &nodes).await;
            }
        }
        let longest = if self.connector.primary.is_settled() { SOON } else { MISSING };
        let is_dead =
            |node: &String| known.missing.get(node).is_some_and(|s| s.elapsed() >= longest);
        nodes.into_iter().filter(is_dead).collect()
    }

    /// Looks which of them are not connected. Where that cannot be known, only the terms of leases tell.
    async fn look(&self, known: &mut Known, nodes: &BTreeSet<String>) {
        match timeout(LONGEST, connected(&self.connector)).await {
            Ok(Ok(connected)) => {
                let is_missing = |node: &&String| !connected.iter().any(|c| c.contains(*node));
                let now = Instant::now();
                let missing = nodes.iter().filter(is_missing);
                let since = |node: &String| known.missing.get(node).copied().unwrap_or(now);
                known.missing = missing.map(|node| (node.clone(), since(node))).collect();
            }
            Ok(Err(trouble)) => {
                tracing::debug!(?trouble, "it is not known which nodes are connected");
                known.missing.clear();
            }
            Err(_) => known.missing.clear(),
        }
    }
}

/// What those say of themselves who are connected as the same user.
pub(crate) async fn connected(connector: &Connector) -> Result<Vec<String>, Trouble> {
    let admin = connector.client.database("admin");
    let looked = [
        doc! { "$currentOp": { "idleConnections": true } },
        doc! { "$match": { "type": "op" } },
        doc! { "$group": { "_id": "$clientMetadata.driver.version" } },
    ];
    let found = admin.aggregate(looked).read_concern(ReadConcern::local()).await?;
    let found: Vec<Document> = found.try_collect().await?;
    let told = |one: &Document| one.get_str("_id").ok().map(str::to_owned);
    Ok(found.iter().filter_map(told).collect())
}
