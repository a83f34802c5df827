//! Stores that lose what is set aside, or what is said of it.

use cqrs_core::{Commit, Committed, FindParked, ParkedEntry, ParkedState, ParkedWrite, Store};

use crate::base::fault;

/// Changes every entry that is written.
fn changed(mut commit: Commit, change: impl FnMut(&mut ParkedWrite)) -> Commit {
    commit.parked.iter_mut().for_each(change);
    commit
}

fault! {
    /// Sets nothing aside.
    DropsEntries, commit |store, commit| {
        store.commit(Commit { parked: Vec::new(), ..commit }).await
    }
}

fault! {
    /// Loses what waits behind others.
    DropsWhatIsBehind, commit |store, commit| {
        let mut commit = commit;
        commit.parked.retain(|entry| entry.state != ParkedState::Behind);
        store.commit(commit).await
    }
}

fault! {
    /// Keeps entries that are done.
    SettlesNothing, commit |store, commit| {
        store.commit(Commit { settled: Vec::new(), ..commit }).await
    }
}

fault! {
    /// Never finds that something is due.
    FindsNothingDue, parked |store, find| {
        match find.due_by {
            Some(_) => Ok(Vec::new()),
            None => store.parked(find).await,
        }
    }
}

fault! {
    /// Does not count attempts.
    CountsNoAttempts, commit |store, commit| {
        store.commit(changed(commit, |entry| entry.attempts = 0)).await
    }
}

fault! {
    /// Does not keep when something is due.
    ForgetsWhen, commit |store, commit| {
        store.commit(changed(commit, |entry| entry.due = None)).await
    }
}

fault! {
    /// Does not keep what an operator put in the place of a body.
    ForgetsTheBody, commit |store, commit| {
        store.commit(changed(commit, |entry| entry.edited = None)).await
    }
}

fault! {
    /// Sets everything aside under one key.
    MixesUpKeys, commit |store, commit| {
        store.commit(changed(commit, |entry| "key".clone_into(&mut entry.key))).await
    }
}
