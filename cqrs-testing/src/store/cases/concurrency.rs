//! Many writers at once: nothing is lost, nothing is given twice, nobody waits for ever.

use std::collections::HashSet;
use std::sync::Arc;

use cqrs_core::{Conflict, ErrorKind, Expected};
use serde_json::json;
use tokio::sync::Barrier;

use crate::store::cases::prelude::*;
use crate::store::handle::{Handle, together};

cases! { "concurrency":
    tasks_that_append_to_one_stream_and_retry_leave_no_gap,
    every_success_of_tasks_on_their_own_streams_is_in_the_log,
    of_tasks_that_expect_the_same_version_one_wins,
    of_tasks_that_take_the_same_unique_value_one_wins,
    a_violated_unique_field_fails_its_own_commit_only,
    a_reused_event_id_fails_its_own_commit_only,
    commits_that_name_streams_in_opposite_order_all_succeed,
    writers_of_one_document_lose_no_update,
}

async fn two(t: &Probe) -> [Handle; 2] {
    [t.handle(), t.another().await]
}

async fn tasks_that_append_to_one_stream_and_retry_leave_no_gap(t: Probe) {
    const TASKS: usize = 64;
    let (handles, stream) = (two(&t).await, account("1"));
    let written = together(TASKS, |n| {
        let (handle, stream) = (handles[n % 2].clone(), stream.clone());
        async move {
            let event = event("bank.deposited");
            let mut version = 0;
            // At most all others come in between.
            for _ in 0..=TASKS {
                let commit = appends(&stream, Expected::Exactly(version), vec![event.clone()]);
                match handle.settled(commit).await {
                    Ok(_) => return event.id(),
                    Err(error) => match error.kind() {
                        ErrorKind::Conflict(Conflict::Stream { actual, .. }) => {
                            assert!(*actual > version, "not further than expected: {error:?}");
                            version = *actual;
                        }
                        _ => panic!("expected Exactly({version}): {error:?}"),
                    },
                }
            }
            panic!("a task had more conflicts than there are other tasks");
        }
    });
    let written = written.await.into_iter().collect::<HashSet<_>>();
    let seen = t.stream(&stream).await;
    assert_eq!(versions(&seen), (1..=TASKS as u64).collect::<Vec<_>>(), "versions 1 to {TASKS}");
    assert_eq!(ids(&seen).into_iter().collect::<HashSet<_>>(), written, "every success is there");
}

async fn every_success_of_tasks_on_their_own_streams_is_in_the_log(t: Probe) {
    const TASKS: usize = 64;
    const COMMITS: u64 = 5;
    let handles = two(&t).await;
    let written = together(TASKS, |n| {
        let (handle, stream) = (handles[n % 2].clone(), account(&format!("{n:02}")));
        async move {
            let mut written = Vec::new();
            for version in 0..COMMITS {
                let commit = appends(&stream, Expected::Exactly(version), events(1));
                let id = commit.appends[0].events[0].id();
                written.push((handle.answered(commit).await.position(), id));
            }
            written
        }
    });
    let mut written = written.await.concat();
    written.sort_unstable();
    let log = t.log().await.into_iter().map(|event| (event.position, event.id));
    assert_eq!(log.collect::<Vec<_>>(), written, "the log is what the writers were told");
    for n in 0..TASKS {
        let seen = versions(&t.stream(&account(&format!("{n:02}"))).await);
        assert_eq!(seen, (1..=COMMITS).collect::<Vec<_>>(), "the stream of task {n}");
    }
}

async fn of_tasks_that_expect_the_same_version_one_wins(t: Probe) {
    let handles = two(&t).await;
    for round in 0..8 {
        let stream = account(&format!("{round}"));
        let answers = together(16, |n| {
            let (handle, stream) = (handles[n % 2].clone(), stream.clone());
            async move { handle.settled(appends(&stream, Expected::NoStream, events(1))).await }
        });
        let answers = answers.await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "of 16 that expect no stream one wins: {answers:?}");
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_stream_at(error, &stream, 1, "the others come after one event");
        }
    }
}

async fn of_tasks_that_take_the_same_unique_value_one_wins(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    let handles = two(&t).await;
    for round in 0..8 {
        let email = format!("{round}@example.org");
        let answers = together(16, |n| {
            let (handle, says) = (handles[n % 2].clone(), json!({ "email": email }));
            async move { handle.settled(puts(&format!("{round} {n}"), &says)).await }
        });
        let answers = answers.await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "of 16 that take one value one wins: {answers:?}");
        let losses = answers.iter().enumerate();
        for (n, error) in losses.filter_map(|(n, answer)| Some((n, answer.as_ref().err()?))) {
            let (collection, id) = (TUTOR.to_owned(), format!("{round} {n}"));
            let taken = Conflict::Unique { collection, id, field: "email".to_owned() };
            assert_conflict(error, taken, "the others find it taken");
        }
        let found = t.found(FindDocuments::by(TUTOR, "email", email)).await;
        assert_eq!(found.len(), 1, "one document has the value: {found:?}");
    }
}

