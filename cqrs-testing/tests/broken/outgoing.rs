//! Stores that keep, find and settle messages wrongly.

use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Commit, Committed, Conflict, Error, ErrorKind, FindOutgoing, Metadata, Outgoing, OutgoingKind,
    Page, PageSize, Pages, Payload, PendingMessage, Position, ReadLog, Result, Settled, Store,
    Timestamp, Tries,
};
use futures_util::{FutureExt, StreamExt, stream};

use crate::base::{Fault, changed, fault};

/// What is found, with something lost.
async fn without(
    store: &MemoryStore,
    find: FindOutgoing,
    lose: impl Fn(&mut Outgoing),
) -> Result<Vec<PendingMessage>> {
    let mut found = store.outgoing(find).await?;
    found.iter_mut().for_each(|found| lose(&mut found.message));
    Ok(found)
}

/// The position of the last event, now: the store in memory never waits.
fn last_event(store: &MemoryStore) -> Position {
    let pages = store.read_log(ReadLog::after(0)).collect::<Vec<_>>().now_or_never();
    let pages = pages.into_iter().flatten().filter_map(Result::ok);
    pages.filter_map(|page| page.iter().last().map(|event| event.position)).max().unwrap_or(0)
}

fn beyond(position: Position, head: Position) -> Error {
    Error::new(ErrorKind::BeyondHead { position, head }, "no event is there")
}

fn is_settled(answer: &Result<Committed>) -> bool {
    let kind = answer.as_ref().err().map(Error::kind);
    matches!(kind, Some(ErrorKind::Conflict(Conflict::Settled { .. })))
}

fault! {
    /// Drops the last of several messages.
    LosesTheLastMessage, commit |store, commit| {
        let mut commit = commit;
        if commit.outgoing.len() > 1 {
            commit.outgoing.pop();
        }
        store.commit(commit).await
    }
}

fault! {
    /// Sends the messages of a commit in another order.
    ReordersMessages, commit |store, commit| {
        let mut commit = commit;
        commit.outgoing.reverse();
        store.commit(commit).await
    }
}

fault! {
    /// Finds messages in the order of their keys.
    FindsMessagesInAnyOrder, outgoing |store, find| {
        let mut found = store.outgoing(find).await?;
        found.sort_by(|a, b| a.message.key.cmp(&b.message.key));
        Ok(found)
    }
}

fault! {
    /// Forgets who is told.
    LosesAnswerTo, outgoing |store, find| {
        without(store, find, |message| message.answer_to = None).await
    }
}

fault! {
    /// Forgets the step of who is told.
    LosesTheStep, outgoing |store, find| {
        let lose = |message: &mut Outgoing| {
            message.answer_to.iter_mut().for_each(|told| told.step = "1".to_owned());
        };
        without(store, find, lose).await
    }
}

fault! {
    /// Forgets how often a message is tried.
    LosesTries, outgoing |store, find| {
        without(store, find, |message| message.tries = Tries::Policy).await
    }
}

fault! {
    /// Forgets when a message may be sent.
    LosesNotBefore, outgoing |store, find| {
        without(store, find, |message| message.not_before = None).await
    }
}

fault! {
    /// Gives messages only when they may be sent.
    HidesWhatIsNotDue, outgoing |store, find| {
        let now = Timestamp::from(std::time::SystemTime::now());
        let mut found = store.outgoing(find).await?;
        found.retain(|found| found.message.not_before.is_none_or(|time| time <= now));
        Ok(found)
    }
}

fault! {
    /// Folds the keys of messages.
    FoldsKeys, outgoing |store, find| {
        without(store, find, |message| message.key = message.key.to_lowercase()).await
    }
}

fault! {
    /// Takes everything for a command.
    LosesKinds, outgoing |store, find| {
        without(store, find, |message| message.kind = OutgoingKind::Command).await
    }
}

fault! {
    /// Forgets the tenant of a message.
    LosesTenants, outgoing |store, find| {
        let lose = |message: &mut Outgoing| {
            let (id, json) = (message.metadata.id(), message.metadata.to_json());
            message.metadata = Metadata::from_json(id, None, &json).expect("it is metadata");
        };
        without(store, find, lose).await
    }
}

fault! {
    /// Forgets the media type of a body.
    LosesContentTypes, outgoing |store, find| {
        let lose = |message: &mut Outgoing| {
            if let Payload::Binary { content_type, .. } = &mut message.body {
                *content_type = "application/octet-stream".into();
            }
        };
        without(store, find, lose).await
    }
}

fault! {
    /// Tells the time of the reading.
    TellsTheTimeOfTheReading, outgoing |store, find| {
        let mut found = store.outgoing(find).await?;
        let now = Timestamp::from(std::time::SystemTime::now());
        found.iter_mut().for_each(|found| found.recorded_at = now);
        Ok(found)
    }
}

fault! {
    /// Makes pages of any number.
    IgnoresTheNumberOfMessages, outgoing |store, find| {
        let page = PageSize { events: u32::MAX, ..find.page };
        store.outgoing(FindOutgoing { page, ..find }).await
    }
}

