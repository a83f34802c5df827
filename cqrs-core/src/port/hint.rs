//! A hint that the log may have grown. Never the truth: readers poll as well.

use tokio::sync::watch;

use crate::port::Position;

/// Tells that the log may have grown, so that nobody need poll often. A hint may come for nothing,
/// and may not come at all: whoever waits for it also looks from time to time.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Commit, Store};
/// # use cqrs_core::{Append, Expected, Json, NewEvent, Payload, StreamId};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::default();
/// let mut hint = store.hint();
/// # let event = NewEvent::new("bank.opened", Payload::Json(Json::parse("{}")?));
/// # let stream = StreamId::new("account", "17");
/// # let appends = vec![Append { stream, expected: Expected::Any, events: vec![event] }];
/// store.commit(Commit { appends, ..Commit::default() }).await?;
/// hint.changed().await;
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Hint(Option<watch::Receiver<Position>>);

impl Hint {
    /// A store that gives none.
    pub fn never() -> Self {
        Self::default()
    }

    /// Hints from a channel of positions: for adapters.
    pub fn of(positions: watch::Receiver<Position>) -> Self {
        Self(Some(positions))
    }

    /// Waits for the next hint since the last one was seen, or for ever. Cancel safety: dropping the
    /// future loses no hint.
    pub async fn changed(&mut self) {
        if let Some(positions) = &mut self.0
            && positions.changed().await.is_ok()
        {
            return;
        }
        // The store has none, or is gone.
        self.0 = None;
        std::future::pending::<()>().await;
    }
}
