//! Enrolling: what becomes of a request, over HTTP, until the money and the seat are where they belong.

use serde_json::{Value, json};

use crate::client::Client;
use crate::service::{Folder, Service, course, fresh, id, patient, until};

/// A course that was published, with this price and so many seats.
async fn offered(client: &Client, price_cents: u64, capacity: u32) -> String {
    let course_id = id();
    let mut offered = course(&course_id);
    offered["price_cents"] = price_cents.into();
    offered["capacity"] = capacity.into();
    client.command("create_course", &offered).await.ok();
    client.command("publish_course", &json!({ "course_id": course_id })).await.ok();
    course_id
}

async fn request(client: &Client, course_id: &str, student_id: &str) -> String {
    let enrollment_id = id();
    let request = json!({
        "enrollment_id": enrollment_id, "course_id": course_id, "student_id": student_id,
    });
    let answer = client.command("request_enrollment", &request).await.ok();
    assert_eq!(answer["status"], "payment_pending");
    enrollment_id
}

async fn cancel(client: &Client, enrollment_id: &str) -> Value {
    let cancel = json!({ "enrollment_id": enrollment_id, "reason": "no time" });
    client.command("cancel_enrollment", &cancel).await.ok()
}

async fn refuses_to_cancel(client: &Client, enrollment_id: &str) {
    let cancel = json!({ "enrollment_id": enrollment_id, "reason": "no time" });
    let answer = client.command("cancel_enrollment", &cancel).await;
    answer.blames(422, "learning.enrollment_not_active", "enrollment_id");
}

async fn shown(client: &Client, enrollment_id: &str) -> Value {
    client.query("get_enrollment", &json!({ "enrollment_id": enrollment_id })).await.ok()
}

/// Waits until an enrolment stands so.
async fn becomes(client: &Client, enrollment_id: &str, status: &str) -> Value {
    until(status, async || {
        let shown = shown(client, enrollment_id).await;
        (shown["status"] == status).then_some(shown)
    })
    .await
}

/// Waits until the payments of a student stand so, and no other way.
async fn payments_become(client: &Client, student_id: &str, states: &[&str]) -> Value {
    let states: Vec<Value> = states.iter().map(|state| Value::from(*state)).collect();
    until(&format!("{states:?}"), async || {
        let ledger = client.ask("payments.ledger", &json!({ "student_id": student_id })).await;
        let charges = ledger["charges"].as_array().unwrap();
        let is_so = charges.iter().map(|charge| &charge["state"]).eq(&states);
        is_so.then_some(ledger)
    })
    .await
}

async fn enrolled(client: &Client, course_id: &str) -> u64 {
    let course = client.query("get_course", &json!({ "course_id": course_id })).await.ok();
    course["enrolled"].as_u64().unwrap()
}

async fn notifications(client: &Client, wanted: Value) -> Vec<Value> {
    client.ask("notifications.list", &wanted).await["items"].as_array().unwrap().clone()
}