fault! {
    /// Makes pages of any size in bytes.
    IgnoresTheBytesOfMessages, outgoing |store, find| {
        let page = PageSize { bytes: usize::MAX, ..find.page };
        store.outgoing(FindOutgoing { page, ..find }).await
    }
}

fault! {
    /// Never gives what is larger than a page.
    HidesLargeMessages, outgoing |store, find| {
        let mut found = store.outgoing(find).await?;
        found.retain(|found| found.message.body.len() <= find.page.bytes);
        Ok(found)
    }
}

fault! {
    /// Gives the message at the position, too.
    GivesTheLastOneAgain, outgoing |store, find| {
        store.outgoing(FindOutgoing { after: find.after.saturating_sub(1), ..find }).await
    }
}

/// Numbers before it commits: now and then a message shows only after later ones (P4).
#[derive(Debug, Default)]
pub(crate) struct ShowsAMessageLate(Mutex<HashSet<Position>>);

#[async_trait]
impl Fault for ShowsAMessageLate {
    async fn outgoing(
        &self,
        store: &MemoryStore,
        find: FindOutgoing,
    ) -> Result<Vec<PendingMessage>> {
        let mut found = store.outgoing(find).await?;
        let last = found.last().map_or(0, |found| found.position);
        let mut looked_at = self.0.lock().expect("no panic");
        let mut shows = |at: Position| !at.is_multiple_of(5) || !looked_at.insert(at);
        found.retain(|found| found.position == last || shows(found.position));
        Ok(found)
    }
}

fault! {
    /// Gives messages their positions before the events of their commit.
    NumbersMessagesFirst, commit |store, commit| {
        let mut commit = commit;
        let outgoing = std::mem::take(&mut commit.outgoing);
        store.commit(Commit { outgoing, ..Commit::default() }).await?;
        store.commit(commit).await
    }
}

fault! {
    /// Answers with the position of the last event.
    AnswersWithTheLastEvent, commit |store, commit| {
        match store.commit(commit).await? {
            Committed::Now { .. } => Ok(Committed::Now { position: last_event(store) }),
            before => Ok(before),
        }
    }
}

fault! {
    /// Takes a checkpoint only where an event is.
    RefusesCheckpointsOnMessages, commit |store, commit| {
        let last = last_event(store);
        match &commit.checkpoint {
            Some(write) if write.to > last => Err(beyond(write.to, last)),
            _ => store.commit(commit).await,
        }
    }
}

fault! {
    /// Leaves messages that were sent where they are.
    SettlesNothing, commit |store, commit| {
        let mut commit = commit;
        commit.settled.retain(|settled| !matches!(settled, Settled::Outgoing(_)));
        store.commit(commit).await
    }
}

fault! {
    /// Takes what was settled before for settled.
    SettlesTwice, commit |store, commit| {
        let answer = store.commit(commit.clone()).await;
        if !is_settled(&answer) {
            return answer;
        }
        store.commit(Commit { settled: Vec::new(), ..commit }).await
    }
}

fault! {
    /// Takes the id of a message that waits, and drops the new one.
    TakesUsedIds, commit |store, commit| {
        match store.commit(commit.clone()).await {
            Err(error) if matches!(error.kind(), ErrorKind::IdReused { .. }) => {
                store.commit(Commit { outgoing: Vec::new(), ..commit }).await
            }
            answer => answer,
        }
    }
}

fault! {
    /// Sends everything once more when a commit is repeated.
    SendsAgain, commit |store, commit| {
        let mut outgoing = commit.outgoing.clone();
        let answer = store.commit(commit).await?;
        if matches!(answer, Committed::Before { .. }) {
            outgoing.iter_mut().for_each(|message| message.metadata = Metadata::default());
            store.commit(Commit { outgoing, ..Commit::default() }).await?;
        }
        Ok(answer)
    }
}

fault! {
    /// Sends first, in a transaction of its own.
    SendsBesideTheCommit, commit |store, commit| {
        let mut commit = commit;
        let outgoing = std::mem::take(&mut commit.outgoing);
        if !outgoing.is_empty() {
            store.commit(Commit { outgoing, ..Commit::default() }).await?;
        }
        store.commit(commit).await
    }
}

/// Declares a fault that overrides `read_log`.
macro_rules! log_fault {
    ($(#[$doc:meta])* $name:ident, |$store:ident, $read:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        impl Fault for $name {
            fn read_log(&self, $store: &MemoryStore, $read: ReadLog) -> Pages {
                $body
            }
        }
    };
}

log_fault! {
    /// Reads to the last event, not past the messages after it.
    ReadsToTheLastEvent, |store, read| {
        let last = last_event(store).max(read.after);
        changed(store.read_log(read), move |page| {
            let mut made = Page::default();
            page.iter().for_each(|event| made.push(&event));
            made.reach(page.through().min(last));
            made
        })
    }
}

log_fault! {
    /// Takes the position of a message for one beyond the head.
    RefusesPositionsOfMessages, |store, read| {
        let last = last_event(store);
        if read.after > last {
            return stream::iter([Err(beyond(read.after, last))]).boxed();
        }
        store.read_log(read)
    }
}
