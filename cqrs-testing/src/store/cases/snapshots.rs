//! Snapshots: written with the events they are made of, given to readers of their schema, forgotten.

use cqrs_core::{Committed, Expected, Fingerprint, ReadStream, SnapshotWrite, Support, Timestamp};
use serde_json::{Value, json};

use crate::store::case::Offered;
use crate::store::cases::prelude::*;
use crate::store::handle::Handle;
use crate::store::seen::SeenPage;

cases! { "snapshots":
    a_reading_begins_with_the_snapshot_and_goes_on_after_it if offered,
    a_snapshot_of_the_last_version_comes_alone if offered,
    a_reading_that_asks_for_none_has_all_events if offered,
    a_snapshot_comes_on_the_first_page_only if offered,
    a_snapshot_may_be_of_an_event_in_the_middle_of_a_commit if offered,
    a_newer_snapshot_replaces_the_older if offered,
    a_snapshot_of_another_schema_is_not_given if offered,
    of_three_schemas_the_two_newest_are_kept if offered,
    a_snapshot_outside_the_wanted_versions_is_not_given if offered,
    a_reading_backwards_or_of_a_time_has_no_snapshot if offered,
    snapshots_of_tenants_and_categories_are_apart if offered,
    snapshots_of_hostile_streams_stay_apart if offered,
    bodies_of_snapshots_come_back if offered,
    a_refused_commit_leaves_no_snapshot if offered,
    a_repeat_with_another_snapshot_is_the_repeat if offered,
    a_snapshot_of_a_version_that_its_commit_does_not_make_is_refused if offered,
    two_snapshots_of_a_stream_in_one_commit_are_refused if offered,
    forgotten_snapshots_are_gone_for_every_schema if offered,
    a_refused_commit_forgets_no_snapshot if offered,
    a_commit_that_forgets_is_another_than_one_that_does_not if offered,
    the_body_of_a_snapshot_has_a_limit if offered,
    snapshots_count_as_parts if offered,
    a_store_that_is_opened_anew_has_its_snapshots if offered_and_durable,
}

fn offered(offered: &Offered) -> Support {
    offered.snapshots
}

fn offered_and_durable(offered: &Offered) -> Support {
    if offered.snapshots.is_yes() { offered.durable } else { offered.snapshots }
}

fn schema(name: &str) -> Fingerprint {
    Fingerprint::of(name.as_bytes())
}

/// A snapshot of the schema `name`, which is in its body as well.
fn keep(stream: &StreamId, name: &str, version: u64) -> SnapshotWrite {
    let body = body(&json!({ "schema": name, "version": version }));
    SnapshotWrite::Keep { stream: stream.clone(), schema: schema(name), version, body }
}

/// Appends so many events at version `from`, with a snapshot of the last one.
fn kept(stream: &StreamId, name: &str, from: u64, n: usize) -> Commit {
    Commit {
        snapshots: vec![keep(stream, name, from + n as u64)],
        ..appends(stream, Expected::Exactly(from), events(n))
    }
}

fn forgets(stream: &StreamId) -> Commit {
    Commit {
        snapshots: vec![SnapshotWrite::Forget { stream: stream.clone() }],
        ..Commit::default()
    }
}

/// The snapshot that a reading begins with, and the versions of the events it has.
async fn read(t: &Handle, read: ReadStream) -> (Option<u64>, Vec<u64>) {
    let pages = t.stream_pages(read.clone()).await;
    let late = pages.iter().skip(1).filter(|page| page.snapshot.is_some()).count();
    assert_eq!(late, 0, "a snapshot comes on the first page: {read:?}");
    let snapshot = pages.first().and_then(|page| page.snapshot.clone());
    let seen = pages.into_iter().flat_map(|page| page.events).collect::<Vec<_>>();
    (snapshot.map(|(version, _)| version), versions(&seen))
}

async fn begins(t: &Handle, stream: &StreamId, name: &str) -> (Option<u64>, Vec<u64>) {
    read(t, ReadStream::of(stream.clone()).with_snapshot(schema(name))).await
}

async fn a_reading_begins_with_the_snapshot_and_goes_on_after_it(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 3)).await;
    t.applied(grows(&account("1"), 2)).await;
    let wanted = ReadStream::of(account("1")).with_snapshot(schema("a"));
    let pages = t.stream_pages(wanted).await;
    let body = json!({ "schema": "a", "version": 3 });
    assert_eq!(pages[0].snapshot, Some((3, body)), "the snapshot as it was written");
    assert_eq!(versions(&pages[0].events), [4, 5], "and the events after it");
}