/// Waits until nothing of what was begun is unfinished.
async fn all_is_done(client: &Client) {
    until("no saga runs", async || {
        let running = client.ask("sagas.list", &json!({ "status": "running" })).await;
        running["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_pays_gets_a_seat_and_is_told_once() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course_id = offered(client, 4_900, 30).await;
    let enrollment_id = request(client, &course_id, "mina").await;
    let active = becomes(client, &enrollment_id, "active").await;
    assert_eq!((&active["price_cents"], &active["reason"]), (&json!(4_900), &Value::Null));
    assert_eq!(enrolled(client, &course_id).await, 1);
    let ledger = payments_become(client, "mina", &["charged"]).await;
    assert_eq!(ledger["total_cents"], 4_900);
    assert_eq!(ledger["charges"][0]["amount_cents"], 4_900);
    let told = until("a notification", async || {
        let told = notifications(client, json!({ "student_id": "mina" })).await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    let expected = json!([{
        "id": told[0]["id"], "kind": "enrollment_activated", "enrollment_id": enrollment_id,
        "student_id": "mina",
    }]);
    assert_eq!(json!(told), expected);
    all_is_done(client).await;
    assert_eq!(notifications(client, json!({})).await.len(), 1);
    assert!(notifications(client, json!({ "student_id": "otto" })).await.is_empty());
    let stats = client.query("stats", &json!({})).await.ok();
    assert_eq!(stats["enrollments"]["active"], 1);
}

#[tokio::test]
async fn whoever_cannot_pay_is_declined() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let dear = offered(client, 50_001, 30).await;
    let enrollment_id = request(client, &dear, "mina").await;
    becomes(client, &enrollment_id, "declined").await;
    let ledger = payments_become(client, "mina", &["declined"]).await;
    assert_eq!(ledger["total_cents"], 0);
    refuses_to_cancel(client, &enrollment_id).await;
    all_is_done(client).await;
    assert_eq!(enrolled(client, &dear).await, 0);
    assert!(notifications(client, json!({})).await.is_empty());
    // What can just be paid is paid.
    let course_id = offered(client, 50_000, 30).await;
    becomes(client, &request(client, &course_id, "otto").await, "active").await;
}

#[tokio::test]
async fn whoever_pays_too_late_is_timed_out_and_gets_the_money_back() {
    let folder = Folder::new();
    let service = folder.service(&["--payment-timeout", "100ms", "--payment-delay", "2s"]);
    let client = &service.client;
    let (cheap, dear) = (offered(client, 4_900, 30).await, offered(client, 50_001, 30).await);
    let pays = request(client, &cheap, "slow-mina").await;
    let cannot = request(client, &dear, "slow-otto").await;
    becomes(client, &pays, "timed_out").await;
    becomes(client, &cannot, "timed_out").await;
    refuses_to_cancel(client, &pays).await;
    payments_become(client, "slow-mina", &["refunded"]).await;
    payments_become(client, "slow-otto", &["declined"]).await;
    all_is_done(client).await;
    assert_eq!(shown(client, &pays).await["status"], "timed_out");
    assert_eq!(enrolled(client, &cheap).await, 0);
    assert!(notifications(client, json!({})).await.is_empty());
}

#[tokio::test]
async fn a_time_out_does_not_wait_for_the_payment_and_is_open_until_it_is_known() {
    let folder = Folder::new();
    let service = folder.service(&["--payment-timeout", "100ms", "--payment-delay", "1h"]);
    let client = &service.client;
    let course_id = offered(client, 4_900, 30).await;
    let enrollment_id = request(client, &course_id, "slow-mina").await;
    becomes(client, &enrollment_id, "timed_out").await;
    refuses_to_cancel(client, &enrollment_id).await;
    let running = client.ask("sagas.list", &json!({ "status": "running" })).await;
    assert_eq!(running["items"][0]["key"], enrollment_id);
    assert_eq!(client.ask("payments.ledger", &json!({})).await["charges"], json!([]));
}

#[tokio::test]
async fn a_slow_student_who_is_in_time_takes_part() {
    let folder = Folder::new();
    // Slower than a request may take.
    let arguments = ["--payment-timeout", "1m", "--payment-delay", "1s", "--timeout-ms", "400"];
    let service = folder.service(&arguments);
    let client = &service.client;
    let course_id = offered(client, 4_900, 30).await;
    let enrollment_id = request(client, &course_id, "slow-mina").await;
    becomes(client, &enrollment_id, "active").await;
    payments_become(client, "slow-mina", &["charged"]).await;
}

#[tokio::test]
async fn without_a_seat_the_money_goes_back() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course_id = offered(client, 4_900, 2).await;
    let mut requested = Vec::new();
    for n in 0..5 {
        requested.push(request(client, &course_id, &format!("student-{n}")).await);
    }
    let mut ends = Vec::new();
    for enrollment_id in &requested {
        let end = until("an end", async || {
            let shown = shown(client, enrollment_id).await;
            (shown["status"] != "payment_pending").then_some(shown)
        })
        .await;
        let student_id = end["student_id"].as_str().unwrap();
        if end["status"] == "active" {
            payments_become(client, student_id, &["charged"]).await;
        } else {
            assert_eq!(end["status"], "cancelled");
            assert_eq!(end["reason"], "course_full");
            payments_become(client, student_id, &["refunded"]).await;
            refuses_to_cancel(client, enrollment_id).await;
        }
        ends.push(end["status"].clone());
    }
    assert_eq!(ends.iter().filter(|status| **status == "active").count(), 2);
    all_is_done(client).await;
    assert_eq!(enrolled(client, &course_id).await, 2);
    assert_eq!(client.ask("payments.ledger", &json!({})).await["total_cents"], 9_800);
    assert_eq!(notifications(client, json!({})).await.len(), 2);
}

#[tokio::test]
async fn an_active_enrolment_that_is_given_up_leaves_its_seat_to_another() {
    let (_folder, service) = fresh();
    let client = &service.client;
    let course_id = offered(client, 4_900, 1).await;
    let mina = request(client, &course_id, "mina").await;
    becomes(client, &mina, "active").await;
    assert_eq!(cancel(client, &mina).await["status"], "cancelled");
    let given_up = shown(client, &mina).await;
    assert_eq!(given_up["status"], "cancelled");
    assert_eq!(given_up["reason"], "no time");
    refuses_to_cancel(client, &mina).await;
    payments_become(client, "mina", &["refunded"]).await;
    until("a seat is free", async || (enrolled(client, &course_id).await == 0).then_some(())).await;
    all_is_done(client).await;
    let otto = request(client, &course_id, "otto").await;
    becomes(client, &otto, "active").await;
    assert_eq!(enrolled(client, &course_id).await, 1);
    payments_become(client, "otto", &["charged"]).await;
    assert_eq!(client.ask("payments.ledger", &json!({})).await["total_cents"], 4_900);
    until("both were told", async || {
        (notifications(client, json!({})).await.len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pending_enrolment_that_is_given_up_is_so_at_once_and_paid_back_later() {
    let folder = Folder::new();
    let service = folder.service(&["--payment-timeout", "1h", "--payment-delay", "1s"]);
    let client = &service.client;
    let course_id = offered(client, 4_900, 30).await;
    let enrollment_id = request(client, &course_id, "slow-mina").await;
    assert_eq!(cancel(client, &enrollment_id).await["status"], "cancelled");
    assert_eq!(shown(client, &enrollment_id).await["reason"], "no time");
    refuses_to_cancel(client, &enrollment_id).await;
    payments_become(client, "slow-mina", &["refunded"]).await;
    all_is_done(client).await;
    assert_eq!(enrolled(client, &course_id).await, 0);
    assert!(notifications(client, json!({})).await.is_empty());
}

#[tokio::test]
async fn what_was_begun_goes_on_after_a_kill() {
    let folder = Folder::new();
    let arguments = ["--payment-timeout", "1h", "--payment-delay", "1s"];
    let mut service = folder.service(&arguments);
    let course_id = offered(&service.client, 4_900, 30).await;
    let mina = request(&service.client, &course_id, "slow-mina").await;
    service.kill();
    let service = folder.service(&arguments);
    becomes(&service.client, &mina, "active").await;
    payments_become(&service.client, "slow-mina", &["charged"]).await;
    all_is_done(&service.client).await;
    assert_eq!(enrolled(&service.client, &course_id).await, 1);
}

#[tokio::test]
async fn a_time_out_that_nobody_was_there_for_is_made_up_for() {
    let folder = Folder::new();
    let arguments = ["--payment-timeout", "300ms", "--payment-delay", "1h"];
    let mut service = folder.service(&arguments);
    let course_id = offered(&service.client, 4_900, 30).await;
    let mina = request(&service.client, &course_id, "slow-mina").await;
    saga(&service, &mina).await;
    service.kill();
    let service = folder.service(&arguments);
    becomes(&service.client, &mina, "timed_out").await;
}

/// Waits for the saga of an enrolment.
async fn saga(service: &Service, enrollment_id: &str) -> Value {
    until("a saga", async || {
        let sagas = service.client.ask("sagas.list", &json!({})).await;
        let mut sagas = sagas["items"].as_array().unwrap().iter();
        sagas.find(|saga| saga["key"] == enrollment_id).cloned()
    })
    .await
}

#[tokio::test]
async fn a_saga_shows_what_it_waits_for() {
    let (_folder, service) = patient();
    let client = &service.client;
    let course_id = offered(client, 4_900, 30).await;
    let enrollment_id = request(client, &course_id, "slow-mina").await;
    let waiting = saga(&service, &enrollment_id).await;
    assert_eq!(waiting["saga"], "learning.enrolling");
    assert_eq!(waiting["status"], "running");
    assert!(waiting["deadline"].is_string() && waiting["started_at"].is_string(), "{waiting}");
    assert_eq!(waiting["steps"][0]["name"], "charge");
    let done = client.ask("sagas.list", &json!({ "status": "completed" })).await;
    assert_eq!(done["items"], json!([]));
    let unknown = json!({ "status": "asleep" }).to_string();
    let answer = client.post("/queries/sagas.list", unknown, &[]).await;
    answer.blames(400, "decode", "status");
}

#[tokio::test]
async fn a_service_is_ready_once_it_has_caught_up() {
    let (_folder, service) = fresh();
    until("ready", async || {
        let answer = service.client.get("/health/ready").await;
        match answer.status {
            200 => Some(answer.ok()),
            _ => {
                answer.problem(503, "not_ready");
                None
            }
        }
    })
    .await;
}
