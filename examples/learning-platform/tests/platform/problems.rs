//! What a caller is told when a request is none: status, code and field of each case.

use axum::body::Body;
use hyper::Method;
use serde_json::json;

use crate::service::{course, fresh, id};

const CREATE: &str = "/commands/learning.create_course";
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_body_that_is_not_the_request_is_refused_by_field() {
    let (_folder, service) = fresh();
    let client = &service.client;
    for body in ["", "{", "[]", "17", "{}}", "nul", "\u{feff}{}"] {
        client.post(CREATE, body, &[]).await.problem(400, "decode");
    }
    client.post(CREATE, "{}", &[]).await.blames(400, "decode", "course_id");
    for (field, value) in [
        ("course_id", json!("17")),
        ("course_id", json!(null)),
        ("title", json!(17)),
        ("price_cents", json!(-1)),
        ("price_cents", json!(1.5)),
        ("capacity", json!(4_294_967_296_u64)),
    ] {
        let mut course = course(&id());
        course[field] = value;
        client.command("create_course", &course).await.blames(400, "decode", field);
    }
}

#[tokio::test]
async fn a_name_that_nobody_answers_to_is_refused() {
    let (_folder, service) = fresh();
    let client = &service.client;
    for path in [
        "/commands/learning.nothing",
        "/queries/learning.nothing",
        // A query is no command, and the other way round.
        "/commands/learning.get_course",
        "/queries/learning.create_course",
        // What is internal is not there.
        "/commands/payments.charge",
        "/commands/payments.refund",
        "/commands/learning.activate_enrollment",
        "/commands/learning.decline_enrollment",
        "/commands/learning.time_out_enrollment",
        "/commands/learning.cancel_full_enrollment",
        "/commands/learning.reserve_seat",
        "/commands/learning.release_seat",
        "/commands/%FF",
        "/commands/learning.create_course%00",
        "/commands/LEARNING.CREATE_COURSE",
    ] {
        client.post(path, "{}", &[]).await.problem(404, "unknown_name");
        // Whatever else is wrong with the request.
        client.try_post(path, "no", &[]).await.unwrap().problem(404, "unknown_name");
    }
    for path in ["/commands", "/commands/", "/commands/a/b", "/nothing", "/events/1"] {
        client.post(path, "{}", &[]).await.problem(404, "not_found");
    }
    // The name may be encoded.
    let body = course(&id()).to_string();
    client.post("/commands/learning%2Ecreate_course", body, &[]).await.ok();
}

#[tokio::test]
async fn another_method_is_refused_with_the_right_one() {
    let (_folder, service) = fresh();
    let client = &service.client;
    for (method, path, allow) in [
        (Method::GET, CREATE, "POST"),
        (Method::PUT, CREATE, "POST"),
        (Method::DELETE, "/queries/learning.stats", "POST"),
        (Method::POST, "/events", "GET, HEAD"),
        (Method::POST, "/manifest", "GET, HEAD"),
        (Method::DELETE, "/health", "GET, HEAD"),
        (Method::POST, "/health/ready", "GET, HEAD"),
        (Method::PATCH, "/", "GET, HEAD"),
    ] {
        let answer = client.call(method, path).await;
        answer.problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_by_its_type_is_refused() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let body = course(&id()).to_string();
    for types in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/jsonp")],
        &[JSON, JSON],
    ] {
        let answer = client.try_post(CREATE, body.clone(), types).await.unwrap();
        answer.problem(415, "unsupported_media_type");
    }
    for content_type in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json;"]
    {
        let body = course(&id()).to_string();
        let types = [("content-type", content_type)];
        client.try_post(CREATE, body, &types).await.unwrap().ok();
    }
}

#[tokio::test]
async fn a_body_over_256_kib_is_refused() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let padded = |size: usize| {
        let body = course(&id()).to_string();
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    client.post(CREATE, padded(256 << 10), &[]).await.ok();
    client.post(CREATE, padded((256 << 10) + 1), &[]).await.problem(413, "too_large");
    client.post(CREATE, padded(3 << 20), &[]).await.problem(413, "too_large");
    // Without a length, in chunks.
    let chunked = |size: usize| {
        let body = padded(size);
        let chunks = body.as_bytes().chunks(1 << 10).map(|c| Ok::<_, std::io::Error>(c.to_vec()));
        Body::from_stream(futures_util::stream::iter(chunks.collect::<Vec<_>>()))
    };
    client.post(CREATE, chunked(256 << 10), &[]).await.ok();
    client.post(CREATE, chunked(257 << 10), &[]).await.problem(413, "too_large");
}

#[tokio::test]
async fn a_correlation_id_comes_back_or_is_made() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let stats = "/queries/learning.stats";
    let longest = "x".repeat(128);
    let answer = client.post(stats, "{}", &[("x-correlation-id", &longest)]).await;
    assert_eq!(answer.header("x-correlation-id"), Some(longest.as_str()));
    // Also where there is nothing, and with a problem.
    let headers = [("x-correlation-id", "a")];
    assert_eq!(client.post("/no", "{}", &headers).await.header("x-correlation-id"), Some("a"));
    let (one, two) = (client.post(stats, "{}", &[]).await, client.post(stats, "{}", &[]).await);
    assert_ne!(one.header("x-correlation-id"), two.header("x-correlation-id"));
    let too_long = "x".repeat(129);
    for id in ["", "a b", &too_long] {
        let answer = client.post(stats, "{}", &[("x-correlation-id", id)]).await;
        answer.blames(400, "invalid", "X-Correlation-Id");
    }
    let twice = [("x-correlation-id", "a"), ("x-correlation-id", "b")];
    client.post(stats, "{}", &twice).await.blames(400, "invalid", "X-Correlation-Id");
}

#[tokio::test]
async fn a_trace_that_is_none_is_ignored() {
    let (_folder, service) = fresh();
    let trace = [("traceparent", "00-none-of-it")];
    let answer = service.client.post("/queries/learning.stats", "{}", &trace).await;
    answer.ok();
    assert_eq!(answer.header("traceparent"), None);
}

#[tokio::test]
async fn health_and_manifest_tell_of_the_service() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let health = client.get("/health").await.ok();
    assert_eq!((&health["status"], &health["position"]), (&json!("ok"), &json!(0)));
    client.command("create_course", &course(&id())).await.ok();
    let after = client.get("/health").await.ok();
    assert_eq!((&after["log"], &after["position"]), (&health["log"], &json!(1)));
    let manifest = client.get("/manifest").await.ok();
    let requests = manifest["requests"].as_array().unwrap();
    let create = requests.iter().find(|r| r["name"] == "learning.create_course").unwrap();
    assert_eq!((&create["kind"], &create["visibility"]), (&json!("command"), &json!("public")));
    assert_eq!(create["schemas"]["request"]["properties"]["course_id"]["format"], "uuid");
    assert!(create["rejections"].as_array().unwrap().contains(&json!("learning.course_exists")));
    let created = &manifest["events"][0];
    assert_eq!(
        (&created["name"], &created["version"]),
        (&json!("learning.course_created"), &json!(1))
    );
    assert_eq!(created["schema"]["properties"]["title"]["type"], "string");
    let charge = requests.iter().find(|r| r["name"] == "payments.charge").unwrap();
    assert_eq!(charge["visibility"], "services");
}
