//! `Idempotency-Key`: a repeat is answered as the first, and done once.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::service::{Folder, course, fresh, id, published};

#[tokio::test]
async fn a_repeat_is_answered_as_the_first() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course = course(&id());
    let first = client.keyed("create_course", &course, "k").await;
    first.ok();
    client.command("publish_course", &course).await.ok();
    for _ in 0..3 {
        let repeat = client.keyed("create_course", &course, "k").await;
        assert_eq!(repeat.ok(), first.ok());
        assert_eq!(repeat.body, first.body);
        assert_eq!(repeat.position(), first.position());
    }
    assert_eq!(client.get("/health").await.ok()["position"], 2);
}

#[tokio::test]
async fn a_repeat_is_answered_after_a_restart() {
    let folder = Folder::new();
    let course = course(&id());
    let mut service = folder.service(&[]);
    let first = service.client.keyed("create_course", &course, "k").await;
    service.kill();
    let service = folder.service(&[]);
    let repeat = service.client.keyed("create_course", &course, "k").await;
    assert_eq!((repeat.ok(), repeat.position()), (first.ok(), first.position()));
}

#[tokio::test]
async fn a_repeat_that_is_written_in_another_way_is_the_same() {
    let (_folder, service) = fresh();
    let create = "/commands/learning.create_course";
    let (key, course_id) = ([("idempotency-key", "k")], id());
    let one = format!(
        r#"{{"course_id":"{course_id}","title":"a","tutor_id":"b","price_cents":1,"capacity":2}}"#
    );
    let other = format!(
        "{{ \"capacity\": 2, \"price_cents\": 1,\n\"tutor_id\": \"b\", \"title\": \"\\u0061\", \
         \"course_id\": \"{course_id}\" }}"
    );
    let first = service.client.post(create, one, &key).await;
    let repeat = service.client.post(create, other, &key).await;
    assert_eq!((repeat.ok(), repeat.position()), (first.ok(), first.position()));
}

#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course_id = id();
    client.keyed("create_course", &course(&course_id), "k").await.ok();
    let mut other = course(&course_id);
    other["title"] = "Another".into();
    let answer = client.keyed("create_course", &other, "k").await;
    answer.blames(422, "idempotency_key_reused", "Idempotency-Key");
    let shown = client.query("get_course", &other).await.ok();
    assert_eq!(shown["title"], "Rust for everyone", "nothing was changed");
}

#[tokio::test]
async fn a_rejected_command_is_decided_anew() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course_id = id();
    let wanted = json!({ "course_id": course_id });
    let rejected = client.keyed("publish_course", &wanted, "k").await;
    rejected.problem(422, "learning.course_not_found");
    client.command("create_course", &course(&course_id)).await.ok();
    client.keyed("publish_course", &wanted, "k").await.ok();
    // The repeat of a success is not refused by its own effect.
    client.keyed("publish_course", &wanted, "k").await.ok();
    let other = client.keyed("publish_course", &wanted, "l").await;
    other.problem(422, "learning.course_already_published");
}

#[tokio::test]
async fn a_key_counts_for_one_command() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course = course(&id());
    let created = client.keyed("create_course", &course, "k").await;
    let published = client.keyed("publish_course", &course, "k").await;
    assert_eq!(created.ok()["version"], 1);
    assert_eq!(published.ok()["version"], 2);
}

#[tokio::test]
async fn a_command_that_changes_nothing_has_its_answer_kept_too() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course_id = published(client).await;
    let same = json!({ "course_id": course_id, "price_cents": 4900 });
    let first = client.keyed("change_price", &same, "k").await;
    let other = json!({ "course_id": course_id, "price_cents": 1 });
    client.command("change_price", &other).await.ok();
    let repeat = client.keyed("change_price", &same, "k").await;
    assert_eq!((repeat.ok(), repeat.position()), (first.ok(), first.position()));
    assert_eq!(client.query("get_course", &same).await.ok()["price_cents"], 1);
}

#[tokio::test]
async fn repeats_at_the_same_time_are_one_command() {
    let (_folder, service) = fresh();
    for round in 0..10 {
        let (course, key) = (course(&id()), format!("k{round}"));
        let mut twins: JoinSet<_> = (0..8)
            .map(|_| {
                let (client, course, key) = (service.client.clone(), course.clone(), key.clone());
                async move { client.keyed("create_course", &course, &key).await }
            })
            .collect();
        let mut answers = Vec::new();
        while let Some(answer) = twins.join_next().await {
            let answer = answer.unwrap();
            answers.push((answer.ok(), answer.position()));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
    }
    assert_eq!(service.client.get("/health").await.ok()["position"], 10);
}

#[tokio::test]
async fn repeats_in_two_processes_are_one_command() {
    let folder = Folder::new();
    let services = [folder.service(&[]), folder.service(&[])];
    for round in 0..10 {
        let (course, key) = (course(&id()), format!("k{round}"));
        let [one, other] =
            services.each_ref().map(|s| s.client.keyed("create_course", &course, &key));
        let (one, other) = tokio::join!(one, other);
        assert_eq!((one.ok(), one.position()), (other.ok(), other.position()));
    }
}

#[tokio::test]
async fn a_key_is_visible_and_bounded() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let path = "/commands/learning.create_course";
    let too_long = "k".repeat(256);
    for key in ["", "a b", &too_long] {
        let body = course(&id()).to_string();
        let answer = client.post(path, body, &[("idempotency-key", key)]).await;
        answer.blames(400, "invalid", "Idempotency-Key");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "a")];
    let answer = client.post(path, course(&id()).to_string(), &twice).await;
    answer.blames(400, "invalid", "Idempotency-Key");
    let longest = "k".repeat(255);
    client.keyed("create_course", &course(&id()), &longest).await.ok();
    // A query changes nothing: its key says nothing.
    let headers = [("idempotency-key", "k")];
    let stats = client.post("/queries/learning.stats", "{}", &headers).await.ok();
    assert_ne!(stats["courses"], Value::from(0));
}
