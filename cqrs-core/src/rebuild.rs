//! Documents of aggregates that were stored as their events before.

use std::sync::Arc;

use crate::domain::aggregate::Aggregate;
use crate::domain::storage::Kind;
use crate::error::Result;
use crate::load::{self, At};
use crate::port::commit::{Commit, DocumentWrite, Expected, Guard};
use crate::port::store::Store;
use crate::port::stream_id::StreamId;
use crate::record;

/// Writes the document that the events of a stream come to, where there is none. Whether it did.
pub(crate) async fn rebuild<A: Aggregate>(
    store: &Arc<dyn Store>,
    stream: StreamId,
) -> Result<bool> {
    let Kind::Document(whole) = A::storage().0 else { return Ok(false) };
    let now = load::load::<A>(store, stream.clone()).await?;
    if now.exists || now.version == 0 {
        return Ok(false);
    }
    let folded = load::load_at::<A>(store, stream.clone(), At::Version(now.version)).await?;
    if !folded.exists {
        return Ok(false);
    }
    let key = whole.key(&stream);
    let (body, _) = record::document_of(&folded.state, &key, &whole)?;
    let commit = Commit {
        // What an older program appends meanwhile is in the next attempt.
        guards: vec![Guard::Stream { stream, expected: now.expected() }],
        documents: vec![DocumentWrite::put(key, Expected::Exactly(0), body)],
        ..Commit::default()
    };
    store.commit(commit).await?;
    Ok(true)
}
