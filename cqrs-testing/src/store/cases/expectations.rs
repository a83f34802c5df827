//! Each expectation against what is missing and what is there, at the right and at a wrong version.

use cqrs_core::{DocumentKey, DocumentWrite, Expected, Guard, StreamId};
use serde_json::json;

use crate::store::cases::prelude::*;

cases! { "expectations":
    an_append_to_a_missing_stream_is_held_to_its_expectation,
    an_append_to_a_present_stream_is_held_to_its_expectation,
    a_document_that_is_missing_is_held_to_its_expectation,
    a_document_that_is_present_is_held_to_its_expectation,
    a_document_that_was_deleted_counts_as_missing,
    a_deletion_is_held_to_its_expectation,
    a_guard_on_a_missing_stream_is_held_to_its_expectation,
    a_guard_on_a_present_stream_is_held_to_its_expectation,
    a_guard_on_a_missing_document_is_held_to_its_expectation,
    a_guard_on_a_present_document_is_held_to_its_expectation,
    a_guard_and_an_append_may_name_the_same_stream,
}

/// All expectations, with whether they hold at version 0.
const OF_MISSING: [(Expected, bool); 7] = [
    (Expected::Any, true),
    (Expected::NoStream, true),
    (Expected::Exactly(0), true),
    (Expected::Exists, false),
    (Expected::Exactly(1), false),
    (Expected::Exactly(1 << 63), false),
    (Expected::Exactly(u64::MAX), false),
];

/// All expectations, with whether they hold at version 2.
const OF_PRESENT: [(Expected, bool); 9] = [
    (Expected::Any, true),
    (Expected::Exists, true),
    (Expected::Exactly(2), true),
    (Expected::NoStream, false),
    (Expected::Exactly(0), false),
    (Expected::Exactly(1), false),
    (Expected::Exactly(3), false),
    (Expected::Exactly(1 << 63), false),
    (Expected::Exactly(u64::MAX), false),
];

async fn present(t: &Probe, n: usize) -> StreamId {
    let stream = account(&format!("present {n}"));
    t.applied(grows(&stream, 1)).await;
    t.applied(grows(&stream, 1)).await;
    stream
}

async fn present_document(t: &Probe, n: usize) -> DocumentKey {
    let id = format!("present {n}");
    t.applied(puts(&id, &json!({ "n": 1 }))).await;
    t.applied(puts(&id, &json!({ "n": 2 }))).await;
    key(&id)
}

async fn version(t: &Probe, key: &DocumentKey) -> u64 {
    t.tutor(&key.id).await.map_or(0, |document| document.version)
}

async fn an_append_to_a_missing_stream_is_held_to_its_expectation(t: Probe) {
    for (n, (expected, holds)) in OF_MISSING.into_iter().enumerate() {
        let stream = account(&format!("missing {n}"));
        let commit = appends(&stream, expected, events(2));
        if holds {
            t.applied(commit).await;
            let seen = t.stream(&stream).await;
            assert_eq!(versions(&seen), [1, 2], "{expected:?} on a missing stream");
        } else {
            let error = t.refused(commit).await;
            assert_stream_at(&error, &stream, 0, &format!("{expected:?} on a missing stream"));
        }
    }
}

async fn an_append_to_a_present_stream_is_held_to_its_expectation(t: Probe) {
    for (n, (expected, holds)) in OF_PRESENT.into_iter().enumerate() {
        let stream = present(&t, n).await;
        let commit = appends(&stream, expected, events(2));
        if holds {
            t.applied(commit).await;
            let seen = t.stream(&stream).await;
            assert_eq!(versions(&seen), [1, 2, 3, 4], "{expected:?} on a stream at version 2");
        } else {
            let error = t.refused(commit).await;
            let why = format!("{expected:?} on a stream at version 2");
            assert_stream_at(&error, &stream, 2, &why);
        }
    }
}

async fn a_document_that_is_missing_is_held_to_its_expectation(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    for (n, (expected, holds)) in OF_MISSING.into_iter().enumerate() {
        let (id, why) = (format!("missing {n}"), format!("{expected:?} on a missing document"));
        let commit = writes(vec![put(&id, expected, &json!({ "n": n }))]);
        if holds {
            t.applied(commit).await;
        } else {
            assert_document_at(&t.refused(commit).await, &key(&id), 0, &why);
        }
        assert_eq!(version(&t, &key(&id)).await, u64::from(holds), "{why}");
    }
}

async fn a_document_that_is_present_is_held_to_its_expectation(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    for (n, (expected, holds)) in OF_PRESENT.into_iter().enumerate() {
        let (key, why) = (present_document(&t, n).await, format!("{expected:?} at version 2"));
        let commit = writes(vec![put(&key.id, expected, &json!({ "n": 3 }))]);
        if holds {
            t.applied(commit).await;
        } else {
            assert_document_at(&t.refused(commit).await, &key, 2, &why);
        }
        let document = t.tutor(&key.id).await.expect("it is there");
        assert_eq!(document.version, if holds { 3 } else { 2 }, "{why}");
        let says: serde_json::Value = document.body.decode().expect("it is JSON");
        assert_eq!(says, json!({ "n": document.version }), "{why}");
    }
}

