//! Messages to send and timers; and what a commit of all parts leaves behind.

use std::time::Duration;

use cqrs_core::{
    AnswerTo, Clock, Commit, Committed, Conflict, ErrorKind, Expected, Filter, FindOutgoing,
    FindParked, FindTimers, Json, LeaseRequest, ManualClock, Metadata, Outgoing, OutgoingKind,
    PageSize, ParkedWrite, Payload, ReadLog, Settled, Store, TimerWrite, Timestamp, Tries,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use rusqlite::Connection;
use store_sqlite::SqliteStore;

use crate::common::{append, collect, deposit, event, id, log_of, positions};
use crate::parked::{aside, parks, settled};
use crate::retention::handles;

fn message(n: u128) -> Outgoing {
    let body = Payload::Json(Json::parse(format!(r#"{{"amount":{n}}}"#)).unwrap());
    let message = Outgoing::new(OutgoingKind::Command, "payments.charge", "order-17", body);
    Outgoing { metadata: Metadata::of(id(n)), ..message }
}

fn sends(outgoing: Vec<Outgoing>) -> Commit {
    Commit { outgoing, ..Commit::default() }
}

pub(crate) fn settles(settled: Settled) -> Commit {
    Commit { settled: vec![settled], ..Commit::default() }
}

fn timer(name: &str, generation: u64, due: Option<i64>) -> TimerWrite {
    TimerWrite {
        owner: "checkout".to_owned(),
        tenant: None,
        key: "order-17".to_owned(),
        name: name.to_owned(),
        generation,
        due: due.map(Timestamp::from_micros),
    }
}

fn sets(timers: Vec<TimerWrite>) -> Commit {
    Commit { timers, ..Commit::default() }
}

pub(crate) fn conflict(error: &cqrs_core::Error) -> &Conflict {
    match error.kind() {
        ErrorKind::Conflict(conflict) => conflict,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn events_and_messages_share_one_count_and_readers_reach_its_end() {
    let store = SqliteStore::in_memory().await.unwrap();
    let commit = Commit {
        appends: vec![append("17", Expected::Any, vec![event("bank.deposited")])],
        outgoing: vec![message(1), message(2)],
        ..Commit::default()
    };
    assert_eq!(store.commit(commit.clone()).await.unwrap(), Committed::Now { position: 3 });
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Before { position: 3, reply: None });
    assert_eq!(store.commit(deposit("17")).await.unwrap(), Committed::Now { position: 4 });
    assert_eq!(
        store.commit(sends(vec![message(3)])).await.unwrap(),
        Committed::Now { position: 5 }
    );
    assert_eq!(store.head().await.unwrap().position, 5);
    let tagged = Filter { tags: vec!["none".to_owned()], ..Filter::default() };
    let typed = Filter { types: vec!["bank.opened".into()], ..Filter::default() };
    let streams =
        Filter { streams: vec![cqrs_core::StreamId::new("account", "18")], ..Filter::default() };
    for filter in [tagged, typed, streams] {
        let pages = log_of(&store, filter).await;
        assert_eq!((pages.last().unwrap().through(), positions(&pages).len()), (5, 0));
    }
    for page in [1, 2, 100] {
        let pages = collect(store.read_log(ReadLog::after(0).page(page))).await.unwrap();
        assert_eq!(positions(&pages), [1, 4]);
        assert_eq!(pages.last().unwrap().through(), 5);
    }
    let pending = store.outgoing(FindOutgoing::after(2)).await.unwrap();
    assert_eq!(pending.iter().map(|m| m.position).collect::<Vec<_>>(), [3, 5]);
}

#[tokio::test]
async fn a_message_comes_back_as_it_was_sent() {
    let store = SqliteStore::in_memory().await.unwrap();
    let plain = message(1);
    let full = Outgoing {
        metadata: Metadata::of(id(2)).with_tenant("acme").with_actor("ada"),
        kind: OutgoingKind::Message,
        body: Payload::Binary { content_type: "application/cbor".into(), bytes: vec![0xf6].into() },
        not_before: Some(Timestamp::from_micros(-7)),
        answer_to: Some(AnswerTo {
            saga: "checkout".to_owned(),
            key: "a\"b".to_owned(),
            step: "pay".to_owned(),
        }),
        tries: Tries::AtMost(u32::MAX),
        ..message(2)
    };
    let erased = Outgoing {
        kind: OutgoingKind::Timer,
        body: Payload::Erased,
        tries: Tries::UntilAnswered,
        ..message(3)
    };
    let all = vec![plain, full, erased];
    store.commit(sends(all.clone())).await.unwrap();
    let pending = store.outgoing(FindOutgoing::after(0)).await.unwrap();
    assert_eq!(pending.into_iter().map(|m| m.message).collect::<Vec<_>>(), all);
}

#[tokio::test]
async fn members_of_a_group_see_what_others_settled() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.commit(sends(vec![message(1)])).await.unwrap();
    let settle = || settles(Settled::Outgoing(id(1)));
    let commits = [settle(), settle(), sends(vec![message(1)]), sends(vec![message(1)]), settle()];
    let verdicts = join_all(commits.map(|commit| store.commit(commit))).await;
    assert_eq!(*verdicts[0].as_ref().unwrap(), Committed::Now { position: 1 });
    let gone = Conflict::Settled { what: format!("the message {}", id(1)) };
    assert_eq!(*conflict(verdicts[1].as_ref().unwrap_err()), gone);
    assert_eq!(*verdicts[2].as_ref().unwrap(), Committed::Now { position: 2 });
    let reused = ErrorKind::IdReused { id: id(1).to_string() };
    assert_eq!(*verdicts[3].as_ref().unwrap_err().kind(), reused);
    assert!(verdicts[4].is_ok());
    assert!(store.outgoing(FindOutgoing::after(0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn pages_of_messages_end_at_either_limit_and_hold_at_least_one() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.commit(sends((1..=5).map(message).collect())).await.unwrap();
    let one = message(1).body.len();
    let found = async |after, events, bytes| {
        let find = FindOutgoing { after, page: PageSize { events, bytes } };
        store.outgoing(find).await.unwrap().iter().map(|m| m.position).collect::<Vec<_>>()
    };
    assert_eq!(found(0, 2, usize::MAX).await, [1, 2]);
    assert_eq!(found(2, 9, usize::MAX).await, [3, 4, 5]);
    assert_eq!(found(0, 9, 3 * one).await, [1, 2, 3]);
    assert_eq!(found(0, 9, 1).await, [1]);
    assert_eq!(found(3, 0, 0).await, [4]);
    assert!(found(u64::MAX, 9, 9).await.is_empty());
}

#[tokio::test]
async fn a_message_that_was_spoilt_by_hand_is_an_error_and_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(sends(vec![message(1), message(2)])).await.unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute("UPDATE outgoing_rows SET data = '{' WHERE position = 2", ()).unwrap();
    let error = store.outgoing(FindOutgoing::after(0)).await.unwrap_err();
    assert!(error.to_string().contains("position 2"), "{error}");
    assert!(
        matches!(error.kind(), ErrorKind::Decode { message, .. } if message == "payments.charge")
    );
}

#[tokio::test]
async fn timers_are_found_by_their_time_and_never_go_back() {
    let store = SqliteStore::in_memory().await.unwrap();
    let all =
        vec![timer("b", 2, Some(20)), timer("a", 1, Some(20)), timer("c", u64::MAX, Some(-5))];
    store.commit(sets(all)).await.unwrap();
    let acme = TimerWrite { tenant: Some("acme".into()), ..timer("b", 9, Some(10)) };
    store.commit(sets(vec![acme])).await.unwrap();
    let found = async |due_by, limit| {
        let find = FindTimers { owner: "checkout".to_owned(), due_by, limit };
        store.timers(find).await.unwrap()
    };
    let all = found(Timestamp::MAX, 10).await;
    let short = all.iter().map(|t| (&*t.name, t.tenant.as_deref(), t.generation));
    let expected = [("c", None, u64::MAX), ("b", Some("acme"), 9), ("a", None, 1), ("b", None, 2)];
    assert_eq!(short.collect::<Vec<_>>(), expected);
    assert_eq!(found(Timestamp::from_micros(10), 10).await, all[..2]);
    assert_eq!(found(Timestamp::MAX, 1).await, all[..1]);

    let actual = |actual| Conflict::Timer {
        owner: "checkout".to_owned(),
        key: "order-17".to_owned(),
        name: "b".to_owned(),
        actual,
    };
    for late in [timer("b", 2, Some(30)), timer("b", 1, None)] {
        let error = store.commit(sets(vec![late])).await.unwrap_err();
        assert_eq!(*conflict(&error), actual(2));
    }
    let fired = Settled::Timer(all[3].clone());
    let again = Commit { timers: vec![timer("b", 3, Some(30))], ..settles(fired.clone()) };
    store.commit(again).await.unwrap();
    let error = store.commit(settles(fired)).await.unwrap_err();
    assert!(matches!(conflict(&error), Conflict::Settled { .. }), "{error:?}");
    store.commit(sets(vec![timer("b", 3, None), timer("none", 1, None)])).await.unwrap();
    assert_eq!(found(Timestamp::MAX, 10).await, all[..3]);
}

#[tokio::test]
async fn nothing_of_a_refused_commit_remains() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.commit(parks(vec![aside("mailer", 1)])).await.unwrap();
    let late = ParkedWrite { expected: Expected::NoStream, ..aside("mailer", 1) };
    let commit = Commit {
        appends: vec![append("17", Expected::Any, vec![event("bank.deposited")])],
        outgoing: vec![message(1)],
        timers: vec![timer("a", 1, Some(1))],
        settled: vec![settled(&aside("mailer", 1))],
        parked: vec![aside("mailer", 2), late],
        ..Commit::default()
    };
    assert!(store.commit(commit).await.unwrap_err().is_conflict());
    assert_eq!(store.head().await.unwrap().position, 0);
    assert!(store.outgoing(FindOutgoing::after(0)).await.unwrap().is_empty());
    let all = FindTimers { owner: "checkout".to_owned(), due_by: Timestamp::MAX, limit: 9 };
    assert!(store.timers(all).await.unwrap().is_empty());
    let parked = store.parked(FindParked::default()).await.unwrap();
    assert_eq!(parked.iter().map(|entry| entry.position).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn hints_come_when_the_log_grows_and_not_otherwise() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.commit(deposit("17")).await.unwrap();
    let mut hint = store.hint();
    assert!(hint.changed().now_or_never().is_none());
    store.commit(parks(vec![aside("mailer", 1)])).await.unwrap();
    assert!(hint.changed().now_or_never().is_none());
    store.commit(sends(vec![message(1)])).await.unwrap();
    hint.changed().await;
    assert!(hint.changed().now_or_never().is_none());
    store.commit(deposit("17")).await.unwrap();
    store.commit(deposit("17")).await.unwrap();
    hint.changed().await;
    assert!(hint.changed().now_or_never().is_none());
}

#[tokio::test]
async fn plain_sql_shows_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let at = "2024-02-29T12:30:00.000042Z".parse::<Timestamp>().unwrap();
    let clock = ManualClock::at(at);
    let store = SqliteStore::builder().clock(clock.clone()).open(&path).await.unwrap();
    let due = Some(clock.now());
    let commit = Commit {
        outgoing: vec![Outgoing { not_before: due, tries: Tries::AtMost(3), ..message(1) }],
        timers: vec![TimerWrite { due, ..timer("payment", 1, None) }],
        parked: vec![ParkedWrite { due, ..aside("mailer", 1) }],
        ..handles(id(2), "done")
    };
    store.commit(commit).await.unwrap();
    let lease = LeaseRequest {
        holder: "a".to_owned(),
        names: vec!["m/0".to_owned()],
        term: Duration::ZERO,
    };
    store.lease(lease).await.unwrap();
    let conn = Connection::open(&path).unwrap();
    let shows = |sql: &str| conn.query_row(sql, (), |row| row.get::<_, String>(0)).unwrap();
    for (sql, expected) in [
        (
            "SELECT concat_ws('|', position, kind, name, key, id, not_before, tries, data ->> 'amount')
             FROM outgoing",
            "1|command|payments.charge|order-17|00000000-0000-0000-0000-000000000001|AT|3|1",
        ),
        ("SELECT concat_ws('|', owner, key, name, generation, due) FROM timers", "checkout|order-17|payment|1|AT"),
        (
            "SELECT concat_ws('|', position, subscription, key, state, due, since, cause) FROM parked",
            "1|mailer|key-1|parked|AT|AT|no such address",
        ),
        ("SELECT concat_ws('|', name, holder, token, until, is_backed) FROM leases", "m/0|a|1|AT|1"),
        (
            "SELECT concat_ws('|', consumer, message, handled_at) FROM inbox",
            "payments|00000000-0000-0000-0000-000000000002|AT",
        ),
    ] {
        assert_eq!(shows(sql), expected.replace("AT", "2024-02-29T12:30:00.000042Z"), "{sql}");
    }
}
