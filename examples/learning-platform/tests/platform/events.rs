//! `GET /events`: from any position, live, and again after a break.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::service::{Folder, course, fresh, id, published};

/// How long an event may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of events, as a browser reads it.
pub(crate) struct Stream {
    body: Incoming,
    text: String,
}

impl Stream {
    pub(crate) async fn open(client: &Client, path: &str) -> Self {
        Self::open_with(client, path, &[]).await
    }

    pub(crate) async fn open_with(client: &Client, path: &str, headers: &[(&str, &str)]) -> Self {
        let response = client.begin(Method::GET, path, Body::empty(), headers).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { body: response.into_body(), text: String::new() }
    }

    /// The data of the next event, which must come.
    pub(crate) async fn next(&mut self) -> Value {
        self.next_or_end().await.expect("the stream has ended")
    }

    /// The data of the next event; `None` when the stream has ended.
    pub(crate) async fn next_or_end(&mut self) -> Option<Value> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let Some(data) = field("data: ") else { continue };
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!(data["position"].to_string(), field("id: ").unwrap());
                return Some(data);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            match frame.expect("no event comes") {
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap();
                    self.text.push_str(std::str::from_utf8(&data).unwrap());
                }
                Some(Err(_)) | None => return None,
            }
        }
    }
}

async fn refused(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    let response = client.begin(Method::GET, path, Body::empty(), headers).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

#[tokio::test]
async fn every_event_is_there_with_all_that_is_known_of_it() {
    let (_folder, service) = fresh();
    let course_id = published(&service.client).await;
    let mut stream = Stream::open(&service.client, "/events").await;
    let (created, published) = (stream.next().await, stream.next().await);
    assert_eq!(created["type"], "learning.course_created");
    assert_eq!(created["stream"], format!("course/{course_id}"));
    assert_eq!(created["version"], 1);
    let expected = json!({
        "course_id": course_id, "title": "Rust for everyone", "tutor_id": "ada",
        "price_cents": 4900, "capacity": 30,
    });
    assert_eq!(created["data"], expected);
    assert!(created["recorded_at"].as_str().unwrap().ends_with('Z'));
    assert!(created["metadata"]["id"].is_string());
    assert_eq!(published["type"], "learning.course_published");
    assert_eq!(
        (published["version"].as_u64(), &published["data"]),
        (Some(2), &json!({ "course_id": course_id }))
    );
    assert!(published["position"].as_u64() > created["position"].as_u64());
}

#[tokio::test]
async fn correlation_and_trace_are_in_every_event_of_a_command() {
    let (_folder, service) = fresh();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("x-correlation-id", "order-17/b"), ("traceparent", traceparent)];
    let body = course(&id()).to_string();
    let answer = service.client.post("/commands/learning.create_course", body, &headers).await;
    answer.ok();
    assert_eq!(answer.header("x-correlation-id"), Some("order-17/b"));
    assert_eq!(answer.header("traceparent"), Some(traceparent));
    // Without headers the service makes a correlation id, and starts no trace.
    let other = service.client.command("create_course", &course(&id())).await;
    assert_eq!(other.header("traceparent"), None);
    let mut stream = Stream::open(&service.client, "/events").await;
    let metadata = stream.next().await["metadata"].clone();
    assert_eq!(metadata["correlation_id"], "order-17/b");
    assert_eq!(metadata["traceparent"], traceparent);
    let metadata = stream.next().await["metadata"].clone();
    assert_eq!(metadata["correlation_id"], other.header("x-correlation-id").unwrap());
    assert_eq!(metadata["causation_id"], metadata["correlation_id"], "it is the command's id");
    assert_eq!(metadata["traceparent"], Value::Null);
}

