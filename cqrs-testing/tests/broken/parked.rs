//! Stores that keep and find wrongly what is set aside.

use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Commit, Committed, Conflict, Error, ErrorKind, Expected, FindParked, ParkedEntry, ParkedState,
    Payload, Result, Settled, Store, Timestamp,
};

use crate::base::fault;

/// What is found, with something lost.
async fn without(
    store: &MemoryStore,
    find: FindParked,
    lose: impl Fn(&mut ParkedEntry),
) -> Result<Vec<ParkedEntry>> {
    let mut found = store.parked(find).await?;
    found.iter_mut().for_each(lose);
    Ok(found)
}

fault! {
    /// Drops the last of several entries.
    LosesTheLastEntry, commit |store, commit| {
        let mut commit = commit;
        if commit.parked.len() > 1 {
            commit.parked.pop();
        }
        store.commit(commit).await
    }
}

fault! {
    /// Says of an entry that it is there since it was looked for.
    LosesSince, parked |store, find| {
        let now = Timestamp::from(std::time::SystemTime::now());
        without(store, find, |entry| entry.since = now).await
    }
}

fault! {
    /// Says of an entry that it is there since it was changed.
    SaysSinceTheLastChange, parked |store, find| {
        let late = |entry: &mut ParkedEntry| {
            entry.since = entry.since.saturating_add(Duration::from_micros(entry.version));
        };
        without(store, find, late).await
    }
}

fault! {
    /// Says of an entry that it was always there.
    SaysSinceEver, parked |store, find| {
        without(store, find, |entry| entry.since = Timestamp::UNIX_EPOCH).await
    }
}

fault! {
    /// Forgets what was edited.
    LosesWhatWasEdited, parked |store, find| {
        without(store, find, |entry| entry.edited = None).await
    }
}

fault! {
    /// Forgets the media type of what was edited.
    LosesTheContentType, parked |store, find| {
        let lose = |entry: &mut ParkedEntry| {
            if let Some(Payload::Binary { content_type, .. }) = &mut entry.edited {
                *content_type = "application/octet-stream".into();
            }
        };
        without(store, find, lose).await
    }
}

fault! {
    /// Keeps what was edited when it is taken back.
    KeepsWhatWasEdited, commit |store, commit| {
        let mut commit = commit;
        for write in commit.parked.iter_mut().filter(|write| write.edited.is_none()) {
            let before = store.parked(FindParked::of(&write.subscription)).await?;
            let before = before.into_iter().find(|entry| entry.position == write.position);
            write.edited = before.and_then(|entry| entry.edited);
        }
        store.commit(commit).await
    }
}

fault! {
    /// Cuts causes to one line.
    CutsCauses, parked |store, find| {
        let cut = |entry: &mut ParkedEntry| {
            entry.cause = entry.cause.lines().next().unwrap_or_default().to_owned();
        };
        without(store, find, cut).await
    }
}

fault! {
    /// Forgets the partition.
    LosesPartitions, parked |store, find| {
        without(store, find, |entry| entry.partition = 0).await
    }
}

fault! {
    /// Takes a state that it does not know for another.
    LosesAState, parked |store, find| {
        let lose = |entry: &mut ParkedEntry| {
            if entry.state == ParkedState::Discarding {
                entry.state = ParkedState::Parked;
            }
        };
        without(store, find, lose).await
    }
}

fault! {
    /// Counts no versions.
    CountsNoVersions, parked |store, find| {
        without(store, find, |entry| entry.version = 1).await
    }
}

fault! {
    /// Takes every entry, whatever it expects.
    IgnoresExpectationsOfEntries, commit |store, commit| {
        let mut commit = commit;
        commit.parked.iter_mut().for_each(|write| write.expected = Expected::Any);
        store.commit(commit).await
    }
}

fault! {
    /// Keeps one entry for each position, whatever the subscription.
    MixesUpSubscriptions, commit |store, commit| {
        let mut commit = commit;
        commit.parked.iter_mut().for_each(|write| write.subscription = "mailer".to_owned());
        store.commit(commit).await
    }
}