async fn a_snapshot_of_the_last_version_comes_alone(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 3)).await;
    assert_eq!(begins(&t, &account("1"), "a").await, (Some(3), vec![]), "no event came after it");
    let pages = t.stream_pages(ReadStream::of(account("1")).with_snapshot(schema("a"))).await;
    assert_eq!(pages.len(), 1, "one page, with no events: {pages:?}");
    let none = t.stream_pages(ReadStream::of(account("2")).with_snapshot(schema("a"))).await;
    assert_eq!(none, Vec::<SeenPage>::new(), "a missing stream has no pages");
}

async fn a_reading_that_asks_for_none_has_all_events(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 3)).await;
    let all = read(&t, ReadStream::of(account("1"))).await;
    assert_eq!(all, (None, vec![1, 2, 3]), "nobody asked for a snapshot");
    assert_eq!(t.log().await.len(), 3, "a snapshot is no part of the log");
}

async fn a_snapshot_comes_on_the_first_page_only(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 3)).await;
    t.applied(grows(&account("1"), 7)).await;
    for size in [1, 2, 7, 8] {
        let wanted = ReadStream::of(account("1")).with_snapshot(schema("a")).page(size);
        let (snapshot, seen) = read(&t, wanted).await;
        assert_eq!((snapshot, seen), (Some(3), (4..=10).collect()), "{size} events a page");
    }
}

async fn a_snapshot_may_be_of_an_event_in_the_middle_of_a_commit(t: Probe) {
    let middle = Commit {
        snapshots: vec![keep(&account("1"), "a", 2)],
        ..appends(&account("1"), Expected::NoStream, events(5))
    };
    t.applied(middle).await;
    assert_eq!(begins(&t, &account("1"), "a").await, (Some(2), vec![3, 4, 5]), "after the second");
}

async fn a_newer_snapshot_replaces_the_older(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 3)).await;
    t.applied(kept(&account("1"), "a", 3, 2)).await;
    t.applied(grows(&account("1"), 1)).await;
    assert_eq!(begins(&t, &account("1"), "a").await, (Some(5), vec![6]), "the newer one");
    let older = ReadStream::of(account("1")).to(4).with_snapshot(schema("a"));
    assert_eq!(read(&t, older).await, (None, vec![1, 2, 3, 4]), "the older one is gone");
}

async fn a_snapshot_of_another_schema_is_not_given(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 3)).await;
    assert_eq!(begins(&t, &account("1"), "b").await, (None, vec![1, 2, 3]), "of another schema");
    t.applied(kept(&account("1"), "b", 3, 1)).await;
    assert_eq!(begins(&t, &account("1"), "a").await, (Some(3), vec![4]), "each has its own");
    assert_eq!(begins(&t, &account("1"), "b").await, (Some(4), vec![]), "each has its own");
}

async fn of_three_schemas_the_two_newest_are_kept(t: Probe) {
    for (from, name) in ["a", "b", "a", "c"].into_iter().enumerate() {
        t.applied(kept(&account("1"), name, from as u64, 1)).await;
        t.applied(kept(&account("2"), name, from as u64, 1)).await;
    }
    for stream in ["1", "2"] {
        let (a, b, c) = (
            begins(&t, &account(stream), "a").await.0,
            begins(&t, &account(stream), "b").await.0,
            begins(&t, &account(stream), "c").await.0,
        );
        assert_eq!((a, b, c), (Some(3), None, Some(4)), "what was left behind does not add up");
    }
}

async fn a_snapshot_outside_the_wanted_versions_is_not_given(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 3)).await;
    t.applied(grows(&account("1"), 3)).await;
    let of = |from, to| {
        let stretch = ReadStream::of(account("1")).from(from).to(to);
        read(&t, stretch.with_snapshot(schema("a")))
    };
    assert_eq!(of(1, 2).await, (None, vec![1, 2]), "it is later than what is wanted");
    assert_eq!(of(4, 9).await, (None, vec![4, 5, 6]), "it is earlier than what is wanted");
    assert_eq!(of(1, 3).await, (Some(3), vec![]), "it is the last that is wanted");
    assert_eq!(of(3, 5).await, (Some(3), vec![4, 5]), "it is the first that is wanted");
    assert_eq!(of(0, u64::MAX).await, (Some(3), vec![4, 5, 6]), "everything is wanted");
}

async fn a_reading_backwards_or_of_a_time_has_no_snapshot(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 3)).await;
    let wanted = ReadStream::of(account("1")).with_snapshot(schema("a"));
    assert_eq!(read(&t, wanted.clone().backwards()).await, (None, vec![3, 2, 1]), "backwards");
    let ever = wanted.recorded_until(Timestamp::MAX);
    assert_eq!(read(&t, ever).await, (None, vec![1, 2, 3]), "as it was recorded by a time");
}

