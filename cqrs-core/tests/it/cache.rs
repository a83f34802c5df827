//! Hot aggregates: fast when they are the newest, and never wrong when they are not.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, BoxError, ConflictRetry, Decide, ErrorKind, Failure, Limits, MessageId, Metadata,
    Repository,
};
use proptest::prelude::*;

use crate::tally::{Folded, Full, Push, Snapped, push};
use crate::watched::{Seen, Watched};

pub(crate) fn hot<A: Decide<Push>>(store: &Watched) -> Repository<A> {
    Repository::new(store.shared()).cached(100)
}

/// Another process, which keeps nothing.
async fn elsewhere(store: &Watched, value: i64) {
    let other = Repository::<Folded>::new(Arc::new(store.store.clone()));
    other.execute(&push(value), &Metadata::default()).await.unwrap();
}

pub(crate) async fn send<A: Decide<Push>>(
    tallies: &Repository<A>,
    command: Push,
) -> Result<i64, Failure<Full>> {
    Ok(tallies.execute(&command, &Metadata::default()).await?.output)
}

pub(crate) fn seen(commits: usize, streams: usize, events: usize) -> Seen {
    Seen { commits, streams, events, ..Seen::default() }
}

#[tokio::test]
async fn a_command_on_a_hot_aggregate_is_one_call_of_the_store() -> Result<(), BoxError> {
    let store = Watched::default();
    let tallies = hot::<Folded>(&store);
    assert_eq!(send(&tallies, push(1)).await?, 0);
    assert_eq!(store.seen(), seen(1, 1, 0), "a cold one is read first");
    for n in 1..50 {
        assert_eq!(send(&tallies.clone(), push(1)).await?, n);
        assert_eq!(store.seen(), seen(1, 0, 0), "the commit, and no reading");
    }
    Ok(())
}

#[tokio::test]
async fn a_hot_aggregate_that_is_not_the_newest_reads_what_is_new() -> Result<(), BoxError> {
    let store = Watched::default();
    let tallies = hot::<Folded>(&store);
    for _ in 0..10 {
        send(&tallies, push(1)).await?;
    }
    elsewhere(&store, 100).await;
    elsewhere(&store, 100).await;
    store.seen();
    assert_eq!(send(&tallies, push(1)).await?, 210, "decided anew");
    assert_eq!(store.seen(), seen(2, 1, 2), "a conflict, the two new events, a commit");
    assert_eq!(send(&tallies, push(1)).await?, 211);
    assert_eq!(store.seen(), seen(1, 0, 0), "and it is hot again");
    Ok(())
}

#[tokio::test]
async fn one_that_is_far_behind_goes_on_from_a_newer_snapshot() -> Result<(), BoxError> {
    let store = Watched::default();
    let tallies = hot::<Snapped<10>>(&store);
    send(&tallies, push(1)).await?;
    let other = Repository::<Snapped<10>>::new(store.shared());
    for _ in 0..104 {
        send(&other, push(1)).await?;
    }
    store.seen();
    assert_eq!(send(&tallies, push(1)).await?, 105);
    let Seen { streams, events, .. } = store.seen();
    assert_eq!((streams, events), (1, 5), "those after the last snapshot");
    Ok(())
}

#[tokio::test]
async fn an_old_state_that_was_kept_is_no_attempt() -> Result<(), BoxError> {
    let store = Watched::default();
    let tallies = hot::<Folded>(&store).retry(ConflictRetry::never());
    send(&tallies, push(1)).await?;
    elsewhere(&store, 100).await;
    assert_eq!(send(&tallies, push(1)).await?, 101);
    Ok(())
}

