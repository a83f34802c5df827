//! Aggregates with snapshots: what is written, what is read, and what is made of a bad one.

use std::sync::Arc;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    At, BoxError, Commit, Decide, ErrorKind, Fingerprint, Json, Limits, MessageId, Metadata,
    Repository, SnapshotWrite, Store, StreamId, Work,
};
use futures_util::StreamExt;
use proptest::prelude::*;

use crate::logged::Log;
use crate::tally::{Folded, Large, Newer, Push, Snapped, Step, Tally, push};
use crate::watched::{Seen, Watched};

async fn pushes<A: Decide<Push>>(store: &Arc<dyn Store>, n: i64) {
    let tallies = Repository::<A>::new(store.clone());
    for value in 0..n {
        tallies.execute(&push(value), &Metadata::default()).await.unwrap();
    }
}

async fn sum_of<A: Tally>(store: &Arc<dyn Store>) -> (i64, u64) {
    let loaded = Repository::<A>::new(store.clone()).load(&1).await.unwrap();
    (loaded.sum(), loaded.version())
}

#[tokio::test]
async fn a_snapshot_is_written_with_the_events_that_make_it_due() {
    let store = Watched::default();
    let tallies = Repository::<Snapped<5>>::new(store.shared());
    for n in 1..=12 {
        tallies.execute(&push(1), &Metadata::default()).await.unwrap();
        let Seen { commits, snapshots, streams, events, .. } = store.seen();
        assert_eq!((commits, streams), (1, 1), "one reading and one commit, the {n}. time");
        assert_eq!(snapshots, usize::from(n % 5 == 0), "the {n}. time");
        assert!(events < 5, "{events} events were read, the {n}. time");
    }
    assert_eq!(sum_of::<Snapped<5>>(&store.shared()).await, (12, 12));
    assert_eq!(store.seen().events, 2, "those after the second snapshot");
}

#[tokio::test]
async fn one_decision_may_make_several_due_and_writes_one() {
    let store = Watched::default();
    let tallies = Repository::<Snapped<5>>::new(store.shared());
    let many = Push { times: 23, ..push(1) };
    tallies.execute(&many, &Metadata::default()).await.unwrap();
    assert_eq!(store.seen().snapshots, 1);
    assert_eq!(sum_of::<Snapped<5>>(&store.shared()).await, (23, 23));
    assert_eq!(store.seen().events, 0);
}

#[tokio::test]
async fn a_unit_of_work_writes_snapshots_too() -> Result<(), BoxError> {
    let store = Watched::default();
    let work = Work::new(store.shared(), Metadata::default());
    let (mut one, mut two) =
        (work.load::<Snapped<3>>(&1).await?, work.load::<Snapped<3>>(&2).await?);
    for value in 0..7 {
        work.record(&mut one, [Step::Pushed { value }])?;
    }
    work.record(&mut two, [Step::Doubled])?;
    work.commit().await?;
    assert_eq!(store.seen().snapshots, 1, "one of the two is due");
    assert_eq!(sum_of::<Snapped<3>>(&store.shared()).await, (21, 7));
    assert_eq!(store.seen().events, 1, "the last snapshot is of the sixth event");
    Ok(())
}

#[tokio::test]
async fn snapshots_of_another_schema_are_ignored_and_made_anew() {
    let store = Watched::default();
    pushes::<Snapped<3>>(&store.shared(), 10).await;
    store.seen();
    assert_eq!(sum_of::<Newer>(&store.shared()).await, (45, 10));
    assert_eq!(store.seen().events, 10, "all events are folded");
    pushes::<Newer>(&store.shared(), 1).await;
    assert_eq!(store.seen().snapshots, 1, "the first command writes one");
    assert_eq!(sum_of::<Newer>(&store.shared()).await, (45, 11));
    assert_eq!(store.seen().events, 0);
    // The old program runs on beside the new one, with its own.
    assert_eq!(sum_of::<Snapped<3>>(&store.shared()).await, (45, 11));
    assert_eq!(store.seen().events, 2);
}

/// The schema of the first snapshot of its kind.
async fn schema_of<A: Decide<Push>>() -> Fingerprint {
    let store = Watched::default();
    pushes::<A>(&store.shared(), 3).await;
    match store.kept().first() {
        Some(SnapshotWrite::Keep { schema, .. }) => *schema,
        other => panic!("{other:?}"),
    }
}

fn stream() -> StreamId {
    StreamId::new("tally", "1")
}

