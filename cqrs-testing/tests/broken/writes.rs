//! Stores that write wrongly.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Commit, CommitId, Committed, Conflict, ErrorKind, Expected, Guard, MessageId, Metadata,
    ReadLog, Result, Store,
};
use futures_util::StreamExt;

use crate::base::Fault;

/// Declares a fault that overrides `commit`.
macro_rules! commit_fault {
    ($(#[$doc:meta])* $name:ident, |$store:ident, $commit:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        #[async_trait]
        impl Fault for $name {
            async fn commit(&self, $store: &MemoryStore, $commit: Commit) -> Result<Committed> {
                $body
            }
        }
    };
}

/// The same event under another id.
fn other_id(metadata: &Metadata) -> Metadata {
    let made = Metadata::from_json(MessageId::fresh(), metadata.tenant(), &metadata.to_json());
    made.expect("it is metadata")
}

fn renew_events(commit: &mut Commit) {
    for event in commit.appends.iter_mut().flat_map(|append| &mut append.events) {
        event.metadata = other_id(&event.metadata);
    }
}

commit_fault! {
    /// Drops the last of several events.
    DropsTheLastEvent, |store, commit| {
        let mut commit = commit;
        for append in &mut commit.appends {
            if append.events.len() > 1 {
                append.events.pop();
            }
        }
        store.commit(commit).await
    }
}

commit_fault! {
    /// Takes every append, whatever it expects.
    IgnoresExpectations, |store, commit| {
        let mut commit = commit;
        commit.appends.iter_mut().for_each(|append| append.expected = Expected::Any);
        store.commit(commit).await
    }
}

commit_fault! {
    /// Takes every document, whatever it expects.
    IgnoresExpectationsOfDocuments, |store, commit| {
        let mut commit = commit;
        commit.documents.iter_mut().for_each(|write| write.expected = Expected::Any);
        store.commit(commit).await
    }
}

commit_fault! {
    /// Names the version that the commit would have made, not the one that is there.
    ReportsAWrongVersion, |store, commit| {
        store.commit(commit).await.map_err(|error| match error.kind().clone() {
            ErrorKind::Conflict(Conflict::Stream { stream, actual }) => {
                Conflict::Stream { stream, actual: actual + 1 }.into()
            }
            _ => error,
        })
    }
}

commit_fault! {
    /// Writes one append after the other, each in a transaction of its own.
    WritesAppendsOneByOne, |store, commit| {
        let mut commit = commit;
        while commit.appends.len() > 1 {
            let first = vec![commit.appends.remove(0)];
            store.commit(Commit { appends: first, ..Commit::default() }).await?;
        }
        store.commit(commit).await
    }
}

commit_fault! {
    /// Writes the documents first, in a transaction of their own.
    KeepsDocumentsOfAFailedCommit, |store, commit| {
        let mut commit = commit;
        let documents = std::mem::take(&mut commit.documents);
        if !documents.is_empty() {
            store.commit(Commit { documents, ..Commit::default() }).await?;
        }
        store.commit(commit).await
    }
}

commit_fault! {
    /// Writes no views.
    ForgetsViews, |store, commit| {
        store.commit(Commit { views: Vec::new(), ..commit }).await
    }
}

commit_fault! {
    /// Views are documents like others to it.
    CountsViews, |store, commit| {
        let mut commit = commit;
        commit.documents.append(&mut commit.views);
        store.commit(commit).await
    }
}

commit_fault! {
    /// Writes the views first, in a transaction of their own.
    KeepsViewsOfAFailedCommit, |store, commit| {
        let mut commit = commit;
        let views = std::mem::take(&mut commit.views);
        if !views.is_empty() {
            store.commit(Commit { views, ..Commit::default() }).await?;
        }
        store.commit(commit).await
    }
}

commit_fault! {
    /// Writes a view whatever is there.
    IgnoresExpectationsOfViews, |store, commit| {
        let mut commit = commit;
        commit.views.iter_mut().for_each(|view| view.expected = Expected::Any);
        store.commit(commit).await
    }
}

commit_fault! {
    /// Knows no commit ids: a repeat is applied again.
    AppliesARepeatAgain, |store, commit| {
        let mut commit = commit;
        commit.id = CommitId::default();
        renew_events(&mut commit);
        store.commit(commit).await
    }
}

commit_fault! {
    /// Looks at the id of a commit only, not at what it says.
    TakesAnIdWithOtherContent, |store, commit| {
        let id = commit.id.0.to_string();
        match store.commit(commit).await {
            Err(error) if *error.kind() == (ErrorKind::IdReused { id }) => {
                Ok(Committed::Before { position: store.head().await?.position, reply: None })
            }
            answer => answer,
        }
    }
}

commit_fault! {
    /// Takes an event of whatever commit for that of the commit it is named after.
    TakesAnEventForItsCommit, |store, commit| {
        let named = commit.id.event(0).to_string();
        match store.commit(commit).await {
            Err(error) if *error.kind() == (ErrorKind::IdReused { id: named }) => {
                Ok(Committed::Before { position: store.head().await?.position, reply: None })
            }
            answer => answer,
        }
    }
}

commit_fault! {
    /// Knows a commit by the event that is named after it, and by nothing else.
    KnowsCommitsByEventsOnly, |store, commit| {
        let mut commit = commit;
        let first = commit.appends.iter().flat_map(|append| &append.events).next();
        if first.is_none_or(|first| first.id() != commit.id.event(0)) {
            commit.id = CommitId::default();
        }
        store.commit(commit).await
    }
}

commit_fault! {
    /// Takes an event whose id was used before.
    TakesAUsedEventId, |store, commit| {
        let mut commit = commit;
        match store.commit(commit.clone()).await {
            Err(error) if matches!(error.kind(), ErrorKind::IdReused { .. }) => {
                renew_events(&mut commit);
                store.commit(commit).await
            }
            answer => answer,
        }
    }
}

commit_fault! {
    /// Answers a repeat with where the log is now.
    AnswersARepeatWithTheHead, |store, commit| {
        match store.commit(commit).await? {
            Committed::Before { reply, .. } => {
                Ok(Committed::Before { position: store.head().await?.position, reply })
            }
            now => Ok(now),
        }
    }
}

commit_fault! {
    /// Does not write the marks.
    ForgetsTheInbox, |store, commit| {
        let mut commit = commit;
        commit.inbox.clear();
        store.commit(commit).await
    }
}

commit_fault! {
    /// Answers a repeat without the reply that was stored.
    ForgetsTheReply, |store, commit| {
        match store.commit(commit).await? {
            Committed::Before { position, .. } => Ok(Committed::Before { position, reply: None }),
            now => Ok(now),
        }
    }
}

/// Looks for the id of the commit first, then into the inbox.
#[derive(Debug, Default)]
pub(crate) struct AsksTheInboxLast(Mutex<HashSet<CommitId>>);

#[async_trait]
impl Fault for AsksTheInboxLast {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        if !self.0.lock().expect("no panic").insert(commit.id) {
            commit.inbox.clear();
        }
        store.commit(commit).await
    }
}

