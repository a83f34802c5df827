//! More than the service can do: what waits too long, what is too much, and a store that is locked.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::service::{Folder, course, id};

/// Holds the lock that every writer of the file needs.
fn locked(folder: &Folder) -> Connection {
    let other = Connection::open(folder.file()).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_given_up() {
    let folder = Folder::new();
    let service = folder.service(&["--timeout-ms", "200"]);
    let course = course(&id());
    let lock = locked(&folder);
    let late = service.client.keyed("create_course", &course, "k").await;
    late.problem(504, "deadline_exceeded");
    drop(lock);
    // It may have been done all the same; its repeat tells.
    let started = Instant::now();
    loop {
        let repeat = service.client.keyed("create_course", &course, "k").await;
        if repeat.status == 200 {
            break;
        }
        repeat.problem(504, "deadline_exceeded");
        assert!(started.elapsed() < Duration::from_secs(20), "it is never answered");
    }
    let stats = service.client.post("/queries/learning.stats", "{}", &[]).await.ok();
    assert_eq!(stats["courses"], 1, "it was done once");
}

#[tokio::test]
async fn a_store_that_is_locked_makes_the_service_unavailable() {
    let folder = Folder::new();
    let service = folder.service(&[]);
    let lock = locked(&folder);
    let refused = service.client.command("create_course", &course(&id())).await;
    let problem = refused.problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(!problem.to_string().contains("platform.db"), "no paths: {problem}");
    let correlation = refused.header("x-correlation-id").unwrap();
    assert!(folder.log().contains(correlation), "the log has the cause: {}", folder.log());
    drop(lock);
    service.client.command("create_course", &course(&id())).await.ok();
}

#[tokio::test]
async fn more_than_it_takes_on_is_refused() {
    let folder = Folder::new();
    let service = folder.service(&["--at-once", "1"]);
    let lock = locked(&folder);
    let client = service.client.clone();
    let first = tokio::spawn(async move {
        loop {
            let answer = client.command("create_course", &course(&id())).await;
            if answer.status != 429 {
                break answer;
            }
        }
    });
    let started = Instant::now();
    let refused = loop {
        let answer = service.client.post("/queries/learning.stats", "{}", &[]).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(started.elapsed() < Duration::from_secs(4), "the command does not wait");
    };
    refused.problem(429, "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(lock);
    first.await.unwrap().ok();
    service.client.post("/queries/learning.stats", "{}", &[]).await.ok();
}

#[tokio::test]
async fn a_repeat_that_waited_long_enough_is_told_to_come_back() {
    let folder = Folder::new();
    let service = folder.service(&["--timeout-ms", "60000"]);
    let course = course(&id());
    let lock = locked(&folder);
    let (one, other) = tokio::join!(
        service.client.keyed("create_course", &course, "k"),
        service.client.keyed("create_course", &course, "k"),
    );
    // One of them waited for the store, and the other one for the first.
    let (in_flight, first) = if one.status == 409 { (one, other) } else { (other, one) };
    in_flight.problem(409, "in_flight");
    assert_eq!(in_flight.header("retry-after"), Some("1"));
    first.problem(503, "unavailable");
    drop(lock);
    service.client.keyed("create_course", &course, "k").await.ok();
}