#[tokio::test]
async fn a_rejection_is_never_that_of_an_old_state() -> Result<(), BoxError> {
    let store = Watched::default();
    let tallies = hot::<Folded>(&store);
    send(&tallies, push(10)).await?;
    let limited = |limit| Push { limit, ..push(1) };
    store.seen();
    match send(&tallies, limited(10)).await {
        Err(Failure::Rejected(full)) => assert_eq!(full, Full { sum: 10 }),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.seen(), seen(0, 1, 0), "it looked for new events");
    elsewhere(&store, -5).await;
    assert_eq!(send(&tallies, limited(10)).await?, 5, "there is room again");
    elsewhere(&store, 50).await;
    match send(&tallies, limited(10)).await {
        Err(Failure::Rejected(full)) => assert_eq!(full, Full { sum: 56 }),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_without_events_is_never_that_of_an_old_state() -> Result<(), BoxError> {
    let store = Watched::default();
    let tallies = hot::<Folded>(&store);
    send(&tallies, push(10)).await?;
    elsewhere(&store, 7).await;
    let nothing = || Push { times: 0, ..push(0) };
    assert_eq!(send(&tallies, nothing()).await?, 17);
    elsewhere(&store, 7).await;
    let metadata = Metadata::of(MessageId::fresh()).with_inbox("http");
    assert_eq!(tallies.execute(&nothing(), &metadata).await?.output, 24);
    elsewhere(&store, 7).await;
    assert_eq!(tallies.execute(&nothing(), &metadata).await?.output, 24, "the answer of the first");
    Ok(())
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_and_keeps_the_state_right() -> Result<(), BoxError> {
    let store = Watched::default();
    let (plain, snapped) = (hot::<Folded>(&store), hot::<Snapped<1>>(&store));
    for round in 0..3 {
        let metadata = Metadata::of(MessageId::fresh()).with_inbox("http");
        for _ in 0..3 {
            assert_eq!(plain.execute(&push(1), &metadata).await?.output, round * 2);
        }
        let metadata = Metadata::of(MessageId::fresh()).with_inbox("http");
        for _ in 0..3 {
            assert_eq!(snapped.execute(&push(1), &metadata).await?.output, round * 2 + 1);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_commit_that_fails_leaves_the_state_as_it_was() -> Result<(), BoxError> {
    let limits = Limits { parts: 4, ..Limits::default() };
    let store = Watched::of(&MemoryStore::default().limits(limits));
    let (plain, snapped) = (hot::<Folded>(&store), hot::<Snapped<1>>(&store));
    for tallies in [0, 1] {
        let many = Push { times: 9, ..push(1) };
        let failed = match tallies {
            0 => send(&plain, many).await,
            _ => send(&snapped, many).await,
        };
        match failed {
            Err(Failure::Failed(error)) => {
                assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }), "{error:?}");
            }
            other => panic!("{other:?}"),
        }
        let before = tallies * 2;
        assert_eq!(send(&plain, push(1)).await?, before);
        assert_eq!(send(&snapped, push(1)).await?, before + 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_command_that_is_dropped_halfway_leaves_nothing_wrong() -> Result<(), BoxError> {
    let store = Watched::default();
    let tallies = hot::<Folded>(&store);
    let mut sum = 0;
    for polls in 0..6 {
        {
            let mut halfway = pin!(send(&tallies, push(1)));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if halfway.as_mut().poll(&mut context).is_ready() {
                    break;
                }
            }
        }
        let now = Repository::<Folded>::new(store.shared()).load(&1).await?;
        assert!(now.version() >= sum && now.version() <= sum + 1);
        assert_eq!(send(&tallies, push(1)).await?, now.version() as i64);
        sum = now.version() + 1;
    }
    Ok(())
}

#[tokio::test]
async fn tenants_and_kinds_have_states_of_their_own() -> Result<(), BoxError> {
    let store = Watched::default();
    let tallies = hot::<Folded>(&store);
    for n in 0..3 {
        assert_eq!(send(&tallies, push(1)).await?, n);
        for (tenant, value) in [("acme", 10), ("bold", 100)] {
            let metadata = Metadata::default().with_tenant(tenant);
            let answer = tallies.execute(&push(value), &metadata).await?.output;
            assert_eq!(answer, n * value, "{tenant}");
            let of_tenant = tallies.clone().of_tenant(tenant);
            assert_eq!(of_tenant.load(&1).await?.version(), n as u64 + 1);
        }
    }
    store.seen();
    send(&tallies.clone().of_tenant("acme"), push(1)).await?;
    assert_eq!(store.seen(), seen(1, 0, 0), "the clones share what is kept");
    Ok(())
}

#[tokio::test]
async fn the_commands_of_an_app_share_what_is_kept() -> Result<(), BoxError> {
    let store = Watched::default();
    let app = App::builder().store(store.clone()).cache(100).decides::<Folded, Push>().build()?;
    for n in 0..3 {
        assert_eq!(app.send(push(1)).await?, n);
    }
    assert_eq!(store.seen(), seen(3, 1, 0));
    Ok(())
}

/// Commands of tasks with a cache of their own each, and of some without, on two aggregates.
async fn race(commands: &[(usize, u32)]) {
    let store = Watched::default();
    let with: Vec<_> = (0..2).map(|_| hot::<Folded>(&store)).collect();
    let snapped = hot::<Snapped<3>>(&store);
    let without = Repository::<Folded>::new(store.shared());
    let tasks = commands.iter().map(|&(who, id)| {
        let (with, snapped, without) = (with.clone(), snapped.clone(), without.clone());
        tokio::spawn(async move {
            let command = Push { id, ..push(1) };
            loop {
                let answer = match who {
                    0 | 1 => send(&with[who], command.clone()).await,
                    2 => send(&snapped, command.clone()).await,
                    _ => send(&without, command.clone()).await,
                };
                match answer {
                    Ok(before) => return (id, before),
                    // Too many were faster; the next try is another command.
                    Err(Failure::Failed(error)) => assert!(error.is_conflict(), "{error:?}"),
                    Err(rejected) => panic!("{rejected}"),
                }
            }
        })
    });
    let mut answers = [Vec::new(), Vec::new()];
    for task in tasks.collect::<Vec<_>>() {
        let (id, before) = task.await.unwrap();
        answers[id as usize].push(before);
    }
    for (id, mut answers) in answers.into_iter().enumerate() {
        answers.sort_unstable();
        let all: Vec<_> = (0..answers.len() as i64).collect();
        assert_eq!(answers, all, "one after the other, each on the state before it");
        let loaded = without.load(&(id as u32)).await.unwrap();
        assert_eq!(loaded.version(), answers.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn concurrent_commands_come_to_the_same_with_and_without_a_cache(
        commands in prop::collection::vec((0..4usize, 0..2u32), 1..40),
        threads in 1..4usize,
    ) {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads).enable_time().build().unwrap().block_on(race(&commands));
    }

    #[test]
    fn commands_in_turn_come_to_the_same_with_and_without_a_cache(
        commands in prop::collection::vec((0..4usize, -3..3i64, 0..3usize, -4..4i64), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (store, model) = (Watched::default(), Watched::default());
            let with: Vec<_> = (0..2).map(|_| hot::<Folded>(&store)).collect();
            let snapped = hot::<Snapped<2>>(&store);
            let without = Repository::<Folded>::new(store.shared());
            let plain = Repository::<Folded>::new(model.shared());
            for (who, value, times, limit) in commands {
                let command = Push { id: 1, value, times, limit };
                let answer = match who {
                    0 | 1 => send(&with[who], command.clone()).await,
                    2 => send(&snapped, command.clone()).await,
                    _ => send(&without, command.clone()).await,
                };
                let expected = send(&plain, command).await;
                match (answer, expected) {
                    (Ok(answer), Ok(expected)) => assert_eq!(answer, expected),
                    (Err(Failure::Rejected(a)), Err(Failure::Rejected(b))) => assert_eq!(a, b),
                    other => panic!("{other:?}"),
                }
            }
        });
    }
}

#[tokio::test]
async fn the_number_that_is_kept_is_bounded() -> Result<(), BoxError> {
    let store = Watched::default();
    let tallies = Repository::<Folded>::new(store.shared()).cached(8);
    for round in 0..3 {
        for id in 0..200 {
            assert_eq!(send(&tallies, Push { id, ..push(1) }).await?, round);
        }
    }
    let Seen { commits, streams, .. } = store.seen();
    assert_eq!(commits, 600);
    assert!(streams > 500, "{streams}: most were not kept");
    Ok(())
}
