//! How many partitions the relay has: the same on all nodes, or two of them would have one key.

use serde::{Deserialize, Serialize};

use crate::documents;
use crate::error::Result;
use crate::port::commit::{Commit, DocumentWrite, Expected};
use crate::runtime::node::Node;
use crate::runtime::relay::NAME;
use crate::schema::entity::Entity;

#[derive(Debug, Serialize, Deserialize)]
struct Partitions {
    name: String,
    partitions: u32,
}

impl Entity for Partitions {
    const COLLECTION: &'static str = "cqrs.relay";

    fn id(&self) -> String {
        self.name.clone()
    }
}

/// How many there are: as many as the first node wanted that ever ran with this store.
pub(crate) async fn partitions(node: &Node) -> Result<u32> {
    let (store, wanted) = (&*node.store, node.settings.relay_partitions.clamp(1, 1024));
    store.declare(Partitions::collection()).await?;
    loop {
        if let Some(stored) = documents::get::<Partitions>(store, None, NAME).await? {
            if stored.partitions != wanted {
                tracing::warn!(
                    partitions = stored.partitions,
                    wanted,
                    "the relay keeps the number of partitions with which it was first started"
                );
            }
            return Ok(stored.partitions.max(1));
        }
        let first = Partitions { name: NAME.to_owned(), partitions: wanted };
        let key = documents::key::<Partitions>(None, NAME);
        let put = DocumentWrite::put(key, Expected::NoStream, documents::encode(&first)?);
        match store.commit(Commit { documents: vec![put], ..Commit::default() }).await {
            Err(error) if !error.is_conflict() => return Err(error),
            _ => {}
        }
    }
}
