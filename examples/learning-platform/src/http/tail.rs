//! The end of the log, watched once for all who follow it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cqrs_core::{Position, Store};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How often the store is asked what others have written.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Where the log ends, as far as this process knows.
///
/// What is committed through the gateway is told at once ([`hint`](Self::hint)). What others commit
/// is found out by asking: whoever waits asks for all of them, and nobody asks when nobody waits.
#[derive(Debug)]
pub(crate) struct Tail {
    store: Arc<dyn Store>,
    known: watch::Sender<Position>,
    asked: Mutex<Option<Instant>>,
}

impl Tail {
    pub(crate) fn of(store: Arc<dyn Store>) -> Self {
        Self { store, known: watch::Sender::new(0), asked: Mutex::default() }
    }

    /// Something was committed at this position.
    pub(crate) fn hint(&self, position: Position) {
        self.known.send_if_modified(|known| {
            let later = position > *known;
            *known = position.max(*known);
            later
        });
    }

    /// Waits until the log goes on after a position. Cancel safe.
    pub(crate) async fn past(&self, position: Position) {
        let mut known = self.known.subscribe();
        loop {
            // What it answers holds a lock: dropped at once.
            let goes_on = async { drop(known.wait_for(|known| *known > position).await) };
            tokio::select! {
                () = goes_on => return,
                () = sleep(ASK_EVERY) => self.ask().await,
            }
        }
    }

    async fn ask(&self) {
        let now = Instant::now();
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.is_some_and(|asked| now.duration_since(asked) < ASK_EVERY) {
                return;
            }
            *asked = Some(now);
        }
        match self.store.head().await {
            Ok(head) => self.hint(head.position),
            // The next one to ask may be luckier; who cannot read the log at all finds out there.
            Err(error) => tracing::warn!(%error, "the end of the log is not known"),
        }
    }
}
