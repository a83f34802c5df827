//! What has to add up after whatever happened: the log, the money, the seats, who was told, the sagas.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::events::Stream;
use crate::service::{course, id, until};

/// Whoever brings it may look after the services of these tests.
pub(crate) const TOKEN: &str = "whoever-brings-this-may-look";
/// More than this nobody can pay at once.
const LIMIT_CENTS: u64 = 50_000;

/// An enrolment that was asked for. Each is another student's.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) enrollment_id: String,
    pub(crate) student_id: String,
    pub(crate) course_id: String,
    pub(crate) price_cents: u64,
    /// Whether it was given up, when that was asked for: a no says that it had ended.
    pub(crate) given_up: Option<bool>,
}

/// How many enrolments ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) active: u64,
    pub(crate) declined: u64,
    pub(crate) timed_out: u64,
    pub(crate) full: u64,
    pub(crate) cancelled: u64,
    /// Cancelled ones that were active before.
    pub(crate) left: u64,
}

/// What the log says.
#[derive(Debug, Default)]
struct Log {
    /// What happened to each enrolment, in order.
    enrolments: HashMap<String, Vec<String>>,
    /// Why it was cancelled.
    reasons: HashMap<String, String>,
    /// What happened to each student's payment, in order.
    payments: HashMap<String, Vec<String>>,
    /// Who has a seat in each course.
    seats: HashMap<String, HashSet<String>>,
}

/// Waits until nothing is left to do. How long that took.
pub(crate) async fn settled(client: &Client) -> Duration {
    let started = Instant::now();
    until("everything is settled", async || is_settled(client).await?.then_some(())).await;
    started.elapsed()
}

/// Whether nothing is left to do; `None` when the service does not answer.
pub(crate) async fn is_settled(client: &Client) -> Option<bool> {
    let before = look(client, Method::GET, "/health", Value::Null).await?;
    let behind = look(client, Method::GET, "/admin/subscriptions", Value::Null).await?;
    let behind = behind["items"].as_array()?.iter().any(|one| one["lag"] != 0);
    let stats = look(client, Method::POST, "/queries/learning.stats", json!({})).await?;
    if behind || stats["enrollments"]["payment_pending"] != 0 {
        return Some(false);
    }
    for status in ["running", "compensating"] {
        let find = json!({ "status": status });
        let open = look(client, Method::POST, "/queries/sagas.list", find).await?;
        if open["items"] != json!([]) {
            return Some(false);
        }
    }
    // What is sent or comes true meanwhile moves the end of the log.
    Some(look(client, Method::GET, "/health", Value::Null).await? == before)
}

async fn look(client: &Client, method: Method, path: &str, body: Value) -> Option<Value> {
    let token = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*token), ("content-type", "application/json")];
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let (head, body) = client.begin(method, path, body, &headers).await.ok()?.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    (head.status == 200).then(|| serde_json::from_slice(&body).unwrap())
}

/// Checks everything there is against everything else. `seats`: how many each course has.
pub(crate) async fn add_up(
    client: &Client,
    asked: &[Asked],
    seats: &HashMap<String, usize>,
) -> Ends {
    add_up_with(client, client, asked, seats).await
}

