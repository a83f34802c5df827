//! Stores that set, find and fire timers wrongly.

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Commit, Committed, Conflict, ErrorKind, FindTimers, Result, Settled, Store, Timer, TimerWrite,
    Timestamp,
};

use crate::base::fault;

/// The timer as it is set now.
async fn set(store: &MemoryStore, write: &TimerWrite) -> Result<Option<Timer>> {
    let find = FindTimers { owner: write.owner.clone(), due_by: Timestamp::MAX, limit: u32::MAX };
    let same = |timer: &Timer| {
        (&timer.tenant, &timer.key, &timer.name) == (&write.tenant, &write.key, &write.name)
    };
    Ok(store.timers(find).await?.into_iter().find(same))
}

/// The generation that a commit came too late for.
fn came_late(answer: &Result<Committed>) -> Option<u64> {
    match answer.as_ref().err()?.kind() {
        ErrorKind::Conflict(Conflict::Timer { actual, .. }) => Some(*actual),
        _ => None,
    }
}

fn is_settled(answer: &Result<Committed>) -> bool {
    let kind = answer.as_ref().err().map(cqrs_core::Error::kind);
    matches!(kind, Some(ErrorKind::Conflict(Conflict::Settled { .. })))
}

/// Writes with later generations those that came late.
async fn insists(
    store: &MemoryStore,
    commit: Commit,
    insists: fn(&TimerWrite) -> bool,
) -> Result<Committed> {
    let answer = store.commit(commit.clone()).await;
    let Some(actual) = came_late(&answer) else { return answer };
    let mut commit = commit;
    for timer in commit.timers.iter_mut().filter(|timer| insists(timer)) {
        timer.generation = timer.generation.max(actual + 1);
    }
    store.commit(commit).await
}

fault! {
    /// Finds timers a moment before they are due.
    FindsTimersEarly, timers |store, find| {
        let due_by = Timestamp::from_micros(find.due_by.as_micros() + 1);
        store.timers(FindTimers { due_by, ..find }).await
    }
}

fault! {
    /// Finds timers in the order of their keys.
    FindsTimersInAnyOrder, timers |store, find| {
        let mut found = store.timers(find).await?;
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }
}

fault! {
    /// Finds all timers that are due.
    FindsAllTimers, timers |store, find| {
        store.timers(FindTimers { limit: u32::MAX, ..find }).await
    }
}

fault! {
    /// Takes a limit of nothing for no limit.
    TakesNothingForEverything, timers |store, find| {
        let limit = if find.limit == 0 { u32::MAX } else { find.limit };
        store.timers(FindTimers { limit, ..find }).await
    }
}

fault! {
    /// Tells nothing of generations.
    LosesGenerations, timers |store, find| {
        let found = store.timers(find).await?.into_iter();
        Ok(found.map(|timer| Timer { generation: 1, ..timer }).collect())
    }
}

fault! {
    /// Keeps times in milliseconds.
    RoundsTimes, commit |store, commit| {
        let mut commit = commit;
        for timer in &mut commit.timers {
            let rounded = |due: Timestamp| Timestamp::from_micros(due.as_micros() / 1000 * 1000);
            timer.due = timer.due.map(rounded);
        }
        store.commit(commit).await
    }
}

fault! {
    /// Does not look whose timers they are.
    MixesUpOwners, commit |store, commit| {
        let mut commit = commit;
        commit.timers.iter_mut().for_each(|timer| timer.owner = "checkout".to_owned());
        store.commit(commit).await
    }
}

fault! {
    /// Keeps one timer for all tenants.
    MixesUpTenants, commit |store, commit| {
        let mut commit = commit;
        commit.timers.iter_mut().for_each(|timer| timer.tenant = None);
        store.commit(commit).await
    }
}

fault! {
    /// Keeps timers under their key and name in one.
    JoinsKeysAndNames, commit |store, commit| {
        let mut commit = commit;
        for timer in &mut commit.timers {
            timer.key = format!("{}{}", timer.key, timer.name);
            timer.name = "-".to_owned();
        }
        store.commit(commit).await
    }
}

fault! {
    /// Cancels nothing.
    CancelsNothing, commit |store, commit| {
        let mut commit = commit;
        commit.timers.retain(|timer| timer.due.is_some());
        store.commit(commit).await
    }
}

fault! {
    /// Refuses to cancel a timer with its own generation.
    RefusesToCancelTheSame, commit |store, commit| {
        for write in commit.timers.iter().filter(|write| write.due.is_none()) {
            if let Some(timer) = set(store, write).await?.filter(|t| t.generation == write.generation)
            {
                let Timer { owner, key, name, generation: actual, .. } = timer;
                return Err(Conflict::Timer { owner, key, name, actual }.into());
            }
        }
        store.commit(commit).await
    }
}

