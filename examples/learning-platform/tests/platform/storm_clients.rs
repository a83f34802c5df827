//! The clients of the storm: students of every kind, who ask again until they are answered.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::service::{course, id};
use crate::storm_sums::Asked;

/// How long a command may be without an answer before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// The courses that there are.
#[derive(Debug)]
pub(crate) struct Courses {
    /// With a seat for everybody, at two prices.
    plain: [String; 2],
    /// Nobody can pay it.
    dear: String,
    /// With too few seats.
    scarce: String,
    pub(crate) seats: HashMap<String, usize>,
    prices: HashMap<String, u64>,
}

/// What the clients share.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) courses: Courses,
    /// A permit for each enrolment that may be asked for now.
    pub(crate) pace: Semaphore,
    pub(crate) enrolments: usize,
    next: AtomicUsize,
    pub(crate) repeated: AtomicU64,
    asked: Mutex<Vec<Asked>>,
}

impl Courses {
    /// Courses for so many students.
    pub(crate) async fn for_many(client: &Client, students: usize) -> Self {
        let (mut seats, mut prices) = (HashMap::new(), HashMap::new());
        let mut offer = async |price: u64, places: usize| {
            let course_id = id();
            let mut offered = course(&course_id);
            offered["price_cents"] = price.into();
            offered["capacity"] = places.into();
            client.command("create_course", &offered).await.ok();
            client.command("publish_course", &json!({ "course_id": course_id })).await.ok();
            seats.insert(course_id.clone(), places);
            prices.insert(course_id.clone(), price);
            course_id
        };
        let plain = [offer(4_900, students).await, offer(50_000, students).await];
        let (dear, scarce) = (offer(50_001, students).await, offer(701, students / 30 + 1).await);
        Self { plain, dear, scarce, seats, prices }
    }
}

impl Work {
    pub(crate) fn new(courses: Courses, enrolments: usize) -> Self {
        let (pace, asked) = (Semaphore::new(0), Mutex::default());
        let (next, repeated) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { courses, pace, enrolments, next, repeated, asked }
    }

    /// Everything that was asked for, and answered.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Enrols one student after the other, of every kind, until there are enough.
    pub(crate) async fn run(&self, client: &Client) {
        loop {
            self.pace.acquire().await.unwrap().forget();
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            if n >= self.enrolments {
                // The next one wants to know it as well.
                self.pace.add_permits(1);
                return;
            }
            let done = self.student(client, n).await;
            self.asked.lock().unwrap().push(done);
        }
    }

    async fn student(&self, client: &Client, n: usize) -> Asked {
        let Courses { plain, dear, scarce, .. } = &self.courses;
        let (kind, round) = (n % 12, n / 12);
        let (pace, course_id) = match kind {
            0..=3 => ("quick", &plain[n % 2]),
            4 => ("quick", dear),
            5 | 6 => ("slow", &plain[n % 2]),
            7 => ("slow", dear),
            8 | 9 => ("quick", scarce),
            _ if round % 2 == 0 => ("quick", &plain[round / 2 % 2]),
            10 => ("slow", &plain[0]),
            _ => ("quick", scarce),
        };
        let (enrollment_id, student_id) = (id(), format!("{pace}-{n}"));
        let request = json!({
            "enrollment_id": enrollment_id, "course_id": course_id, "student_id": student_id,
        });
        assert!(self.answered(client, "request_enrollment", &request).await, "{request}");
        let given_up = match kind {
            10 => Some(self.give_up(client, &enrollment_id).await),
            11 => {
                self.until_decided(client, &enrollment_id).await;
                Some(self.give_up(client, &enrollment_id).await)
            }
            _ => None,
        };
        let price_cents = self.courses.prices[course_id];
        let course_id = course_id.clone();
        Asked { enrollment_id, student_id, course_id, price_cents, given_up }
    }

    async fn give_up(&self, client: &Client, enrollment_id: &str) -> bool {
        let cancel = json!({ "enrollment_id": enrollment_id, "reason": "no time" });
        self.answered(client, "cancel_enrollment", &cancel).await
    }

    async fn until_decided(&self, client: &Client, enrollment_id: &str) {
        let find = json!({ "enrollment_id": enrollment_id }).to_string();
        let started = Instant::now();
        loop {
            let answer =
                client.try_post("/queries/learning.get_enrollment", find.clone(), &JSON).await;
            if let Ok(answer) = answer
                && answer.status == 200
                && answer.ok()["status"] != "payment_pending"
            {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{enrollment_id} is never decided");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Repeats a command under its key until it is answered: done, or refused.
    async fn answered(&self, client: &Client, name: &str, body: &Value) -> bool {
        let path = format!("/commands/learning.{name}");
        let key = id();
        let headers = [JSON[0], ("idempotency-key", &key)];
        let started = Instant::now();
        loop {
            match client.try_post(&path, body.to_string(), &headers).await {
                Ok(answer) if answer.status == 200 => return true,
                Ok(answer) if answer.status == 422 => {
                    answer.blames(422, "learning.enrollment_not_active", "enrollment_id");
                    return false;
                }
                Ok(answer) if [409, 429, 503, 504].contains(&answer.status) => {}
                Ok(answer) => panic!("{name} was answered {}: {}", answer.status, answer.text()),
                Err(_) => {}
            }
            assert!(started.elapsed() < PATIENCE, "{name} is never answered");
            self.repeated.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
