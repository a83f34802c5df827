//! What is set aside, for operators: look, retry, edit, discard. They ask; the owner of the partition
//! does it.

use std::fmt;
use std::sync::Arc;

use crate::app::App;
use crate::error::{Conflict, Error, ErrorKind, Result};
use crate::message::payload::Payload;
use crate::port::clock::Clock;
use crate::port::commit::Commit;
use crate::port::outgoing::{FindOutgoing, Outgoing};
use crate::port::parked::{FindParked, ParkedEntry, ParkedId, ParkedState, ParkedWrite};
use crate::port::store::Store;
use crate::runtime::aside::cut;
use crate::runtime::running::Started;

/// What is set aside by the subscriptions, sagas and the relay of a store, for operators. It works on
/// any node, also on one that runs nothing.
///
/// ```
/// use cqrs_core::{App, FindParked, ParkedState, Result};
///
/// async fn tidy(app: &App) -> Result<()> {
///     let parked = app.parked()?;
///     for entry in parked.list(FindParked::default().state(ParkedState::Parked)).await? {
///         println!("{}: {} ({} attempts)", entry.id(), entry.cause, entry.attempts);
///         parked.retry(&entry.id()).await?;
///     }
///     Ok(())
/// }
/// # let _ = tidy;
/// ```
#[derive(Clone)]
pub struct Parked {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// The runtime of this process, to be told at once.
    started: Option<Arc<Started>>,
}

/// An entry with what it is about. See [`Parked::show`].
#[derive(Debug, Clone, PartialEq)]
pub struct ParkedDetail {
    /// The entries: an event has one for each key for which it failed.
    pub entries: Vec<ParkedEntry>,
    /// The body of the event or message; `None`: it is gone.
    pub body: Option<Payload>,
}

impl App {
    /// What is set aside in its store.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when it has no store.
    pub fn parked(&self) -> Result<Parked> {
        let Some(store) = self.store().cloned() else {
            let context = "an app without a store has nothing set aside: `AppBuilder::store`";
            return Err(Error::new(ErrorKind::Invalid { field: None }, context));
        };
        let started = self.0.started.get().cloned();
        Ok(Parked { store, clock: self.0.clock.clone(), started })
    }
}

impl Parked {
    /// Entries, a page at a time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self, find: FindParked) -> Result<Vec<ParkedEntry>> {
        self.store.parked(find).await
    }

    /// The entries of one event or message, with its body.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName) when there are none; when the store cannot be read.
    pub async fn show(&self, id: &ParkedId) -> Result<ParkedDetail> {
        let entries = self.entries(id).await?;
        let event = crate::runtime::read_at(&*self.store, id.position).await?;
        let body = match event.as_ref().and_then(|page| page.iter().next()) {
            Some(event) => Some(event.data.to_owned()),
            None => self.message(id).await?.map(|message| message.body),
        };
        Ok(ParkedDetail { entries, body })
    }

    async fn message(&self, id: &ParkedId) -> Result<Option<Outgoing>> {
        let mut find = FindOutgoing::after(id.position.saturating_sub(1));
        find.page.events = 1;
        let found = self.store.outgoing(find).await?.pop();
        Ok(found.filter(|found| found.position == id.position).map(|found| found.message))
    }

    /// Asks for another attempt, with all the attempts that the policy allows. Later ones of its key
    /// follow.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName) when there is no such entry, or it waits for an earlier
    /// one of its key only; when the store cannot be written.
    pub async fn retry(&self, id: &ParkedId) -> Result<()> {
        self.ask(id, |entry| ParkedWrite { state: ParkedState::Retrying, attempts: 0, ..entry })
            .await
    }

    /// Asks for another attempt at all that match and are parked. How many there are.
    ///
    /// # Errors
    /// When the store cannot be written: some may have been asked for.
    pub async fn retry_all(&self, find: FindParked) -> Result<u64> {
        let mut find = find.state(ParkedState::Parked);
        let mut count = 0;
        loop {
            let page = self.store.parked(find.clone()).await?;
            let Some(last) = page.last() else { return Ok(count) };
            find.after = Some(last.place());
            for entry in page {
                match self.retry(&entry.id()).await {
                    Ok(()) => count += 1,
                    // It was done, or asked for, meanwhile.
                    Err(error) if *error.kind() == ErrorKind::UnknownName => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Puts another body in the place of the event's or message's, for this subscription only, and asks
    /// for another attempt. What is recorded stays as it is.
    ///
    /// # Errors
    /// As [`retry`](Self::retry); [`TooLarge`](ErrorKind::TooLarge) when the body is.
    pub async fn edit(&self, id: &ParkedId, body: Payload) -> Result<()> {
        self.ask(id, |entry| ParkedWrite {
            state: ParkedState::Retrying,
            attempts: 0,
            edited: Some(body.clone()),
            ..entry
        })
        .await
    }

    /// Gives it up: it is not handled, and later ones of its key follow.
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub async fn discard(&self, id: &ParkedId, reason: &str) -> Result<()> {
        self.ask(id, |entry| {
            tracing::warn!(%id, key = entry.key, reason, cause = entry.cause, "discarded");
            let cause = cut(&format!("discarded: {reason} ({})", entry.cause));
            ParkedWrite { state: ParkedState::Discarding, cause, ..entry }
        })
        .await
    }

    async fn ask(&self, id: &ParkedId, change: impl Fn(ParkedWrite) -> ParkedWrite) -> Result<()> {
        loop {
            let now = self.clock.now();
            let entries = self.entries(id).await?;
            let behind = |entry: &&ParkedEntry| entry.state != ParkedState::Behind;
            let first = entries.iter().filter(behind);
            let parked: Vec<ParkedWrite> = first
                .map(|entry| ParkedWrite { due: Some(now), ..change(entry.to_write()) })
                .collect();
            if parked.is_empty() {
                let context = format!("{id} waits for an earlier one of its key: see to that one");
                return Err(Error::new(ErrorKind::UnknownName, context));
            }
            match self.store.commit(Commit { parked, ..Commit::default() }).await {
                Err(error) if is_changed(&error) => {}
                done => {
                    if let Some(started) = &self.started {
                        started.node.parked_has_changed();
                    }
                    return done.map(drop);
                }
            }
        }
    }

    async fn entries(&self, id: &ParkedId) -> Result<Vec<ParkedEntry>> {
        let find = FindParked::of(&*id.subscription).at(id.position);
        let entries = self.store.parked(find).await?;
        if entries.is_empty() {
            let context = format!("nothing is set aside as {id}");
            return Err(Error::new(ErrorKind::UnknownName, context));
        }
        Ok(entries)
    }
}

fn is_changed(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict(Conflict::Parked { .. }))
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").finish_non_exhaustive()
    }
}
