//! Sinks that write rows without their commit, or tell the wrong thing of what failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use cqrs_core::{
    Commit, Committed, Error, ErrorKind, EventType, Page, Position, Result, Settled, Sink,
    SinkEvents,
};

use crate::memory_sinks::SinkFault;

/// Declares a sink that is broken in how it applies events.
macro_rules! sink {
    ($(#[$doc:meta])* $name:ident, |$sink:ident, $events:ident, $commit:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(Arc<dyn Sink>);

        impl SinkFault for $name {
            fn around(right: Arc<dyn Sink>) -> Arc<dyn Sink> {
                Arc::new(Self(right))
            }
        }

        #[async_trait]
        impl Sink for $name {
            fn types(&self) -> Vec<EventType> {
                self.0.types()
            }

            async fn apply(&self, $events: SinkEvents, $commit: Commit) -> Result<Committed> {
                let $sink = &self.0;
                $body
            }
        }
    };
}

/// Some of the events.
fn only(events: &SinkEvents, wanted: impl Fn(Position) -> bool) -> SinkEvents {
    let mut page = Page::default();
    events.iter().for_each(|event| page.push(&event));
    SinkEvents::new(Arc::new(page), wanted)
}

/// Where it failed, if it did at an event.
fn failed(answer: &Result<Committed>) -> Option<Position> {
    match answer.as_ref().map_err(Error::kind) {
        Err(ErrorKind::EventNotHandled { position, .. }) => Some(*position),
        _ => None,
    }
}

sink! {
    /// Keeps the rows of a commit that is refused.
    KeepsRowsOfARefusedCommit, |sink, events, commit| {
        let answer = sink.apply(events.clone(), commit).await;
        if answer.as_ref().is_err_and(Error::is_conflict) {
            sink.apply(events, Commit::default()).await?;
        }
        answer
    }
}

sink! {
    /// Keeps the rows before an event that fails.
    KeepsRowsBeforeAPoison, |sink, events, commit| {
        let answer = sink.apply(events.clone(), commit).await;
        if let Some(poison) = failed(&answer) {
            let before = only(&events, |position| position < poison);
            sink.apply(before, Commit::default()).await?;
        }
        answer
    }
}

/// Keeps the rows of a commit that is lost, once.
#[derive(Debug)]
pub(crate) struct KeepsHalfOfACommit(Arc<dyn Sink>, AtomicBool);

impl SinkFault for KeepsHalfOfACommit {
    fn around(right: Arc<dyn Sink>) -> Arc<dyn Sink> {
        Arc::new(Self(right, AtomicBool::new(false)))
    }
}

#[async_trait]
impl Sink for KeepsHalfOfACommit {
    fn types(&self) -> Vec<EventType> {
        self.0.types()
    }

    async fn apply(&self, events: SinkEvents, commit: Commit) -> Result<Committed> {
        if self.1.swap(true, Ordering::SeqCst) {
            return self.0.apply(events, commit).await;
        }
        self.0.apply(events, Commit::default()).await?;
        Err(Error::new(ErrorKind::OutcomeUnknown, "the connection was lost"))
    }
}

sink! {
    /// Writes everything but the checkpoint.
    DropsCheckpoints, |sink, events, commit| {
        sink.apply(events, Commit { checkpoint: None, ..commit }).await
    }
}

sink! {
    /// Passes over an event that fails.
    PassesOverAPoison, |sink, events, commit| {
        let answer = sink.apply(events.clone(), commit.clone()).await;
        match failed(&answer) {
            None => answer,
            Some(poison) => {
                sink.apply(only(&events, |position| position != poison), commit).await
            }
        }
    }
}

sink! {
    /// Says of what fails that it always will.
    GivesUpAtOnce, |sink, events, commit| {
        let answer = sink.apply(events, commit).await;
        answer.map_err(|error| match error.kind().clone() {
            ErrorKind::EventNotHandled { handler, event_type, position, .. } => {
                let fatal = true;
                let kind = ErrorKind::EventNotHandled { handler, event_type, position, fatal };
                Error::new(kind, "it failed")
            }
            _ => error,
        })
    }
}

sink! {
    /// Keeps entries that are done.
    SettlesNothing, |sink, events, commit| {
        let mut commit = commit;
        commit.settled.retain(|settled| !matches!(settled, Settled::Parked { .. }));
        sink.apply(events, commit).await
    }
}