/// Puts another body into the snapshot at version 3.
async fn spoiled(body: &str) -> Watched {
    let store = MemoryStore::default();
    let schema = schema_of::<Snapped<3>>().await;
    let work = Work::new(Arc::new(store.clone()), Metadata::default());
    let mut tally = work.load::<Folded>(&1).await.unwrap();
    work.record(&mut tally, (1..=3).map(|value| Step::Pushed { value })).unwrap();
    work.commit().await.unwrap();
    let pushed = cqrs_core::Event::encode(&Step::Pushed { value: 4 }).unwrap();
    let append = cqrs_core::Append {
        stream: stream(),
        expected: cqrs_core::Expected::Exactly(3),
        events: vec![cqrs_core::NewEvent::new("tally.pushed", pushed)],
    };
    let body = Json::parse(body).unwrap();
    let snapshot = SnapshotWrite::Keep { stream: stream(), schema, version: 4, body };
    let commit = Commit { appends: vec![append], snapshots: vec![snapshot], ..Commit::default() };
    store.commit(commit).await.unwrap();
    Watched::of(&store)
}

#[tokio::test]
async fn a_good_snapshot_is_believed() {
    let store = spoiled(r#"{"sum":1000}"#).await;
    assert_eq!(sum_of::<Snapped<3>>(&store.shared()).await, (1000, 4));
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_decoded_is_ignored_and_made_anew() {
    let log = Log::default();
    let _guard = log.listen();
    for body in ["null", "[]", "{}", r#"{"sum":"ten"}"#, r#"{"sum":1e99}"#] {
        let store = spoiled(body).await;
        assert_eq!(sum_of::<Snapped<3>>(&store.shared()).await, (10, 4), "{body}");
        store.seen();
        pushes::<Snapped<3>>(&store.shared(), 1).await;
        assert_eq!(store.seen().snapshots, 1, "{body}: the next command writes a good one");
        assert_eq!(sum_of::<Snapped<3>>(&store.shared()).await, (10, 5), "{body}");
        assert_eq!(store.seen().events, 0, "{body}: it is read");
    }
    let log = log.text();
    assert_eq!(log.matches("a snapshot cannot be read").count(), 1, "{log}");
}

#[tokio::test]
async fn a_moment_before_the_snapshot_is_folded_from_the_events() -> Result<(), BoxError> {
    let store = Watched::default();
    pushes::<Snapped<4>>(&store.shared(), 10).await;
    let tallies = Repository::<Snapped<4>>::new(store.shared());
    for version in 0..=10 {
        let then = tallies.load_at(&1, At::Version(version)).await?;
        assert_eq!((then.sum(), then.version()), ((0..version as i64).sum(), version));
    }
    let first = tallies.history(&1).next().await.unwrap()?;
    let recorded: Vec<_> = first.iter().map(|event| event.recorded_at).collect();
    let then = tallies.load_at(&1, At::Recorded(recorded[0])).await?;
    let by_then = recorded.iter().filter(|at| **at <= recorded[0]).count() as u64;
    assert_eq!(then.version(), by_then);
    assert_eq!(tallies.load_at(&1, At::Occurred(recorded[9])).await?.version(), 10);
    Ok(())
}

#[tokio::test]
async fn an_event_after_the_snapshot_that_cannot_be_decoded_fails_the_load() -> Result<(), BoxError>
{
    let store = MemoryStore::default();
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    pushes::<Snapped<3>>(&shared, 4).await;
    let body = cqrs_core::Payload::Json(Json::parse("{}")?);
    let append = cqrs_core::Append {
        stream: stream(),
        expected: cqrs_core::Expected::Any,
        events: vec![cqrs_core::NewEvent::new("tally.unheard_of", body)],
    };
    store.commit(Commit { appends: vec![append], ..Commit::default() }).await?;
    let error = Repository::<Snapped<3>>::new(shared).load(&1).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Undecodable { version: 5, .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn tenants_have_snapshots_of_their_own() -> Result<(), BoxError> {
    let store = Watched::default();
    for (tenant, value) in [("acme", 1), ("bold", 10)] {
        let tallies = Repository::<Snapped<2>>::new(store.shared()).of_tenant(tenant);
        for _ in 0..4 {
            tallies.execute(&push(value), &Metadata::default()).await?;
        }
        store.seen();
        assert_eq!(tallies.load(&1).await?.sum(), 4 * value);
        assert_eq!(store.seen().events, 0);
    }
    assert_eq!(sum_of::<Snapped<2>>(&store.shared()).await, (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_is_too_large_makes_no_commit_fail() {
    // As large as an event of one digit. The sum grows beyond it.
    let limits = Limits { payload: r#"{"value":9}"#.len(), ..Limits::default() };
    let store = Watched::of(&MemoryStore::default().limits(limits));
    let tallies = Repository::<Large>::new(store.shared());
    for (times, snapshots) in [(1, 1), (120, 0), (1, 0)] {
        let command = Push { times, ..push(9) };
        tallies.execute(&command, &Metadata::default()).await.unwrap();
        assert_eq!(store.seen().snapshots, snapshots, "{times}");
    }
    assert_eq!(sum_of::<Large>(&store.shared()).await, (122 * 9, 122));
    // One event and its append are two parts: there is no room for a third.
    let limits = Limits { parts: 2, ..Limits::default() };
    let store = Watched::of(&MemoryStore::default().limits(limits));
    pushes::<Snapped<1>>(&store.shared(), 2).await;
    assert_eq!(store.seen().snapshots, 0);
}

#[tokio::test]
async fn a_command_that_loses_the_race_for_its_snapshot_decides_anew() {
    let store = Watched::default();
    let tasks = (0..40).map(|_| {
        let tallies = Repository::<Snapped<1>>::new(store.shared());
        tokio::spawn(async move {
            loop {
                match tallies.execute(&push(1), &Metadata::default()).await {
                    Ok(_) => break,
                    Err(failure) => assert!(failure.to_string().contains("version"), "{failure}"),
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!(store.seen().commits > 40, "nobody lost a race");
    assert_eq!(sum_of::<Snapped<1>>(&store.shared()).await, (40, 40));
    assert_eq!(sum_of::<Folded>(&store.shared()).await, (40, 40));
}

#[tokio::test]
async fn the_repeat_of_a_command_with_a_snapshot_is_answered_as_the_first() -> Result<(), BoxError>
{
    let store = Watched::default();
    let tallies = Repository::<Snapped<2>>::new(store.shared());
    let metadata = Metadata::of(MessageId::fresh()).with_inbox("http");
    let twice = Push { times: 2, ..push(7) };
    for _ in 0..3 {
        assert_eq!(tallies.execute(&twice, &metadata).await?.output, 0);
    }
    // Nothing is decided, and it is to be applied once: a mark, and no snapshot.
    let nothing = Push { times: 0, ..push(7) };
    let metadata = Metadata::of(MessageId::fresh()).with_inbox("http");
    assert_eq!(
        Repository::<Newer>::new(store.shared()).execute(&nothing, &metadata).await?.output,
        14
    );
    assert_eq!(sum_of::<Snapped<2>>(&store.shared()).await, (14, 2));
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step =
        prop_oneof![any::<i64>().prop_map(|value| Step::Pushed { value }), Just(Step::Doubled)];
    prop::collection::vec(prop::collection::vec(step, 1..6), 0..12)
}

async fn law<A: Tally>(commits: &[Vec<Step>]) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    for commit in commits {
        let work = Work::new(store.clone(), Metadata::default());
        let mut tally = work.load::<A>(&1).await.unwrap();
        work.record(&mut tally, commit.clone()).unwrap();
        work.commit().await.unwrap();
        assert_eq!(sum_of::<A>(&store).await, sum_of::<Folded>(&store).await);
        assert_eq!(sum_of::<A>(&store).await, (tally.sum(), tally.version()));
    }
    let events = commits.iter().flatten().count() as u64;
    for version in 0..=events {
        let at = At::Version(version);
        let with = Repository::<A>::new(store.clone()).load_at(&1, at).await.unwrap();
        let without = Repository::<Folded>::new(store.clone()).load_at(&1, at).await.unwrap();
        assert_eq!((with.sum(), with.version()), (without.sum(), without.version()));
    }
}

proptest! {
    #[test]
    fn a_load_with_snapshots_is_the_fold_of_all_events(commits in steps(), every in 0..5usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            match every {
                0 => law::<Snapped<1>>(&commits).await,
                1 => law::<Snapped<2>>(&commits).await,
                2 => law::<Snapped<3>>(&commits).await,
                3 => law::<Snapped<7>>(&commits).await,
                _ => law::<Snapped<100>>(&commits).await,
            }
        });
    }
}
