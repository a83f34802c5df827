//! kill -9 under load: clients that repeat until they are answered, and a service that is killed.

use std::collections::HashMap;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::events::Stream;
use crate::service::{Folder, Service, course, id, until};

const CLIENTS: usize = 16;
/// How often the service is killed, unless `KILL_ROUNDS` says otherwise.
const ROUNDS: u64 = 5;
/// How long the clients may be without an answer before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command that was answered, and how.
struct Done {
    name: &'static str,
    body: Value,
    key: String,
    answer: (Bytes, u64),
}

/// What the clients share.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicU64,
    repeated: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_however_often_the_service_is_killed() {
    let rounds = env::var("KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let folder = Folder::new();
    let mut service = folder.service(&[]);
    let first = service.client.clone();
    let load = Arc::new(Load::default());
    let mut clients: JoinSet<Vec<Done>> =
        (0..CLIENTS).map(|_| work(service.client.clone(), Arc::clone(&load))).collect();
    for round in 0..rounds {
        // Killed a little later each time: in the middle of whatever is going on then.
        let enough = load.answered.load(Ordering::Relaxed) + 20 + round * 37 % 200;
        let started = Instant::now();
        while load.answered.load(Ordering::Relaxed) < enough {
            assert!(started.elapsed() < PATIENCE, "no answers come: {}", folder.log());
            assert!(clients.try_join_next().is_none(), "a client has ended");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        first.go_nowhere();
        service.kill();
        service = folder.service(&[]);
        first.go_to(service.address);
    }
    load.stop.store(true, Ordering::Relaxed);
    let mut done = Vec::new();
    while let Some(client) = clients.join_next().await {
        done.extend(client.unwrap());
    }
    let repeated = load.repeated.load(Ordering::Relaxed);
    assert!(repeated >= rounds, "{repeated} repeats in {rounds} rounds: nobody was disturbed");

    every_repeat_is_answered_as_the_first(&service, &done).await;
    every_enrolment_came_to_its_end(&service, &done).await;
    everything_is_in_the_log_once(&service, &done).await;
    println!("{rounds} kills, {} commands answered, {repeated} repeats", done.len());
    service.stop().await;
}

/// Creates courses, publishes them and enrols, one command after the other, until it is told to stop.
async fn work(client: Client, load: Arc<Load>) -> Vec<Done> {
    let mut done = Vec::new();
    while !load.stop.load(Ordering::Relaxed) {
        let course_id = id();
        let wanted = json!({ "course_id": course_id });
        let enrolment =
            json!({ "enrollment_id": id(), "course_id": course_id, "student_id": "mina" });
        for (name, body) in [
            ("create_course", course(&course_id)),
            ("publish_course", wanted),
            ("request_enrollment", enrolment),
        ] {
            let key = id();
            let answer = until_answered(&client, name, &body, &key, &load).await;
            load.answered.fetch_add(1, Ordering::Relaxed);
            done.push(Done { name, body, key, answer });
        }
    }
    done
}

/// Repeats a command under its key until it is answered.
async fn until_answered(
    client: &Client,
    name: &str,
    body: &Value,
    key: &str,
    load: &Load,
) -> (Bytes, u64) {
    let path = format!("/commands/learning.{name}");
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    let started = Instant::now();
    loop {
        match client.try_post(&path, body.to_string(), &headers).await {
            Ok(answer) if answer.status == 200 => {
                let position = answer.position();
                return (answer.body, position);
            }
            // What may be tried again: a store that two processes use while one is killed.
            Ok(answer) if [409, 429, 503, 504].contains(&answer.status) => {}
            Ok(answer) => panic!("{name} was answered {}: {}", answer.status, answer.text()),
            Err(_) => {}
        }
        assert!(started.elapsed() < PATIENCE, "{name} is never answered");
        load.repeated.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn every_repeat_is_answered_as_the_first(service: &Service, done: &[Done]) {
    for Done { name, body, key, answer } in done {
        let repeat = service.client.keyed(name, body, key).await;
        assert_eq!(repeat.status, 200, "{name} {body}: {}", repeat.text());
        assert_eq!((&repeat.body, repeat.position()), (&answer.0, answer.1), "{name} {body}");
    }
}

/// What was acknowledged happened, and what follows from it: each of it once.
async fn everything_is_in_the_log_once(service: &Service, done: &[Done]) {
    let client = &service.client;
    let last = id();
    let end = client.command("create_course", &course(&last)).await.position();
    let mut stream = Stream::open(client, "/events").await;
    let mut seen = HashMap::new();
    loop {
        let event = stream.next().await;
        let position = event["position"].as_u64().unwrap();
        if position == end {
            break;
        }
        let what = (event["stream"].as_str().unwrap().to_owned(), event["type"].clone());
        let before = seen.insert(what, position);
        assert_eq!(before, None, "twice: {event}");
    }
    for Done { name, body, answer: (_, position), .. } in done {
        let (kind, id, event) = match *name {
            "create_course" => ("course", &body["course_id"], "learning.course_created"),
            "publish_course" => ("course", &body["course_id"], "learning.course_published"),
            _ => ("enrollment", &body["enrollment_id"], "learning.enrollment_requested"),
        };
        let stream = format!("{kind}/{}", id.as_str().unwrap());
        assert_eq!(seen.get(&(stream, event.into())), Some(position), "{name} {body}");
    }
    let of = |name| done.iter().filter(|done| done.name == name).count();
    let count = |event: &str| seen.keys().filter(|(_, name)| name == event).count();
    for (event, times) in [
        ("learning.course_created", of("create_course")),
        ("learning.course_published", of("publish_course")),
        ("learning.enrollment_requested", of("request_enrollment")),
        ("learning.enrollment_activated", of("request_enrollment")),
        ("learning.seat_reserved", of("request_enrollment")),
        ("payments.charged", of("request_enrollment")),
    ] {
        assert_eq!(count(event), times, "{event}");
    }
    assert_eq!(seen.len(), 2 * of("create_course") + 4 * of("request_enrollment"));
}

/// Whoever was enrolled has paid once and was told once.
async fn every_enrolment_came_to_its_end(service: &Service, done: &[Done]) {
    let client = &service.client;
    let enrolments = done.iter().filter(|done| done.name == "request_enrollment").count();
    until("all are active", async || {
        let stats = client.query("stats", &json!({})).await.ok();
        (stats["enrollments"]["active"] == enrolments).then_some(())
    })
    .await;
    until("no saga runs", async || {
        let running = client.ask("sagas.list", &json!({ "status": "running" })).await;
        running["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    until("all were told", async || {
        let told = client.ask("notifications.list", &json!({})).await;
        let told = told["items"].as_array().unwrap().len();
        assert!(told <= enrolments, "somebody was told twice");
        (told == enrolments).then_some(())
    })
    .await;
    let ledger = client.ask("payments.ledger", &json!({})).await;
    assert_eq!(ledger["charges"].as_array().unwrap().len(), enrolments);
    assert_eq!(ledger["total_cents"], 4_900 * enrolments);
}