fault! {
    /// Takes an entry twice in one commit: the first one counts.
    SetsAsideTheFirstOfTwo, commit |store, commit| {
        let mut commit = commit;
        commit.parked.truncate(2);
        store.commit(commit).await
    }
}

fault! {
    /// Leaves what is done where it is.
    KeepsWhatIsDone, commit |store, commit| {
        let mut commit = commit;
        commit.settled.retain(|settled| !matches!(settled, Settled::Parked { .. }));
        store.commit(commit).await
    }
}

fault! {
    /// Takes what was done before for done.
    IsDoneTwice, commit |store, commit| {
        let answer = store.commit(commit.clone()).await;
        let kind = answer.as_ref().err().map(Error::kind);
        match kind {
            Some(ErrorKind::Conflict(Conflict::Settled { .. })) => {
                store.commit(Commit { settled: Vec::new(), ..commit }).await
            }
            _ => answer,
        }
    }
}

fault! {
    /// Sets aside first, in a transaction of its own.
    SetsAsideBesideTheCommit, commit |store, commit| {
        let mut commit = commit;
        let parked = std::mem::take(&mut commit.parked);
        if !parked.is_empty() {
            store.commit(Commit { parked, ..Commit::default() }).await?;
        }
        store.commit(commit).await
    }
}

fault! {
    /// Sets aside once more when a commit is repeated.
    SetsAsideAgain, commit |store, commit| {
        let parked = commit.parked.clone();
        let answer = store.commit(commit).await?;
        if matches!(answer, Committed::Before { .. }) {
            store.commit(Commit { parked, ..Commit::default() }).await?;
        }
        Ok(answer)
    }
}

fault! {
    /// Does not look whose entries they are.
    IgnoresSubscriptions, parked |store, find| {
        store.parked(FindParked { subscription: None, ..find }).await
    }
}

fault! {
    /// Does not filter by key.
    IgnoresKeys, parked |store, find| store.parked(FindParked { key: None, ..find }).await
}

fault! {
    /// Does not filter by state.
    IgnoresStates, parked |store, find| store.parked(FindParked { state: None, ..find }).await
}

fault! {
    /// Does not look at what is due.
    IgnoresWhatIsDue, parked |store, find| store.parked(FindParked { due_by: None, ..find }).await
}

fault! {
    /// Takes what is never due for what is due.
    TakesNeverForDue, parked |store, find| {
        let due_by = find.due_by;
        let mut found = store.parked(FindParked { due_by: None, ..find }).await?;
        found.retain(|e| due_by.is_none_or(|by| e.due.is_none_or(|due| due <= by)));
        Ok(found)
    }
}

fault! {
    /// Begins each page anew.
    IgnoresAfter, parked |store, find| store.parked(FindParked { after: None, ..find }).await
}

fault! {
    /// Goes on after a position, whatever the subscription.
    GoesOnAfterAPosition, parked |store, find| {
        let after = find.after.as_ref().map_or(0, |last| last.1);
        let mut found = store.parked(FindParked { after: None, ..find }).await?;
        found.retain(|entry| entry.position > after);
        Ok(found)
    }
}

fault! {
    /// Finds all entries.
    FindsAllEntries, parked |store, find| {
        store.parked(FindParked { limit: u32::MAX, ..find }).await
    }
}

fault! {
    /// Looks at as many entries as it should find.
    LimitsBeforeItFilters, parked |store, find| {
        let state = find.state;
        let mut found = store.parked(FindParked { state: None, ..find }).await?;
        found.retain(|entry| state.is_none_or(|state| state == entry.state));
        Ok(found)
    }
}

fault! {
    /// Finds entries in the order of their positions.
    FindsEntriesInAnyOrder, parked |store, find| {
        let mut found = store.parked(find).await?;
        found.sort_by_key(|entry| entry.position);
        Ok(found)
    }
}
