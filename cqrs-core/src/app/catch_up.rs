//! Handlers of events: each is handed what it has not seen yet.

use std::sync::Arc;

use futures_util::StreamExt;

use crate::app::App;
use crate::error::{Error, ErrorKind, Result};
use crate::handler::{ErasedEventHandler, HandlerError};
use crate::port::Position;
use crate::port::commit::{CheckpointWrite, Commit};
use crate::port::filter::Filter;
use crate::port::page::Recorded;
use crate::port::read::ReadLog;
use crate::port::store::Store;
use crate::runtime::control;

impl App {
    /// Hands a handler of events what it has not seen yet, in the order of the log, one at a time,
    /// up to the end of the log. Returns how far its checkpoint is then.
    ///
    /// What a handler gathers in a [`Work`](crate::Work) is committed together with its checkpoint:
    /// exactly once (P10). Effects elsewhere are repeated when the process dies before the
    /// checkpoint is written, with the same [id](crate::Metadata::id); a command that the handler
    /// sends through a [`Mediator`](crate::Mediator) has an id derived from it, and is applied
    /// once. An event that cannot be decoded, and one whose handler fails, stops the handler there:
    /// nothing is skipped (P6, P9). An erased one is passed over.
    ///
    /// The checkpoint of a handler without a `Work` is written once a page (at most 1,024 events) and
    /// when the handler stops; that of one with a `Work`, with each event.
    ///
    /// Call it from a loop of your own, one for each handler: when two do at once, one of them gets
    /// a conflict. A conflict of the `Work` is returned as well: the next call handles the event
    /// again. Cancel safety: what was handled since the checkpoint is handled again.
    ///
    /// ```
    /// use cqrs_core::memory::MemoryStore;
    /// use cqrs_core::{App, HandlerError, Metadata};
    /// # use cqrs_core::{Append, Commit, Event, EventType, Expected, Json, NewEvent, Payload, Store, StreamId};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Debug, Clone, Serialize, Deserialize)]
    /// # struct Opened { owner: String }
    /// # impl Event for Opened {
    /// #     const TYPES: &'static [EventType] = &[EventType::new("bank.opened", "Opened")];
    /// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
    /// # }
    ///
    /// async fn welcome(event: Opened, metadata: Metadata) -> Result<(), HandlerError> {
    ///     println!("Welcome, {}! ({})", event.owner, metadata.id());
    ///     Ok(())
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = MemoryStore::default();
    /// # let event = NewEvent::new("bank.opened", Payload::Json(Json::parse(r#"{"owner":"Ada"}"#)?));
    /// # let append = Append { stream: StreamId::new("account", "17"), expected: Expected::Any, events: vec![event] };
    /// # store.commit(Commit { appends: vec![append], ..Commit::default() }).await?;
    /// let app = App::builder().store(store).event_handler("bank.welcome", welcome).build()?;
    /// assert_eq!(app.catch_up("bank.welcome").await?, 1);
    /// # Ok::<_, cqrs_core::BoxError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName) when there is no such handler,
    /// [`Invalid`](ErrorKind::Invalid) when the runtime has run it ([`start`](Self::start)),
    /// [`Undecodable`](ErrorKind::Undecodable), [`EventNotHandled`](ErrorKind::EventNotHandled),
    /// [`Conflict`](ErrorKind::Conflict); when the store cannot be read or written.
    pub async fn catch_up(&self, handler: &str) -> Result<Position> {
        let found = self.0.event_handlers.get_key_value(handler).zip(self.0.store.as_ref());
        let Some(((name, handler), store)) = found else {
            let context = format!("no handler of events is called {handler:?} in this app");
            return Err(Error::new(ErrorKind::UnknownName, context));
        };
        if control::read(&**store, name).await?.is_some() {
            // Its partitions have checkpoints of their own: events would be handled twice.
            let context = format!(
                "`{name}` is run by the runtime, which keeps its checkpoints: use `App::start`"
            );
            return Err(Error::new(ErrorKind::Invalid { field: None }, context));
        }
        let at = store.checkpoint(name, 0).await?.unwrap_or(0);
        let mut run = Run { store, name, handler: &**handler, at, done: at };
        let outcome = run.read_to_end().await;
        // What was handled is noted, also when the next one failed: that is the error to tell.
        let noted = run.note().await;
        outcome.and(noted).map(|()| run.at)
    }
}

/// One run of a handler.
struct Run<'a> {
    store: &'a Arc<dyn Store>,
    name: &'static str,
    handler: &'a dyn ErasedEventHandler,
    /// Where the checkpoint stands.
    at: Position,
    /// Up to where everything is handled.
    done: Position,
}

impl Run<'_> {
    async fn read_to_end(&mut self) -> Result<()> {
        let types = self.handler.describe().events.into_iter().map(Into::into).collect();
        let filter = Filter { types, ..Filter::default() };
        let mut pages = self.store.read_log(ReadLog::after(self.at).filter(filter));
        while let Some(page) = pages.next().await {
            let page = page?;
            for event in page.iter() {
                self.handle(&event).await?;
            }
            self.done = self.done.max(page.through());
            self.note().await?;
        }
        Ok(())
    }

    async fn handle(&mut self, event: &Recorded<'_>) -> Result<()> {
        let failed = |error: HandlerError| Error::event_not_handled(self.name, event, error);
        let work = self.handler.handle(event, false)?.await.map_err(failed)?;
        if let Some(work) = work {
            return self.commit(work.take()?, event.position).await;
        }
        self.done = event.position;
        if self.handler.commits() { self.note().await } else { Ok(()) }
    }

    /// Moves the checkpoint to where everything is handled.
    async fn note(&mut self) -> Result<()> {
        if self.done == self.at { Ok(()) } else { self.commit(Commit::default(), self.done).await }
    }

    /// Writes what handling the event at `to` gathered, with the checkpoint. When that fails, the
    /// event is not handled.
    async fn commit(&mut self, commit: Commit, to: Position) -> Result<()> {
        let checkpoint = CheckpointWrite {
            subscription: self.name.to_owned(),
            partition: 0,
            from: self.at,
            to,
            fence: None,
        };
        self.store.commit(Commit { checkpoint: Some(checkpoint), ..commit }).await?;
        (self.at, self.done) = (to, to);
        Ok(())
    }
}
