//! Courses: what a caller can do with them, and how they are shown.

use serde_json::{Value, json};

use crate::client::Client;
use crate::service::{course, fresh, id, published};

async fn listed(client: &Client, wanted: Value) -> (Vec<String>, u64) {
    let page = client.query("list_courses", &wanted).await.ok();
    let items = page["items"].as_array().unwrap().iter();
    let ids = items.map(|item| item["course_id"].as_str().unwrap().to_owned()).collect();
    (ids, page["total"].as_u64().unwrap())
}

#[tokio::test]
async fn a_course_is_shown_as_it_was_created_published_and_priced() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course_id = id();
    let created = client.command("create_course", &course(&course_id)).await;
    assert_eq!(created.ok(), json!({ "course_id": course_id, "version": 1 }));
    assert_eq!(created.position(), 1);
    let wanted = json!({ "course_id": course_id });
    let mut expected = json!({
        "course_id": course_id, "title": "Rust for everyone", "tutor_id": "ada",
        "price_cents": 4900, "capacity": 30, "status": "draft", "enrolled": 0, "version": 1,
    });
    let shown = client.query("get_course", &wanted).await;
    assert_eq!(shown.ok(), expected);
    assert_eq!(shown.header("x-position"), None, "a query writes nothing");

    let changed = client.command("publish_course", &wanted).await.ok();
    assert_eq!(changed, json!({ "course_id": course_id, "version": 2 }));
    let change = json!({ "course_id": course_id, "price_cents": 10_000_000 });
    assert_eq!(client.command("change_price", &change).await.ok()["version"], 3);
    expected["status"] = "published".into();
    expected["price_cents"] = 10_000_000.into();
    expected["version"] = 3.into();
    assert_eq!(client.query("get_course", &wanted).await.ok(), expected);
}

#[tokio::test]
async fn a_price_that_stays_is_no_event() {
    let (_folder, service) = fresh();
    let course_id = id();
    service.client.command("create_course", &course(&course_id)).await.ok();
    let same = json!({ "course_id": course_id, "price_cents": 4900 });
    let answer = service.client.command("change_price", &same).await;
    assert_eq!(answer.ok()["version"], 1);
    assert_eq!(answer.header("x-position"), None);
}

#[tokio::test]
async fn what_the_domain_refuses_has_its_code_and_field() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course_id = published(client).await;
    let field = "course_id";
    let again = client.command("create_course", &course(&course_id)).await;
    again.blames(422, "learning.course_exists", field);
    let wanted = json!({ "course_id": course_id });
    let again = client.command("publish_course", &wanted).await;
    again.blames(422, "learning.course_already_published", field);
    let nobody = json!({ "course_id": id(), "price_cents": 1 });
    for command in ["publish_course", "change_price"] {
        client.command(command, &nobody).await.blames(422, "learning.course_not_found", field);
    }
    client.query("get_course", &nobody).await.blames(422, "learning.course_not_found", field);
}

#[tokio::test]
async fn the_bounds_of_a_course_are_kept() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let long = |n| Value::from("ä".repeat(n));
    for (field, good, bad) in [
        ("title", vec![long(1), long(200)], vec![long(0), long(201)]),
        (
            "tutor_id",
            vec![long(1), long(200)],
            vec![long(0), long(201), "a\u{7}".into(), "\0".into()],
        ),
        ("price_cents", vec![0.into(), 10_000_000.into()], vec![10_000_001.into()]),
        ("capacity", vec![1.into(), 100_000.into()], vec![0.into(), 100_001.into()]),
    ] {
        for value in good {
            let mut course = course(&id());
            course[field] = value;
            client.command("create_course", &course).await.ok();
        }
        for value in bad {
            let mut course = course(&id());
            course[field] = value;
            client.command("create_course", &course).await.blames(400, "invalid", field);
        }
    }
    let over = json!({ "course_id": id(), "price_cents": 10_000_001 });
    client.command("change_price", &over).await.blames(400, "invalid", "price_cents");
}

#[tokio::test]
async fn courses_are_listed_by_the_page() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let mut ids = Vec::new();
    for _ in 0..7 {
        let course_id = id();
        client.command("create_course", &course(&course_id)).await.ok();
        ids.push(course_id);
    }
    ids.sort();
    let page =
        async |page: u32, limit: u32| listed(client, json!({ "page": page, "limit": limit })).await;
    assert_eq!(page(1, 3).await, (ids[..3].to_vec(), 7));
    assert_eq!(page(2, 3).await, (ids[3..6].to_vec(), 7));
    assert_eq!(page(3, 3).await, (ids[6..].to_vec(), 7));
    assert_eq!(page(4, 3).await, (Vec::new(), 7));
    assert_eq!(page(u32::MAX, 100).await, (Vec::new(), 7));
    assert_eq!(page(1, 100).await, (ids, 7));
    for (page, limit, field) in [(0, 1, "page"), (1, 0, "limit"), (1, 101, "limit")] {
        let answer = client.query("list_courses", &json!({ "page": page, "limit": limit })).await;
        answer.blames(400, "invalid", field);
    }
}

#[tokio::test]
async fn courses_are_listed_by_tutor_and_status() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let mut of = std::collections::BTreeMap::new();
    for (tutor, status) in
        [("ada", "draft"), ("ada", "published"), ("ada b", "draft"), ("bea", "published")]
    {
        let course_id = id();
        let mut course = course(&course_id);
        course["tutor_id"] = tutor.into();
        client.command("create_course", &course).await.ok();
        if status == "published" {
            client.command("publish_course", &json!({ "course_id": course_id })).await.ok();
        }
        of.insert((tutor, status), course_id);
    }
    for (tutor, status) in [
        (None, None),
        (None, Some("draft")),
        (Some("ada"), None),
        (Some("ada"), Some("draft")),
        (Some("ada"), Some("published")),
        (Some("bea"), Some("draft")),
        (Some("nobody"), None),
    ] {
        let fits =
            |(t, s): (&str, &str)| tutor.is_none_or(|x| x == t) && status.is_none_or(|x| x == s);
        let mut expected: Vec<String> =
            of.iter().filter(|(key, _)| fits(**key)).map(|(_, id)| id.clone()).collect();
        expected.sort();
        let total = expected.len() as u64;
        let wanted = json!({ "tutor_id": tutor, "status": status, "page": 1, "limit": 10 });
        assert_eq!(listed(client, wanted).await, (expected, total), "{tutor:?} {status:?}");
    }
    let wanted = json!({ "status": "lost", "page": 1, "limit": 10 });
    client.query("list_courses", &wanted).await.blames(400, "decode", "status");
}
