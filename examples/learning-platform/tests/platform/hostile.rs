//! What nobody should send, and what comes of it: a typed answer, and a service that goes on.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::{course, fresh, id};

const CREATE: &str = "/commands/learning.create_course";

/// The status of what these bytes are answered; 0: the connection was closed without a word.
async fn status_of(address: SocketAddr, bytes: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may hang up on us in the middle.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(20), read).await.expect("it hangs");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    status.map_or(0, |status| status.parse().unwrap())
}

#[tokio::test]
async fn a_hostile_body_gets_a_typed_answer() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_field = format!(r#"{{"course_id":{}"#, "{\"a\":".repeat(40_000));
    let huge = format!(r#"{{"course_id":"{}","price_cents":1{}}}"#, id(), "0".repeat(10_000));
    let twice = format!(r#"{{"course_id":"{0}","course_id":"{0}"}}"#, id());
    let bodies: [&[u8]; 8] = [
        deep.as_bytes(),
        deep_field.as_bytes(),
        huge.as_bytes(),
        twice.as_bytes(),
        b"\xff\xfe{}",
        b"{\"title\":\"\xff\"}",
        b"{\"title\":\"\\ud800\"}",
        b"\0",
    ];
    for body in bodies {
        let answer = client.post(CREATE, body.to_vec(), &[]).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        let problem = answer.problem(400, "decode");
        assert!(problem.to_string().len() < 1_000, "{shown}: {problem}");
    }
    assert_eq!(client.query("stats", &json!({})).await.ok()["courses"], 0);
}

#[tokio::test]
async fn the_log_says_nothing_of_what_is_in_a_request() {
    let (folder, service) = fresh();
    let client = &service.client;
    let secret = "mallory-knows-this";
    for (field, status) in
        [("title", 200), ("tutor_id", 200), ("course_id", 400), ("capacity", 400)]
    {
        let mut course = course(&id());
        course[field] = secret.into();
        assert_eq!(client.command("create_course", &course).await.status, status, "{field}");
    }
    service.stop().await;
    assert!(folder.log().contains("cannot be decoded"), "{}", folder.log());
    assert!(!folder.log().contains(secret), "{}", folder.log());
}

#[tokio::test]
async fn a_field_that_is_given_twice_is_refused_by_name() {
    let (_folder, service) = fresh();
    let body = format!(r#"{{"course_id":"{}","title":"a","title":"b"}}"#, id());
    let problem = service.client.post(CREATE, body, &[]).await.problem(400, "decode");
    assert!(problem["detail"].as_str().unwrap().contains("title"), "{problem}");
}

#[tokio::test]
async fn hostile_texts_are_kept_as_they_are_or_refused_by_field() {
    let (_folder, service) = fresh();
    let client = &service.client;
    for title in
        ["<script>alert(1)</script>", "'; DROP TABLE documents; --", "a\u{202e}b", "\u{0}\n"]
    {
        let course_id = id();
        let mut course = course(&course_id);
        course["title"] = title.into();
        client.command("create_course", &course).await.ok();
        let shown = client.query("get_course", &json!({ "course_id": course_id })).await.ok();
        assert_eq!(shown["title"], title);
    }
    for tutor in ["\0", "a\u{1b}[2J", "\u{85}", "a\r\nx: y"] {
        let mut course = course(&id());
        course["tutor_id"] = tutor.into();
        client.command("create_course", &course).await.blames(400, "invalid", "tutor_id");
        let list = json!({ "tutor_id": tutor, "page": 1, "limit": 1 });
        let status = client.query("list_courses", &list).await.status;
        assert!(status == 200 || status == 400, "{tutor:?}: {status}");
    }
}

#[tokio::test]
async fn ids_in_other_spellings_are_one_id() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let plain = id();
    client.command("create_course", &course(&plain)).await.ok();
    for other in [plain.to_uppercase(), plain.replace('-', ""), format!("urn:uuid:{plain}")] {
        let again = client.command("create_course", &course(&other)).await;
        again.problem(422, "learning.course_exists");
        let shown = client.query("get_course", &json!({ "course_id": other })).await.ok();
        assert_eq!(shown["course_id"], plain);
    }
}

#[tokio::test]
async fn what_is_no_http_is_answered_or_hung_up_on() {
    let (_folder, service) = fresh();
    let post = |head: &str, body: &str| {
        format!("POST {CREATE} HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n{body}")
    };
    let large = format!("GET /health HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "x".repeat(100 << 10));
    let many = format!("GET /health HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(1_000));
    for (bytes, statuses) in [
        ("\0\0\0\0\r\n\r\n".to_owned(), &[400, 0][..]),
        ("GET / SPDY/3\r\n\r\n".to_owned(), &[400, 0]),
        ("GET  HTTP/1.1\r\n\r\n".to_owned(), &[400, 0]),
        (large, &[431, 400, 0]),
        (many, &[431, 400, 0]),
        (post("content-length: 1\r\ncontent-length: 2", "{}"), &[400, 0]),
        (post("content-length: -1", ""), &[400, 0]),
        (post("transfer-encoding: chunked\r\ncontent-type: application/json", "zz\r\n"), &[400, 0]),
        (
            post(
                "content-type: application/json\r\nidempotency-key: \u{e9}\r\nconnection: close\r\ncontent-length: 0",
                "",
            ),
            &[400],
        ),
    ] {
        let status = status_of(service.address, bytes.as_bytes()).await;
        assert!(statuses.contains(&status), "{status} for {}", &bytes[..bytes.len().min(80)]);
    }
    service.client.get("/health").await.ok();
}