/// The same, with the payments of another service.
pub(crate) async fn add_up_with(
    client: &Client,
    payments: &Client,
    asked: &[Asked],
    seats: &HashMap<String, usize>,
) -> Ends {
    let mut log = read(client, seats).await;
    if !client.is(payments) {
        assert!(log.payments.is_empty(), "they are in another log");
        log.payments = paid(payments).await;
        let parked = payments.get_as(TOKEN, "/admin/parked").await.ok();
        assert_eq!(parked["items"], json!([]));
    }
    assert_eq!(log.enrolments.len(), asked.len(), "enrolments that nobody asked for");
    assert_eq!(log.payments.len(), asked.len(), "payments");
    let mut ends = Ends::default();
    let (mut told, mut left, mut total) = (HashSet::new(), HashSet::new(), 0);
    for one in asked {
        let events = &log.enrolments[&one.enrollment_id];
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let reason = log.reasons.get(&one.enrollment_id);
        let is_full = reason.is_some_and(|reason| reason == "course_full");
        let ended = match events[..] {
            ["enrollment_requested", "enrollment_activated"] => &mut ends.active,
            ["enrollment_requested", "enrollment_declined"] => &mut ends.declined,
            ["enrollment_requested", "enrollment_timed_out"] => &mut ends.timed_out,
            ["enrollment_requested", "enrollment_cancelled"] if is_full => &mut ends.full,
            ["enrollment_requested", "enrollment_cancelled"] => &mut ends.cancelled,
            ["enrollment_requested", "enrollment_activated", "enrollment_cancelled"] => {
                left.insert(one.enrollment_id.clone());
                ends.left += 1;
                &mut ends.cancelled
            }
            _ => panic!("{events:?} happened to {one:?}"),
        };
        *ended += 1;
        let is_active = events.last() == Some(&"enrollment_activated");
        let given_up = reason.is_some() && !is_full;
        assert_eq!(given_up, one.given_up == Some(true), "{one:?}: {events:?}");
        let paid: &[&str] = match is_active {
            _ if one.price_cents > LIMIT_CENTS => &["declined"],
            true => &["charged"],
            false => &["charged", "refunded"],
        };
        assert!(!is_active || one.price_cents <= LIMIT_CENTS, "{one:?} was too dear");
        assert_eq!(log.payments[&one.student_id], paid, "{one:?}: {events:?}");
        let has_seat =
            log.seats.get(&one.course_id).is_some_and(|of| of.contains(&one.enrollment_id));
        assert_eq!(has_seat, is_active, "the seat of {one:?}: {events:?}");
        if is_active {
            total += one.price_cents;
        }
        if events.contains(&"enrollment_activated") {
            told.insert(one.enrollment_id.clone());
        }
    }
    let taken: usize = log.seats.values().map(HashSet::len).sum();
    assert_eq!(taken as u64, ends.active, "seats of nobody");
    views_agree(client, asked, &log, ends).await;
    ledger_agrees(payments, asked, &log, total).await;
    all_were_told(client, &told).await;
    all_sagas_ended(client, asked, &left).await;
    let parked = client.get_as(TOKEN, "/admin/parked").await.ok();
    assert_eq!(parked["items"], json!([]));
    ends
}

/// Goes through the log. At no time more seats are taken than a course has.
async fn read(client: &Client, seats: &HashMap<String, usize>) -> Log {
    let end = client.command("create_course", &course(&id())).await.position();
    let mut stream = Stream::open(client, "/events").await;
    let (mut log, mut students) = (Log::default(), HashMap::new());
    loop {
        let event = stream.next().await;
        if event["position"] == end {
            return log;
        }
        let data = &event["data"];
        let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap().split_once('.').unwrap() {
            ("learning", kind) if kind.starts_with("enrollment_") => {
                if kind == "enrollment_cancelled" {
                    log.reasons.insert(text("enrollment_id"), text("reason"));
                }
                log.enrolments.entry(text("enrollment_id")).or_default().push(kind.to_owned());
            }
            ("payments", kind) => {
                let student =
                    students.entry(text("payment_id")).or_insert_with(|| text("student_id"));
                log.payments.entry(student.clone()).or_default().push(kind.to_owned());
            }
            ("learning", "seat_reserved") => {
                let taken = log.seats.entry(text("course_id")).or_default();
                assert!(taken.insert(text("enrollment_id")), "a second seat: {event}");
                assert!(taken.len() <= seats[&text("course_id")], "no seat was left: {event}");
            }
            ("learning", "seat_released") => {
                let taken = log.seats.entry(text("course_id")).or_default();
                assert!(taken.remove(&text("enrollment_id")), "there was no seat: {event}");
            }
            ("learning", "course_created" | "course_published") => {}
            _ => panic!("{event}"),
        }
    }
}