#[tokio::test]
async fn a_stream_begins_after_a_position_and_goes_on_live() {
    let (_folder, service) = fresh();
    let course_id = id();
    let first = service.client.command("create_course", &course(&course_id)).await.position();
    let mut stream = Stream::open(&service.client, &format!("/events?after={first}")).await;
    for price_cents in [1, 2, 3] {
        let change = json!({ "course_id": course_id, "price_cents": price_cents });
        let position = service.client.command("change_price", &change).await.position();
        let event = stream.next().await;
        assert_eq!(event["position"], position);
        assert_eq!(event["data"], change);
    }
}

#[tokio::test]
async fn a_stream_that_broke_goes_on_after_its_last_event() {
    let (_folder, service) = fresh();
    let course_id = published(&service.client).await;
    let mut stream = Stream::open(&service.client, "/events").await;
    let last = stream.next().await["position"].to_string();
    drop(stream);
    let headers = [("last-event-id", last.as_str())];
    // A browser comes back to the address that it first asked for.
    let mut stream = Stream::open_with(&service.client, "/events?after=0", &headers).await;
    let event = stream.next().await;
    assert_eq!(event["type"], "learning.course_published");
    assert_eq!(event["stream"], format!("course/{course_id}"));
}

#[tokio::test]
async fn what_another_process_writes_is_seen() {
    let folder = Folder::new();
    let (one, other) = (folder.service(&[]), folder.service(&[]));
    let mut stream = Stream::open(&one.client, "/events").await;
    for _ in 0..3 {
        let position = other.client.command("create_course", &course(&id())).await.position();
        assert_eq!(stream.next().await["position"], position);
    }
}

#[tokio::test]
async fn a_long_log_comes_in_order_and_whole() {
    let (_folder, service) = fresh();
    let course_id = id();
    service.client.command("create_course", &course(&course_id)).await.ok();
    for price_cents in 0..600 {
        let change = json!({ "course_id": course_id, "price_cents": price_cents });
        service.client.command("change_price", &change).await.ok();
    }
    let mut stream = Stream::open(&service.client, "/events").await;
    for version in 1..=601 {
        assert_eq!(stream.next().await["version"], version);
    }
}

#[tokio::test]
async fn a_position_past_the_end_of_the_log_is_refused() {
    let (_folder, service) = fresh();
    let head = service.client.command("create_course", &course(&id())).await.position();
    let beyond = (head + 1).to_string();
    refused(&service.client, &format!("/events?after={beyond}"), &[])
        .await
        .problem(400, "beyond_head");
    let last = [("last-event-id", beyond.as_str())];
    refused(&service.client, "/events", &last).await.problem(400, "beyond_head");
    Stream::open(&service.client, &format!("/events?after={head}")).await;
}

#[tokio::test]
async fn a_position_that_is_none_is_refused_by_name() {
    let (_folder, service) = fresh();
    for after in ["", "-1", "x", "1.5", "99999999999999999999", "%31"] {
        let answer = refused(&service.client, &format!("/events?after={after}"), &[]).await;
        answer.blames(400, "invalid", "after");
    }
    let last = [("last-event-id", "one")];
    refused(&service.client, "/events?after=0", &last).await.blames(
        400,
        "invalid",
        "Last-Event-ID",
    );
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let (_folder, service) = fresh();
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(Stream::open(&service.client, "/events").await);
    }
    let answer = refused(&service.client, "/events", &[]).await;
    answer.problem(429, "overloaded");
    assert_eq!(answer.header("retry-after"), Some("1"));
    service.client.command("create_course", &course(&id())).await.ok();
    for stream in &mut streams {
        stream.next().await;
    }
    drop(streams);
    // The place is free when the service has seen that the other end is gone.
    let started = std::time::Instant::now();
    while refused_or_open(&service.client).await == 429 {
        assert!(started.elapsed() < PATIENCE, "the places are not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn refused_or_open(client: &Client) -> u16 {
    let response = client.begin(Method::GET, "/events", Body::empty(), &[]).await.unwrap();
    response.status().as_u16()
}