async fn a_violated_unique_field_fails_its_own_commit_only(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    t.applied(puts("taken", &json!({ "email": "ada@example.org" }))).await;
    let handles = two(&t).await;
    let answers = together(32, |n| {
        let handle = handles[n % 2].clone();
        async move {
            let email = if n == 16 { "ada".to_owned() } else { n.to_string() };
            let says = json!({ "email": format!("{email}@example.org") });
            let documents = puts(&format!("{n:02}"), &says).documents;
            let commit = Commit { documents, ..grows(&account(&format!("{n:02}")), 1) };
            handle.settled(commit).await
        }
    });
    for (n, answer) in answers.await.into_iter().enumerate() {
        let written = t.stream(&account(&format!("{n:02}"))).await.len();
        match answer {
            Ok(_) => assert!(n != 16 && written == 1, "commit {n}: {written} events"),
            Err(error) => {
                assert!(n == 16 && written == 0, "commit {n} of 32 has done no wrong: {error:?}");
            }
        }
    }
}

async fn a_reused_event_id_fails_its_own_commit_only(t: Probe) {
    let used = event("bank.opened");
    t.applied(appends(&account("used"), Expected::Any, vec![used.clone()])).await;
    let handles = two(&t).await;
    let answers = together(32, |n| {
        let (handle, used) = (handles[n % 2].clone(), used.clone());
        async move {
            let event = if n == 16 { used } else { event("bank.opened") };
            let stream = account(&format!("{n:02}"));
            handle.settled(appends(&stream, Expected::NoStream, vec![event])).await
        }
    });
    for (n, answer) in answers.await.into_iter().enumerate() {
        match answer {
            Ok(_) => assert_ne!(n, 16, "the id of an event was used twice"),
            Err(error) if n == 16 => assert_reused(&error, used.id(), "a used event id"),
            Err(error) => panic!("commit {n} of 32 has done no wrong: {error:?}"),
        }
    }
    assert_eq!(t.log().await.len(), 32, "the first event and 31 others");
}

async fn commits_that_name_streams_in_opposite_order_all_succeed(t: Probe) {
    const TASKS: u64 = 32;
    let handles = two(&t).await;
    let streams = [account("a"), account("b"), account("c")];
    together(TASKS as usize, |n| {
        let (handle, mut streams) = (handles[n % 2].clone(), streams.to_vec());
        async move {
            if n % 2 == 0 {
                streams.reverse();
            }
            let appends = streams.iter().map(|stream| append(stream, Expected::Any, events(1)));
            handle.applied(Commit { appends: appends.collect(), ..Commit::default() }).await;
        }
    })
    .await;
    for stream in &streams {
        let seen = versions(&t.stream(stream).await);
        assert_eq!(seen, (1..=TASKS).collect::<Vec<_>>(), "{stream} has an event of each");
    }
}

async fn writers_of_one_document_lose_no_update(t: Probe) {
    const TASKS: usize = 16;
    t.declared(Collection::new(TUTOR)).await;
    let (handles, read) = (two(&t).await, Arc::new(Barrier::new(TASKS)));
    together(TASKS, |n| {
        let (handle, read) = (handles[n % 2].clone(), Arc::clone(&read));
        async move {
            for round in 0..=TASKS {
                let document = handle.tutor("17").await;
                let version = document.as_ref().map_or(0, |document| document.version);
                let count: u64 = document.map_or(0, |d| d.body.decode().expect("a number"));
                if round == 0 {
                    // All have read before the first one writes.
                    read.wait().await;
                }
                let put = put("17", Expected::Exactly(version), &json!(count + 1));
                match handle.settled(writes(vec![put])).await {
                    Ok(_) => return,
                    Err(error) => assert!(error.is_conflict(), "expected {version}: {error:?}"),
                }
            }
            panic!("a task had more conflicts than there are other tasks");
        }
    })
    .await;
    let document = t.tutor("17").await.expect("it is there");
    assert_eq!(document.version, TASKS as u64, "each task wrote once");
    assert_eq!(document.body.decode::<usize>().expect("a number"), TASKS, "each task counted");
}