async fn snapshots_of_tenants_and_categories_are_apart(t: Probe) {
    let streams = [
        account("1"),
        account("1").with_tenant("acme"),
        account("1").with_tenant("bold"),
        StreamId::new("Account", "1"),
    ];
    for (n, stream) in streams.iter().enumerate() {
        t.applied(kept(stream, "a", 0, n + 1)).await;
    }
    t.applied(forgets(&streams[2])).await;
    for (n, stream) in streams.iter().enumerate() {
        let expected = (n != 2).then_some(n as u64 + 1);
        assert_eq!(begins(&t, stream, "a").await.0, expected, "the snapshot of {stream}");
    }
}

async fn snapshots_of_hostile_streams_stay_apart(t: Probe) {
    let ids = ["17", "1", "17 ", "A", "a", "a/b", "'", "''", "%", "$a.b", "\\0", "é", "e\u{301}"];
    for (n, id) in ids.into_iter().enumerate() {
        t.applied(kept(&account(id), "a", 0, n + 1)).await;
    }
    for (n, id) in ids.into_iter().enumerate() {
        let expected = (Some(n as u64 + 1), vec![]);
        assert_eq!(begins(&t, &account(id), "a").await, expected, "the stream {id:?}");
    }
}

async fn bodies_of_snapshots_come_back(t: Probe) {
    let bodies = [
        json!(null),
        json!(0),
        json!("text"),
        json!([]),
        json!({}),
        json!({ "a'b\"c\\d\n\u{0}": ["🦀", 1.5, u64::MAX, i64::MIN, { "deep": [[[]]] }] }),
        json!("x".repeat(1 << 20)),
    ];
    for (n, value) in bodies.into_iter().enumerate() {
        let stream = account(&n.to_string());
        let (schema, body) = (schema("a"), body(&value));
        let snapshot = SnapshotWrite::Keep { stream: stream.clone(), schema, version: 1, body };
        let one = appends(&stream, Expected::NoStream, events(1));
        t.applied(Commit { snapshots: vec![snapshot], ..one }).await;
        let pages = t.stream_pages(ReadStream::of(stream).with_snapshot(schema)).await;
        assert_eq!(pages[0].snapshot, Some((1, value)), "the {n}. body");
    }
}

async fn a_refused_commit_leaves_no_snapshot(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 1)).await;
    t.applied(grows(&account("1"), 1)).await;
    let error = t.refused(kept(&account("1"), "a", 1, 3)).await;
    assert_stream_at(&error, &account("1"), 2, "somebody else was faster");
    assert_eq!(begins(&t, &account("1"), "a").await, (Some(1), vec![2]), "the one from before");
    // The stream of the snapshot is as expected, the other one is not.
    let mut commit = kept(&account("2"), "a", 0, 1);
    commit.appends.push(append(&account("1"), Expected::NoStream, events(1)));
    t.refused(commit).await;
    t.applied(grows(&account("2"), 2)).await;
    assert_eq!(begins(&t, &account("2"), "a").await, (None, vec![1, 2]), "of a refused commit");
}

async fn a_repeat_with_another_snapshot_is_the_repeat(t: Probe) {
    let first = kept(&account("1"), "a", 0, 2);
    let position = t.applied(first.clone()).await;
    let again = Committed::Before { position, reply: None };
    let without = Commit { snapshots: Vec::new(), ..first.clone() };
    let other = Commit { snapshots: vec![keep(&account("1"), "b", 2)], ..first };
    for repeat in [without, other] {
        assert_eq!(t.answered(repeat).await, again, "a snapshot says nothing of its own");
    }
    assert_eq!(begins(&t, &account("1"), "a").await.0, Some(2), "the one of the first");
    assert_eq!(begins(&t, &account("1"), "b").await.0, None, "a repeat writes nothing");
}

