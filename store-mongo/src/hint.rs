//! Hints that other processes have written: a change stream on the document of the log. Never the truth: who reads
//! looks for itself, also when the stream has lost its place.

use std::sync::Arc;

use bson::Document;
use cqrs_core::Position;
use futures_util::StreamExt;
use mongodb::change_stream::event::ChangeStreamEvent;
use mongodb::options::FullDocumentType;
use tokio::sync::watch;

use crate::connect::{Connector, backoff};
use crate::error::Trouble;
use crate::names::Coll;
use crate::read::{Reader, head};

/// The log reaches so far: wakes those of this process who wait for that, if it is news.
pub(crate) fn grow(grown: &watch::Sender<Position>, to: Position) {
    grown.send_if_modified(|known| {
        let is_new = to > *known;
        *known = to.max(*known);
        is_new
    });
}

/// Tells of what others write, until the store is closed.
pub(crate) async fn listen(reader: Reader, grown: Arc<watch::Sender<Position>>) {
    let mut attempts = 0;
    loop {
        if let Err(trouble) = watch_log(&reader.connector, &reader, &grown, &mut attempts).await {
            tracing::debug!(?trouble, attempts, "no hints; trying again");
        }
        // Also after it has lost its place in the history: it begins anew, and whoever reads has lost nothing.
        attempts += 1;
        tokio::time::sleep(backoff(attempts)).await;
    }
}

async fn watch_log(
    connector: &Connector,
    reader: &Reader,
    grown: &watch::Sender<Position>,
    attempts: &mut u32,
) -> Result<(), Trouble> {
    let log = connector.db.collection::<Document>(Coll::Log.name());
    let mut changes = log.watch().full_document(FullDocumentType::UpdateLookup).await?;
    // What was written before it began.
    grow(grown, head(reader).await?.position);
    while let Some(change) = changes.next().await {
        let ChangeStreamEvent { full_document, .. } = change?;
        *attempts = 0;
        let head = full_document.and_then(|log| log.get_i64("head").ok());
        if let Some(head) = head.and_then(|head| Position::try_from(head).ok()) {
            grow(grown, head);
        }
    }
    Ok(())
}
