//! Enrolments, and the figures of the whole.

use serde_json::{Value, json};

use crate::service::{course, fresh, id, patient, published};

/// Of a student who takes their time to pay.
fn request(enrollment_id: &str, course_id: &str) -> Value {
    json!({ "enrollment_id": enrollment_id, "course_id": course_id, "student_id": "slow-mina" })
}

#[tokio::test]
async fn an_enrolment_has_the_price_at_its_request() {
    let (_folder, service) = patient();
    let client = &service.client;
    let (course_id, enrollment_id) = (published(client).await, id());
    let requested =
        client.command("request_enrollment", &request(&enrollment_id, &course_id)).await;
    let expected = json!({
        "enrollment_id": enrollment_id, "status": "payment_pending", "price_cents": 4900
    });
    assert_eq!(requested.ok(), expected);
    let change = json!({ "course_id": course_id, "price_cents": 1 });
    client.command("change_price", &change).await.ok();
    let shown = client.query("get_enrollment", &json!({ "enrollment_id": enrollment_id })).await;
    let expected = json!({
        "enrollment_id": enrollment_id, "course_id": course_id, "student_id": "slow-mina",
        "price_cents": 4900, "status": "payment_pending", "reason": null,
    });
    assert_eq!(shown.ok(), expected);
}

#[tokio::test]
async fn an_enrolment_that_is_not_paid_for_can_be_given_up() {
    let (_folder, service) = patient();
    let client = &service.client;
    let (course_id, enrollment_id) = (published(client).await, id());
    client.command("request_enrollment", &request(&enrollment_id, &course_id)).await.ok();
    let cancel = json!({ "enrollment_id": enrollment_id, "reason": "no time" });
    assert_eq!(client.command("cancel_enrollment", &cancel).await.ok()["status"], "cancelled");
    let shown = client.query("get_enrollment", &cancel).await.ok();
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("cancelled"), &json!("no time")));
    let again = client.command("cancel_enrollment", &cancel).await;
    again.blames(422, "learning.enrollment_not_active", "enrollment_id");
}

#[tokio::test]
async fn an_enrolment_needs_a_published_course_and_an_id_of_its_own() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let (draft, enrollment_id) = (id(), id());
    client.command("create_course", &course(&draft)).await.ok();
    for (course_id, code) in
        [(draft, "learning.course_not_published"), (id(), "learning.course_not_found")]
    {
        let answer =
            client.command("request_enrollment", &request(&enrollment_id, &course_id)).await;
        answer.blames(422, code, "course_id");
    }
    let unknown = json!({ "enrollment_id": enrollment_id, "reason": "none" });
    let (code, field) = ("learning.enrollment_not_found", "enrollment_id");
    client.command("cancel_enrollment", &unknown).await.blames(422, code, field);
    client.query("get_enrollment", &unknown).await.blames(422, code, field);

    let requested = request(&enrollment_id, &published(client).await);
    client.keyed("request_enrollment", &requested, "one").await.ok();
    let other = client.keyed("request_enrollment", &requested, "two").await;
    other.blames(422, "learning.enrollment_exists", "enrollment_id");
}

#[tokio::test]
async fn the_bounds_of_an_enrolment_are_kept() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course_id = published(client).await;
    for student in ["", "a\nb", &"ä".repeat(201)] {
        let mut request = request(&id(), &course_id);
        request["student_id"] = student.into();
        let answer = client.command("request_enrollment", &request).await;
        answer.blames(400, "invalid", "student_id");
    }
    for reason in ["", &"x".repeat(501)] {
        let cancel = json!({ "enrollment_id": id(), "reason": reason });
        client.command("cancel_enrollment", &cancel).await.blames(400, "invalid", "reason");
    }
}

#[tokio::test]
async fn places_play_no_part_in_a_request() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course_id = id();
    let mut small = course(&course_id);
    small["capacity"] = 1.into();
    client.command("create_course", &small).await.ok();
    client.command("publish_course", &small).await.ok();
    for _ in 0..3 {
        client.command("request_enrollment", &request(&id(), &course_id)).await.ok();
    }
}

#[tokio::test]
async fn the_figures_are_right_at_any_time() {
    let (_folder, service) = patient();
    let client = &service.client;
    let figures = async |courses: u64, published: u64, pending: u64, cancelled: u64| {
        let expected = json!({
            "courses": courses, "published": published,
            "enrollments": {
                "payment_pending": pending, "active": 0, "declined": 0, "timed_out": 0,
                "cancelled": cancelled,
            },
        });
        assert_eq!(client.query("stats", &json!({})).await.ok(), expected);
    };
    figures(0, 0, 0, 0).await;
    client.command("create_course", &course(&id())).await.ok();
    figures(1, 0, 0, 0).await;
    let course_id = published(client).await;
    figures(2, 1, 0, 0).await;
    let enrollment_id = id();
    client.command("request_enrollment", &request(&enrollment_id, &course_id)).await.ok();
    client.command("request_enrollment", &request(&id(), &course_id)).await.ok();
    figures(2, 1, 2, 0).await;
    let cancel = json!({ "enrollment_id": enrollment_id, "reason": "no time" });
    client.command("cancel_enrollment", &cancel).await.ok();
    figures(2, 1, 1, 1).await;
}

#[tokio::test]
async fn many_who_enrol_at_once_all_get_their_answer() {
    let (_folder, service) = patient();
    let client = &service.client;
    let course_id = published(client).await;
    let mut students: tokio::task::JoinSet<_> = (0..32)
        .map(|n: u64| {
            let (client, course_id) = (client.clone(), course_id.clone());
            async move {
                let change = json!({ "course_id": course_id, "price_cents": n });
                if n.is_multiple_of(8) {
                    client.command("change_price", &change).await.ok()
                } else {
                    client.command("request_enrollment", &request(&id(), &course_id)).await.ok()
                }
            }
        })
        .collect();
    while let Some(answered) = students.join_next().await {
        answered.unwrap();
    }
    let stats = client.query("stats", &json!({})).await.ok();
    assert_eq!(stats["enrollments"]["payment_pending"], 28);
}