commit_fault! {
    /// Moves a checkpoint from wherever it stands.
    MovesACheckpointFromAnywhere, |store, commit| {
        let mut commit = commit;
        if let Some(checkpoint) = &mut commit.checkpoint {
            let stands = store.checkpoint(&checkpoint.subscription, checkpoint.partition).await?;
            checkpoint.from = stands.unwrap_or(0);
        }
        store.commit(commit).await
    }
}

commit_fault! {
    /// Keeps one checkpoint for all partitions.
    MixesUpPartitions, |store, commit| {
        let mut commit = commit;
        commit.checkpoint.iter_mut().for_each(|checkpoint| checkpoint.partition = 0);
        store.commit(commit).await
    }
}

commit_fault! {
    /// Does not look at the guards on what matches a filter.
    SwallowsNoneMatching, |store, commit| {
        let mut commit = commit;
        commit.guards.retain(|guard| !matches!(guard, Guard::NoneMatching { .. }));
        store.commit(commit).await
    }
}

commit_fault! {
    /// Looks at the guards before it commits, not while it does.
    LooksAtGuardsTooEarly, |store, commit| {
        let mut commit = commit;
        let guards = std::mem::take(&mut commit.guards);
        for guard in guards {
            if let Guard::NoneMatching { filter, after } = guard {
                let mut pages = store.read_log(ReadLog::after(after).filter(filter));
                while let Some(page) = pages.next().await {
                    if let Some(found) = page?.iter().next().map(|event| event.position) {
                        return Err(Conflict::NoneMatching { after, found }.into());
                    }
                }
            }
        }
        tokio::task::yield_now().await;
        store.commit(commit).await
    }
}

commit_fault! {
    /// Does not look at the guards on documents.
    SwallowsGuardsOnDocuments, |store, commit| {
        let mut commit = commit;
        commit.guards.retain(|guard| !matches!(guard, Guard::Document { .. }));
        store.commit(commit).await
    }
}

commit_fault! {
    /// Loses the attributes of the metadata that are not ours.
    LosesExtensions, |store, commit| {
        let mut commit = commit;
        for event in commit.appends.iter_mut().flat_map(|append| &mut append.events) {
            let json = event.metadata.to_json();
            if let Some((ours, _)) = json.split_once(",\"extensions\":") {
                let ours = format!("{ours}}}");
                let (id, tenant) = (event.id(), event.metadata.tenant());
                event.metadata = Metadata::from_json(id, tenant, &ours).expect("it is metadata");
            }
        }
        store.commit(commit).await
    }
}

commit_fault! {
    /// Stores bytes of another codec without their media type.
    LosesContentTypes, |store, commit| {
        let mut commit = commit;
        for event in commit.appends.iter_mut().flat_map(|append| &mut append.events) {
            if let cqrs_core::Payload::Binary { content_type, .. } = &mut event.payload {
                *content_type = "application/octet-stream".into();
            }
        }
        store.commit(commit).await
    }
}

commit_fault! {
    /// Names the first position of a commit instead of the last.
    AnswersWithTheFirstPosition, |store, commit| {
        let events = commit.appends.iter().map(|append| append.events.len() as u64).sum::<u64>();
        match store.commit(commit).await? {
            Committed::Now { position } if events > 1 => {
                Ok(Committed::Now { position: position + 1 - events })
            }
            answer => Ok(answer),
        }
    }
}

/// Says that a commit succeeded, and now and then has lost it.
#[derive(Debug, Default)]
pub(crate) struct LosesACommit(AtomicU64);

#[async_trait]
impl Fault for LosesACommit {
    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        if self.0.fetch_add(1, Ordering::SeqCst) % 64 == 63 {
            return Ok(Committed::Now { position: store.head().await?.position + 1 });
        }
        store.commit(commit).await
    }
}