/// What happened to each student's payment, where that is another service's.
async fn paid(payments: &Client) -> HashMap<String, Vec<String>> {
    let end = payments.get("/health").await.ok()["position"].as_u64().unwrap();
    let mut stream = Stream::open(payments, "/events").await;
    let (mut paid, mut students) = (HashMap::<_, Vec<_>>::new(), HashMap::new());
    let mut at = 0;
    while at < end {
        let event = stream.next().await;
        at = event["position"].as_u64().unwrap();
        let ("payments", kind) = event["type"].as_str().unwrap().split_once('.').unwrap() else {
            panic!("{event}")
        };
        let text = |field: &str| event["data"][field].as_str().unwrap_or_default().to_owned();
        let student = students.entry(text("payment_id")).or_insert_with(|| text("student_id"));
        paid.entry(student.clone()).or_default().push(kind.to_owned());
    }
    paid
}

/// What queries show is what the log says.
async fn views_agree(client: &Client, asked: &[Asked], log: &Log, ends: Ends) {
    for one in asked {
        let find = json!({ "enrollment_id": one.enrollment_id });
        let shown = client.query("get_enrollment", &find).await.ok();
        let last = match log.enrolments[&one.enrollment_id].last().unwrap().as_str() {
            "enrollment_activated" => "active",
            other => other.strip_prefix("enrollment_").unwrap(),
        };
        assert_eq!(shown["status"], last, "{one:?}");
        assert_eq!(shown["reason"].as_str(), log.reasons.get(&one.enrollment_id).map(|r| &**r));
        assert_eq!(shown["price_cents"], one.price_cents);
    }
    let shown = client.query("stats", &json!({})).await.ok()["enrollments"].clone();
    let Ends { active, declined, timed_out, full, cancelled, left: _ } = ends;
    let expected = json!({
        "payment_pending": 0, "active": active, "declined": declined, "timed_out": timed_out,
        "cancelled": full + cancelled,
    });
    assert_eq!(shown, expected);
    for course_id in asked.iter().map(|one| &one.course_id).collect::<HashSet<_>>() {
        let shown = client.query("get_course", &json!({ "course_id": course_id })).await.ok();
        assert_eq!(shown["enrolled"], log.seats.get(course_id).map_or(0, HashSet::len), "{shown}");
    }
}

/// So does the ledger.
async fn ledger_agrees(payments: &Client, asked: &[Asked], log: &Log, total: u64) {
    let ledger = payments.ask("payments.ledger", &json!({})).await;
    let charges = ledger["charges"].as_array().unwrap();
    assert_eq!(charges.len(), asked.len());
    for charge in charges {
        let events = &log.payments[charge["student_id"].as_str().unwrap()];
        assert_eq!(charge["state"], **events.last().unwrap(), "{charge}");
    }
    assert_eq!(ledger["total_cents"], total);
}

/// Whoever ever took part was told so, once.
async fn all_were_told(client: &Client, told: &HashSet<String>) {
    let shown = client.ask("notifications.list", &json!({})).await;
    let shown = shown["items"].as_array().unwrap();
    let of: HashSet<String> = shown.iter().map(|one| key(&one["enrollment_id"])).collect();
    assert_eq!(shown.len(), told.len(), "notifications");
    assert_eq!(&of, told);
}

/// One saga for each enrolment, and one for each student who left. All have come to their end.
async fn all_sagas_ended(client: &Client, asked: &[Asked], left: &HashSet<String>) {
    let sagas = client.ask("sagas.list", &json!({})).await;
    let sagas = sagas["items"].as_array().unwrap();
    for saga in sagas {
        assert_eq!(saga["status"], "completed", "{saga}");
    }
    let of = |name: &str| -> HashSet<String> {
        sagas.iter().filter(|one| one["saga"] == name).map(|one| key(&one["key"])).collect()
    };
    let asked: HashSet<String> = asked.iter().map(|one| one.enrollment_id.clone()).collect();
    assert_eq!(of("learning.enrolling"), asked);
    assert_eq!(&of("learning.leaving"), left);
    assert_eq!(sagas.len(), asked.len() + left.len());
}

fn key(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
