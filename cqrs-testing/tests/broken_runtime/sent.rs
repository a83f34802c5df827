//! Stores that lose messages and timers, or what becomes of them.

use cqrs_core::{Commit, Committed, Settled, Store};

use crate::base::fault;

fault! {
    /// Keeps one message of each commit.
    LosesMessages, commit |store, commit| {
        let mut commit = commit;
        commit.outgoing.truncate(1);
        store.commit(commit).await
    }
}

fault! {
    /// Takes messages of one key for those of two.
    TakesKeysApart, commit |store, commit| {
        let mut commit = commit;
        for message in &mut commit.outgoing {
            message.key = format!("{}{}", message.key, fastrand::u32(0..2));
        }
        store.commit(commit).await
    }
}

fault! {
    /// Keeps messages that are sent.
    SettlesNoMessages, commit |store, commit| {
        let mut commit = commit;
        commit.settled.retain(|settled| !matches!(settled, Settled::Outgoing(_)));
        store.commit(commit).await
    }
}

fault! {
    /// Forgets that a message is to be sent later.
    ForgetsNotBefore, commit |store, commit| {
        let mut commit = commit;
        commit.outgoing.iter_mut().for_each(|message| message.not_before = None);
        store.commit(commit).await
    }
}

fault! {
    /// Does not note which messages were handled.
    ForgetsTheInbox, commit |store, commit| {
        store.commit(Commit { inbox: Vec::new(), ..commit }).await
    }
}

fault! {
    /// Sets no timers.
    LosesTimers, commit |store, commit| {
        let mut commit = commit;
        commit.timers.retain(|timer| timer.due.is_none());
        store.commit(commit).await
    }
}

fault! {
    /// Cancels no timers.
    CancelsNoTimers, commit |store, commit| {
        let mut commit = commit;
        commit.timers.retain(|timer| timer.due.is_some());
        store.commit(commit).await
    }
}

fault! {
    /// Keeps timers that have fired.
    SettlesNoTimers, commit |store, commit| {
        let mut commit = commit;
        commit.settled.retain(|settled| !matches!(settled, Settled::Timer { .. }));
        commit.timers.retain(|timer| timer.due.is_some());
        store.commit(commit).await
    }
}

fault! {
    /// Writes nothing of the instances of sagas after their start.
    ForgetsSagas, commit |store, commit| {
        let mut commit = commit;
        commit.documents.retain(|document| {
            let is_new = document.expected == cqrs_core::Expected::NoStream;
            is_new || document.key.collection != "cqrs.sagas"
        });
        store.commit(commit).await
    }
}