async fn a_snapshot_of_a_version_that_its_commit_does_not_make_is_refused(t: Probe) {
    t.applied(grows(&account("1"), 3)).await;
    let of = |expected, version| Commit {
        snapshots: vec![keep(&account("1"), "a", version)],
        ..appends(&account("1"), expected, events(2))
    };
    let cases = [
        of(Expected::Exactly(3), 3),
        of(Expected::Exactly(3), 6),
        of(Expected::Exactly(3), 0),
        of(Expected::Exactly(3), u64::MAX),
        of(Expected::Exactly(u64::MAX), u64::MAX),
        of(Expected::Any, 5),
        of(Expected::Exists, 5),
        Commit { snapshots: vec![keep(&account("1"), "a", 3)], ..Commit::default() },
        Commit { snapshots: vec![keep(&account("1"), "a", 1)], ..grows(&account("2"), 1) },
    ];
    for commit in cases {
        let error = t.refused(commit).await;
        assert_invalid(&error, "snapshots", "a state that never was");
    }
    t.applied(of(Expected::Exactly(3), 5)).await;
    assert_eq!(begins(&t, &account("1"), "a").await, (Some(5), vec![]), "the version it makes");
}

async fn two_snapshots_of_a_stream_in_one_commit_are_refused(t: Probe) {
    let mut commit = kept(&account("1"), "a", 0, 1);
    commit.snapshots.push(keep(&account("1"), "b", 1));
    assert_invalid(&t.refused(commit).await, "snapshots", "two are kept");
    let mut commit = kept(&account("1"), "a", 0, 1);
    commit.snapshots.extend(forgets(&account("1")).snapshots);
    assert_invalid(&t.refused(commit).await, "snapshots", "one is kept and all are forgotten");
}

async fn forgotten_snapshots_are_gone_for_every_schema(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 1)).await;
    t.applied(kept(&account("1"), "b", 1, 1)).await;
    t.applied(kept(&account("2"), "a", 0, 1)).await;
    t.applied(forgets(&account("1"))).await;
    t.applied(forgets(&account("never"))).await;
    for name in ["a", "b"] {
        assert_eq!(begins(&t, &account("1"), name).await, (None, vec![1, 2]), "forgotten");
    }
    assert_eq!(begins(&t, &account("2"), "a").await.0, Some(1), "that of another stream");
    t.applied(kept(&account("1"), "a", 2, 1)).await;
    assert_eq!(begins(&t, &account("1"), "a").await.0, Some(3), "kept again");
}

async fn a_refused_commit_forgets_no_snapshot(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 1)).await;
    let refused = appends(&account("2"), Expected::Exists, events(1));
    t.refused(Commit { snapshots: forgets(&account("1")).snapshots, ..refused }).await;
    assert_eq!(begins(&t, &account("1"), "a").await.0, Some(1), "of a refused commit");
}

async fn a_commit_that_forgets_is_another_than_one_that_does_not(t: Probe) {
    let first = grows(&account("1"), 1);
    t.applied(first.clone()).await;
    let id = first.id.0;
    let error = t.refused(Commit { snapshots: forgets(&account("1")).snapshots, ..first }).await;
    assert_reused(&error, id, "what is to be forgotten was asked for");
}

async fn the_body_of_a_snapshot_has_a_limit(t: Probe) {
    let limit = t.limits().payload;
    let of = |len: usize| {
        let (stream, body) = (account("1"), body(&json!("x".repeat(len - 2))));
        let snapshot = SnapshotWrite::Keep { stream, schema: schema("a"), version: 1, body };
        let one = appends(&account("1"), Expected::NoStream, events(1));
        Commit { snapshots: vec![snapshot], ..one }
    };
    let error = t.refused(of(limit + 1)).await;
    assert_too_large(error.kind(), limit, "snapshot");
    t.applied(of(limit)).await;
    let pages = t.stream_pages(ReadStream::of(account("1")).with_snapshot(schema("a"))).await;
    let length = pages[0].snapshot.as_ref().and_then(|(_, body)| body.as_str()).map(str::len);
    assert_eq!(length, Some(limit - 2), "the body at the limit comes back whole");
}

async fn snapshots_count_as_parts(t: Probe) {
    let limit = t.limits().parts;
    let of = |n: usize| {
        let forget = |n: usize| SnapshotWrite::Forget { stream: account(&n.to_string()) };
        Commit { snapshots: (0..n).map(forget).collect(), ..Commit::default() }
    };
    assert_too_large(t.refused(of(limit + 1)).await.kind(), limit, "parts");
    t.applied(of(limit)).await;
}

async fn a_store_that_is_opened_anew_has_its_snapshots(t: Probe) {
    t.applied(kept(&account("1"), "a", 0, 3)).await;
    t.applied(grows(&account("1"), 1)).await;
    let t = t.reopened().await;
    let pages = t.stream_pages(ReadStream::of(account("1")).with_snapshot(schema("a"))).await;
    let body: Value = json!({ "schema": "a", "version": 3 });
    assert_eq!(pages[0].snapshot, Some((3, body)), "as it was written");
    assert_eq!(versions(&pages[0].events), [4], "and what came after it");
}