fault! {
    /// Refuses to cancel what is not set.
    RefusesToCancelNothing, commit |store, commit| {
        for write in commit.timers.iter().filter(|write| write.due.is_none()) {
            if set(store, write).await?.is_none() {
                let TimerWrite { owner, key, name, .. } = write.clone();
                return Err(Conflict::Timer { owner, key, name, actual: 0 }.into());
            }
        }
        store.commit(commit).await
    }
}

fault! {
    /// Sets a timer whatever its generation.
    SetsAnyGeneration, commit |store, commit| {
        insists(store, commit, |timer| timer.due.is_some()).await
    }
}

fault! {
    /// Cancels a timer whatever its generation.
    CancelsAnyGeneration, commit |store, commit| {
        insists(store, commit, |timer| timer.due.is_none()).await
    }
}

fault! {
    /// Keeps the earlier one of two times.
    KeepsTheEarlierTime, commit |store, commit| {
        let mut commit = commit;
        for write in &mut commit.timers {
            let before = set(store, write).await?.map(|timer| timer.due);
            write.due = write.due.map(|due| before.map_or(due, |before| before.min(due)));
        }
        store.commit(commit).await
    }
}

fault! {
    /// Takes a timer twice in one commit: the last one counts.
    SetsTheLastOfTwo, commit |store, commit| {
        let mut commit = commit;
        if let Some(last) = commit.timers.pop() {
            commit.timers.retain(|timer| timer.key != last.key);
            commit.timers.push(last);
        }
        store.commit(commit).await
    }
}

fault! {
    /// Sets timers once more when a commit is repeated.
    SetsTimersAgain, commit |store, commit| {
        let timers = commit.timers.clone();
        let answer = store.commit(commit).await?;
        if matches!(answer, Committed::Before { .. }) {
            store.commit(Commit { timers, ..Commit::default() }).await?;
        }
        Ok(answer)
    }
}

fault! {
    /// Sets timers first, in a transaction of their own.
    SetsTimersBesideTheCommit, commit |store, commit| {
        let mut commit = commit;
        let timers = std::mem::take(&mut commit.timers);
        if !timers.is_empty() {
            store.commit(Commit { timers, ..Commit::default() }).await?;
        }
        store.commit(commit).await
    }
}

fault! {
    /// Leaves timers that fired where they are.
    FiresNothing, commit |store, commit| {
        let mut commit = commit;
        commit.settled.retain(|settled| !matches!(settled, Settled::Timer(_)));
        store.commit(commit).await
    }
}

fault! {
    /// Lets a timer fire that is not there any more.
    FiresTwice, commit |store, commit| {
        let answer = store.commit(commit.clone()).await;
        if !is_settled(&answer) {
            return answer;
        }
        store.commit(Commit { settled: Vec::new(), ..commit }).await
    }
}

fault! {
    /// Takes a timer that fires twice in one commit.
    FiresTwiceAtOnce, commit |store, commit| {
        let mut commit = commit;
        commit.settled.truncate(1);
        store.commit(commit).await
    }
}

fault! {
    /// Fires a timer whatever its generation.
    FiresAnyGeneration, commit |store, commit| {
        let mut commit = commit;
        for settled in &mut commit.settled {
            if let Settled::Timer(timer) = settled {
                let Timer { owner, tenant, key, name, generation, due: _ } = timer.clone();
                let place = TimerWrite { owner, tenant, key, name, generation, due: None };
                *timer = set(store, &place).await?.unwrap_or_else(|| timer.clone());
            }
        }
        store.commit(commit).await
    }
}

fault! {
    /// Sets timers before it forgets those that fired.
    SetsBeforeItSettles, commit |store, commit| {
        let fired = commit.settled.iter().filter_map(|settled| match settled {
            Settled::Timer(timer) => Some(TimerWrite {
                owner: timer.owner.clone(),
                tenant: timer.tenant.clone(),
                key: timer.key.clone(),
                name: timer.name.clone(),
                generation: u64::MAX,
                due: None,
            }),
            _ => None,
        });
        let timers = fired.collect::<Vec<_>>();
        let answer = store.commit(commit).await?;
        store.commit(Commit { timers, ..Commit::default() }).await?;
        Ok(answer)
    }
}

fault! {
    /// Settles first, in a transaction of its own: timers, messages and entries.
    SettlesBesideTheCommit, commit |store, commit| {
        let mut commit = commit;
        let settled = std::mem::take(&mut commit.settled);
        if !settled.is_empty() {
            store.commit(Commit { settled, ..Commit::default() }).await?;
        }
        store.commit(commit).await
    }
}
