//! Appends of several processes at once: each sees the tables as they were before its turn came.

use std::time::Duration;

use cqrs_core::{
    Collection, Commit, CommitId, Committed, Conflict, ErrorKind, Expected, Filter, Json,
    MessageId, NewEvent, Page, Payload, ReadStream, Result, Store, StreamId,
};
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use store_postgres::PostgresStore;

use crate::common::{self, Schema};
use crate::short::{
    append, collect, deposit, deposit_as, event_with_id, log_of, loose, paid, plain, positions,
    versions, within,
};

async fn two(schema: &Schema) -> [PostgresStore; 2] {
    let connect = async || common::store(&schema.0).connect().await.unwrap();
    [connect().await, connect().await]
}

/// Commits through both at the same moment.
async fn at_once(stores: &[PostgresStore; 2], commits: [&Commit; 2]) -> [Result<Committed>; 2] {
    let [one, other] = commits;
    let (one, other) = tokio::join!(stores[0].commit(one.clone()), stores[1].commit(other.clone()));
    [one, other]
}

fn position(committed: &Result<Committed>) -> u64 {
    match committed {
        Ok(Committed::Now { position } | Committed::Before { position, .. }) => *position,
        Err(error) => panic!("{error}"),
    }
}

fn are_now(committed: &[Result<Committed>]) -> usize {
    committed.iter().filter(|committed| matches!(committed, Ok(Committed::Now { .. }))).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_expect_the_same_version_one_is_applied_and_the_others_are_told_the_version() {
    let schema = Schema::new();
    let stores = two(&schema).await;
    let mut applied = 0;
    for version in 0..60 {
        let commits = [(); 4].map(|()| deposit("hot", Expected::Exactly(version)));
        let sent =
            commits.iter().enumerate().map(|(n, commit)| stores[n % 2].commit(commit.clone()));
        let answers = join_all(sent).await;
        assert_eq!(are_now(&answers), 1, "{answers:?}");
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let ErrorKind::Conflict(Conflict::Stream { actual, .. }) = error.kind() else {
                panic!("{error}");
            };
            assert_eq!(*actual, version + 1);
        }
        applied += 1;
    }
    assert_eq!(versions(&stores[0], "hot").await, (1..=applied).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_sent_twice_at_once_is_applied_once() {
    let schema = Schema::new();
    let stores = two(&schema).await;
    for n in 0..60 {
        let commit = deposit(&format!("stream-{n}"), Expected::NoStream);
        let answers = at_once(&stores, [&commit, &commit]).await;
        assert_eq!(are_now(&answers), 1, "{answers:?}");
        assert_eq!(position(&answers[0]), position(&answers[1]));
    }
    assert_eq!(positions(&log_of(&stores[1], Filter::default()).await).len(), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_a_commit_or_an_event_that_two_use_at_once_is_refused_to_one() {
    let schema = Schema::new();
    let stores = two(&schema).await;
    for n in 0..40 {
        let id = CommitId(MessageId::fresh());
        let mine = deposit_as(id, &format!("mine-{n}"), Expected::NoStream);
        let yours = match n % 2 {
            0 => deposit_as(id, &format!("yours-{n}"), Expected::NoStream),
            _ => Commit { id, ..loose(&format!("yours-{n}"), Expected::NoStream) },
        };
        let event = event_with_id(MessageId::fresh());
        let of_event = |stream: &str| Commit {
            id: CommitId(MessageId::fresh()),
            appends: vec![append(stream, Expected::NoStream, vec![event.clone()])],
            ..Commit::default()
        };
        let (ours, theirs) = (of_event(&format!("ours-{n}")), of_event(&format!("theirs-{n}")));
        for commits in [[&mine, &yours], [&ours, &theirs]] {
            let answers = at_once(&stores, commits).await;
            assert_eq!(are_now(&answers), 1, "{answers:?}");
            let refused = answers.iter().find_map(|answer| answer.as_ref().err()).unwrap();
            assert!(matches!(refused.kind(), ErrorKind::IdReused { .. }), "{refused}");
        }
    }
    assert_eq!(positions(&log_of(&stores[1], Filter::default()).await).len(), 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_known_of_whatever_another_process_wrote_while_one_waits_for_the_turn() {
    let schema = Schema::new();
    let stores = two(&schema).await;
    stores[0].declare(Collection::new("paid")).await.unwrap();
    // Whoever is alone gets a connection.
    for n in 0..50 {
        stores[1].commit(deposit(&format!("alone-{n}"), Expected::NoStream)).await.unwrap();
    }
    let mut client = plain(&common::url()).await;
    let turn = format!("SELECT {}.take_turn('10s')", schema.0);
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND objid = $1::text::regclass::oid";
    let log = format!("{}.log", schema.0);
    for n in 0..12 {
        let id = CommitId(MessageId::fresh());
        let (mine, yours) = (format!("mine-{n}"), format!("yours-{n}"));
        let first = match n % 3 {
            0 => Commit { id, ..paid(&mine, 17) },
            1 => Commit { id, ..loose(&mine, Expected::NoStream) },
            _ => deposit_as(id, &mine, Expected::NoStream),
        };
        let second = match n / 3 % 2 {
            0 => deposit_as(id, &yours, Expected::NoStream),
            _ => Commit { id, ..loose(&yours, Expected::NoStream) },
        };
        // Both have looked at the tables when they wait, one behind the other.
        let holder = client.transaction().await.unwrap();
        holder.batch_execute(&turn).await.unwrap();
        let mut sent = Vec::new();
        for (store, commit) in stores.iter().zip([first.clone(), second]) {
            let store = store.clone();
            sent.push(tokio::spawn(async move { store.commit(commit).await }));
            within(Duration::from_secs(10), "it waits for its turn", async || {
                let all: i64 = holder.query_one(waiting, &[&log]).await.unwrap().get(0);
                all == sent.len() as i64
            })
            .await;
        }
        holder.rollback().await.unwrap();
        let [first_sent, second_sent] = <[_; 2]>::try_from(sent).unwrap();
        let applied = first_sent.await.unwrap();
        assert!(matches!(applied, Ok(Committed::Now { .. })), "{n}: {applied:?}");
        let refused = second_sent.await.unwrap().unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::IdReused { .. }), "{n}: {refused}");
        assert!(matches!(stores[1].commit(first).await, Ok(Committed::Before { .. })), "{n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_that_expects_too_much_is_refused_alone_and_leaves_no_gap() {
    let schema = Schema::new();
    let stores = two(&schema).await;
    for n in 0..3 {
        stores[0].commit(deposit("short", Expected::Exactly(n))).await.unwrap();
    }
    for round in 0..20 {
        let many = (0..64).map(|n| match n {
            31 => deposit("short", Expected::Exactly(7)),
            _ => deposit(&format!("stream-{round}-{n}"), Expected::NoStream),
        });
        let answers = join_all(many.map(|commit| stores[0].commit(commit))).await;
        assert_eq!(are_now(&answers), 63);
        let ErrorKind::Conflict(Conflict::Stream { actual, .. }) =
            answers[31].as_ref().unwrap_err().kind()
        else {
            panic!("{:?}", answers[31]);
        };
        assert_eq!(*actual, 3);
    }
    assert_eq!(versions(&stores[1], "short").await, [1, 2, 3]);
    let all = positions(&log_of(&stores[1], Filter::default()).await);
    assert_eq!(all.len(), 3 + 20 * 63);
    assert!(all.is_sorted_by(|a, b| a < b));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_never_step_back_whoever_writes() {
    let schema = Schema::new();
    let stores = two(&schema).await;
    for n in 0..50 {
        let stream = |store: usize| format!("stream-{store}-{n}");
        let (one, many) =
            (deposit(&stream(0), Expected::NoStream), deposit(&stream(1), Expected::Any));
        // The clock of the server was an hour ahead, for a moment.
        if n == 25 {
            let client = stores[0].pool().get().await.unwrap();
            let ahead = format!(
                "SELECT setval('{0}.clock', last_value + 3600000000) FROM {0}.clock",
                schema.0
            );
            client.batch_execute(&ahead).await.unwrap();
        }
        let answers = at_once(&stores, [&one, &many]).await;
        assert_eq!(are_now(&answers), 2, "{answers:?}");
    }
    let pages = log_of(&stores[0], Filter::default()).await;
    let times: Vec<_> =
        pages.iter().flat_map(|page| page.iter().map(|event| event.recorded_at)).collect();
    assert_eq!(times.len(), 100);
    assert!(times.is_sorted(), "{times:?}");
    assert!(times[99].as_micros() - times[0].as_micros() >= 3_600_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_nobody_waits_for_is_whole_and_holds_up_nobody() {
    let schema = Schema::new();
    let stores = two(&schema).await;
    let mut left = Vec::new();
    for n in 0..50 {
        let commit = deposit(&format!("left-{n}"), Expected::NoStream);
        left.push(commit.clone());
        let sent = stores[0].commit(commit);
        // Asked once, and dropped.
        let _ = tokio::time::timeout(Duration::from_micros(50 * n), sent).await;
        let mine = stores[0].commit(deposit(&format!("mine-{n}"), Expected::NoStream)).await;
        assert!(matches!(mine, Ok(Committed::Now { .. })), "{mine:?}");
    }
    // Each came to something, and a repeat tells the same.
    for commit in left {
        let repeated = stores[1].commit(commit).await;
        assert!(repeated.is_ok(), "{repeated:?}");
    }
    within(Duration::from_secs(5), "every event is there", async || {
        positions(&log_of(&stores[1], Filter::default()).await).len() == 100
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_the_log_grew_is_said_also_of_a_commit_that_nobody_waits_for() {
    let schema = Schema::new();
    let [store, _] = two(&schema).await;
    // Whoever is alone gets a connection.
    for n in 0..100 {
        store.commit(deposit(&format!("alone-{n}"), Expected::NoStream)).await.unwrap();
    }
    let (mut hint, mut said) = (store.hint(), 0);
    for n in 0..20 {
        while hint.changed().now_or_never().is_some() {}
        let commit = deposit(&format!("left-{n}"), Expected::NoStream);
        drop(store.commit(commit.clone()).now_or_never());
        let is_said = tokio::time::timeout(Duration::from_secs(1), hint.changed()).await.is_ok();
        let repeated = store.commit(commit).await.unwrap();
        assert!(is_said || matches!(repeated, Committed::Now { .. }), "nobody is told of {n}");
        said += u32::from(is_said);
    }
    assert!(said > 0, "none was sent before it was left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_ask_for_his_answer_holds_up_nobody() {
    let schema = Schema::new();
    let [store, _] = two(&schema).await;
    // A stream that does not fit into what lies between two processes.
    for n in 0..40 {
        let body = format!("{{\"text\":\"{}\"}}", "x".repeat(1_000));
        let event =
            || NewEvent::new("bank.noted", Payload::Json(Json::parse(body.as_str()).unwrap()));
        let events = (0..25).map(|_| event()).collect();
        let appends = vec![append("long", Expected::Exactly(n * 25), events)];
        let id = CommitId(MessageId::fresh());
        store.commit(Commit { id, appends, ..Commit::default() }).await.unwrap();
    }
    for n in 0..20 {
        // Alone on the way, and asked once: most often there is no answer yet.
        let mut sent = Box::pin(store.commit(deposit(&format!("sent-{n}"), Expected::NoStream)));
        let mut read = store.read_stream(ReadStream::of(StreamId::new("account", "long")));
        let (answer, page) = ((&mut sent).now_or_never(), read.next().now_or_never().flatten());
        let others = async {
            for k in 0..5 {
                let commit = deposit(&format!("other-{n}-{k}"), Expected::NoStream);
                store.commit(commit).await.unwrap();
                let stream = ReadStream::of(StreamId::new("account", format!("other-{n}-{k}")));
                assert_eq!(collect(store.read_stream(stream)).await.unwrap()[0].len(), 1);
            }
        };
        tokio::time::timeout(Duration::from_secs(10), others).await.expect("others wait");
        let answer = match answer {
            Some(answer) => answer,
            None => sent.await,
        };
        assert!(matches!(answer, Ok(Committed::Now { .. })), "{answer:?}");
        let mut pages = collect(read).await.unwrap();
        pages.extend(page.map(Result::unwrap));
        assert_eq!(pages.iter().map(Page::len).sum::<usize>(), 1_000);
    }
    // And the store can be closed.
    let mut sent = Box::pin(store.commit(deposit("last", Expected::NoStream)));
    let _ = (&mut sent).now_or_never();
    tokio::time::timeout(Duration::from_secs(10), store.close()).await.expect("it is closed");
}