async fn a_document_that_was_deleted_counts_as_missing(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    // A deletion counts as a version, and still no expectation of a version holds.
    let all = [OF_MISSING.as_slice(), &[(Expected::Exactly(2), false)]].concat();
    for (n, (expected, holds)) in all.into_iter().enumerate() {
        let (id, why) = (format!("deleted {n}"), format!("{expected:?} on a deleted document"));
        t.applied(puts(&id, &json!({ "n": 1 }))).await;
        t.applied(deletes(&id)).await;
        let commit = writes(vec![put(&id, expected, &json!({ "n": 2 }))]);
        if holds {
            t.applied(commit).await;
        } else {
            assert_document_at(&t.refused(commit).await, &key(&id), 0, &why);
        }
        assert_eq!(t.tutor(&id).await.is_some(), holds, "{why}");
    }
}

async fn a_deletion_is_held_to_its_expectation(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let deletion = |id: &str, expected| writes(vec![DocumentWrite::delete(key(id), expected)]);
    t.applied(deletion("missing", Expected::Any)).await;
    assert_eq!(t.tutor("missing").await, None, "a deleted document that never was");
    for expected in [Expected::Exists, Expected::Exactly(1)] {
        let error = t.refused(deletion("missing", expected)).await;
        assert_document_at(&error, &key("missing"), 0, &format!("{expected:?}, deleting"));
    }
    for (n, (expected, holds)) in OF_PRESENT.into_iter().enumerate() {
        // To delete what should not be there contradicts itself.
        if matches!(expected, Expected::NoStream | Expected::Exactly(0)) {
            let error = t.refused(deletion("missing", expected)).await;
            assert_invalid(&error, "documents", &format!("{expected:?}, deleting"));
            continue;
        }
        let key = present_document(&t, n).await;
        if holds {
            t.applied(deletion(&key.id, expected)).await;
        } else {
            let error = t.refused(deletion(&key.id, expected)).await;
            assert_document_at(&error, &key, 2, &format!("{expected:?}, deleting"));
        }
        assert_eq!(version(&t, &key).await, if holds { 0 } else { 2 }, "{expected:?}, deleting");
    }
}

/// Commits one event beside a guard, and tells whether that was right.
async fn guarded(t: &Probe, guard: Guard, holds: bool) -> Option<cqrs_core::Error> {
    let mut commit = grows(&account("beside"), 1);
    commit.guards = vec![guard];
    if holds {
        t.applied(commit).await;
        return None;
    }
    Some(t.refused(commit).await)
}

async fn a_guard_on_a_missing_stream_is_held_to_its_expectation(t: Probe) {
    for (expected, holds) in OF_MISSING {
        let stream = account("missing");
        let guard = Guard::Stream { stream: stream.clone(), expected };
        if let Some(error) = guarded(&t, guard, holds).await {
            assert_stream_at(&error, &stream, 0, &format!("{expected:?} as a guard"));
        }
        assert!(t.stream(&stream).await.is_empty(), "a guard writes nothing");
    }
}

async fn a_guard_on_a_present_stream_is_held_to_its_expectation(t: Probe) {
    let stream = present(&t, 0).await;
    for (expected, holds) in OF_PRESENT {
        let guard = Guard::Stream { stream: stream.clone(), expected };
        if let Some(error) = guarded(&t, guard, holds).await {
            assert_stream_at(&error, &stream, 2, &format!("{expected:?} as a guard"));
        }
    }
    assert_eq!(versions(&t.stream(&stream).await), [1, 2], "a guard writes nothing");
}

async fn a_guard_on_a_missing_document_is_held_to_its_expectation(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    for (expected, holds) in OF_MISSING {
        let guard = Guard::Document { key: key("missing"), expected };
        if let Some(error) = guarded(&t, guard, holds).await {
            assert_document_at(&error, &key("missing"), 0, &format!("{expected:?} as a guard"));
        }
        assert_eq!(t.tutor("missing").await, None, "a guard writes nothing");
    }
}

async fn a_guard_on_a_present_document_is_held_to_its_expectation(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let key = present_document(&t, 0).await;
    for (expected, holds) in OF_PRESENT {
        let guard = Guard::Document { key: key.clone(), expected };
        if let Some(error) = guarded(&t, guard, holds).await {
            assert_document_at(&error, &key, 2, &format!("{expected:?} as a guard"));
        }
    }
    assert_eq!(version(&t, &key).await, 2, "a guard writes nothing");
}

async fn a_guard_and_an_append_may_name_the_same_stream(t: Probe) {
    let stream = present(&t, 0).await;
    let mut commit = grows(&stream, 1);
    commit.guards = vec![Guard::Stream { stream: stream.clone(), expected: Expected::Exactly(2) }];
    t.applied(commit).await;
    assert_eq!(versions(&t.stream(&stream).await), [1, 2, 3], "guard and append of one stream");
}
