//! How the service starts and stops: flags, their twins, roles, signals.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::events::Stream;
use crate::service::{Folder, course, fresh, id};

/// The output of a line of shell.
fn shell(line: &str) -> Value {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_two_lines_to_try_work_as_they_are() {
    let (_folder, mut service) = fresh();
    let (create, list) = (service.line(), service.line());
    let created = shell(&create);
    assert_eq!(created["version"], 1);
    let listed = shell(&list);
    assert_eq!(listed["total"], 1);
    assert_eq!(listed["items"][0]["course_id"], created["course_id"]);
    let again = shell(&create);
    assert_eq!(again["code"], "learning.course_exists");
}

#[tokio::test]
async fn the_lines_of_the_payments_role_work_as_well() {
    let folder = Folder::new();
    let mut service = folder.service(&["--role", "payments"]);
    let (manifest, ledger) = (service.line(), service.line());
    assert!(shell(&manifest)["requests"].is_array());
    assert_eq!(shell(&ledger)["total_cents"], 0);
    assert_eq!(service.client.get("/").await.status, 404);
}

#[tokio::test]
async fn a_role_answers_to_its_own_requests_only() {
    for (role, learning, payments) in
        [("all", true, true), ("learning", true, false), ("payments", false, true)]
    {
        let folder = Folder::new();
        let service = folder.service(&["--role", role]);
        let manifest = service.client.get("/manifest").await.ok();
        let names = |list: &str| -> Vec<String> {
            let list = manifest[list].as_array().unwrap();
            list.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
        };
        for of in [names("requests"), names("events")] {
            let has = |module: &str| of.iter().any(|name| name.starts_with(module));
            assert_eq!((has("learning."), has("payments.")), (learning, payments), "{of:?}");
        }
        let stats = service.client.post("/queries/learning.stats", "{}", &[]).await;
        assert_eq!(stats.status, if learning { 200 } else { 404 });
        let ledger = service.client.post("/queries/payments.ledger", "{}", &[]).await;
        assert_eq!(ledger.status, if payments { 200 } else { 404 });
    }
}

#[tokio::test]
async fn flags_have_twins_in_the_environment() {
    let folder = Folder::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_learning-platform"));
    command
        .env("STORE_URL", "memory:")
        .env("BUS_URL", "memory:")
        .env("ROLE", "payments")
        .env("LISTEN", "127.0.0.1:0")
        .env("LOG", "json")
        .env("RUST_LOG", "debug")
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(folder.file().with_file_name("log")).unwrap());
    let service = folder.started(command);
    let ledger = service.client.post("/queries/payments.ledger", "{}", &[]).await;
    assert_eq!(ledger.ok()["total_cents"], 0);
    assert_eq!(service.client.post("/queries/learning.stats", "{}", &[]).await.status, 404);
    service.stop().await;
    for line in folder.log().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert!(!folder.file().exists(), "nothing is kept");
}

#[test]
fn what_is_not_there_is_refused_with_what_is() {
    for (arguments, named) in [
        (["--store", "carrier-pigeon:"], "sqlite:PATH, postgres://…, mongodb://… or memory:"),
        (["--bus", "pigeon://127.0.0.1"], "`amqp`, `amqps`, `memory`, `nats`"),
        (["--listen", "nowhere"], "cannot listen on nowhere"),
        (["--role", "teacher"], "possible values"),
    ] {
        let folder = Folder::new();
        let output = folder.command(&arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nobody listens");
        assert!(folder.log().contains(named), "{arguments:?}: {}", folder.log());
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = Folder::new();
    let course_id = id();
    let service = folder.service(&[]);
    service.client.command("create_course", &course(&course_id)).await.ok();
    service.stop().await;
    let service = folder.service(&[]);
    let wanted = json!({ "course_id": course_id });
    let found = service.client.query("get_course", &wanted).await;
    assert_eq!(found.ok()["title"], "Rust for everyone");
}

#[tokio::test]
async fn a_signal_ends_the_service_in_order_with_a_stream_open() {
    for signal in ["TERM", "INT"] {
        let (folder, mut service) = fresh();
        let mut stream = Stream::open(&service.client, "/events").await;
        service.client.command("create_course", &course(&id())).await.ok();
        stream.next().await;
        service.signal(signal);
        assert!(stream.next_or_end().await.is_none(), "the stream ends");
        assert_eq!(service.ended().await.code(), Some(0), "{}", folder.log());
    }
}

#[tokio::test]
async fn a_second_ctrl_c_ends_the_service_at_once() {
    let (folder, mut service) = fresh();
    // A request that is begun and does not end keeps the service from stopping.
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let head = "POST /commands/learning.create_course HTTP/1.1\r\nhost: x\r\n\
                content-type: application/json\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100", "it waits for the body");
    service.signal("INT");
    while !folder.log().contains("stopping") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    service.signal("INT");
    assert_eq!(service.ended().await.code(), Some(130));
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_end() {
    let (folder, mut service) = fresh();
    let body = course(&id()).to_string();
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let head = format!(
        "POST /commands/learning.create_course HTTP/1.1\r\nhost: x\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 25]).await.unwrap();
    service.signal("TERM");
    while !folder.log().contains("stopping") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(service.ended().await.code(), Some(0));
}
