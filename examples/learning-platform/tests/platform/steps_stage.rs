//! A service that dies at a point, and is started again without a fault; and who talks to it meanwhile.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command};
use std::time::{Duration, Instant};

use cqrs_testing::faults::{Counted, Fault};
use serde_json::{Value, json};

use crate::client::Client;
use crate::service::{Folder, course, id, until};
use crate::steps_child::{self, COUNTED, LISTENS, Times};
use crate::storm_sums::{Asked, Ends, add_up, is_settled};

/// How long anything may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the process gets that ends itself.
const SIGABRT: i32 = 6;

/// A file, the process on it, and what was asked of it.
pub(crate) struct Stage {
    folder: Folder,
    times: Times,
    running: Option<Running>,
    /// It has died at its point.
    died: bool,
    asked: Vec<Asked>,
    prices: HashMap<String, u64>,
    seats: HashMap<String, usize>,
}

struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    client: Client,
}

/// What came of a run.
pub(crate) struct Run {
    pub(crate) died: bool,
    pub(crate) ends: Ends,
    /// What a process counted that did not die.
    pub(crate) counted: Option<Counted>,
}

impl Stage {
    pub(crate) fn new(times: Times, fault: Option<Fault>) -> Self {
        let (folder, asked) = (Folder::new(), Vec::new());
        let (prices, seats) = (HashMap::new(), HashMap::new());
        let mut stage = Self { folder, times, running: None, died: false, asked, prices, seats };
        stage.start(fault);
        stage
    }

    /// Starts the process; it may die at its point before it listens.
    fn start(&mut self, fault: Option<Fault>) {
        let mut child = steps_child::command(&self.folder, self.times, fault).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        match said(&mut stdout, LISTENS) {
            Some(address) => {
                let client = Client::of(address.parse().unwrap());
                self.running = Some(Running { child, stdout, client });
            }
            None => {
                assert!(fault.is_some(), "it does not start:\n{}", self.folder.log());
                self.has_died(&mut child);
            }
        }
    }

    /// It was its own doing, and that once; it goes on without a fault.
    fn has_died(&mut self, child: &mut Child) {
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(SIGABRT), "{status}:\n{}", self.folder.log());
        assert!(!self.died, "it died twice:\n{}", self.folder.log());
        self.died = true;
        self.start(None);
    }

    /// The service, as long as it lives; or the next one.
    fn client(&mut self) -> Client {
        let running = self.running.as_mut().unwrap();
        if running.child.try_wait().unwrap().is_some()
            && let Some(mut dead) = self.running.take()
        {
            self.has_died(&mut dead.child);
        }
        self.running.as_ref().unwrap().client.clone()
    }

    /// Offers a course.
    pub(crate) async fn offer(&mut self, price_cents: u64, places: usize) -> String {
        let course_id = id();
        let mut offered = course(&course_id);
        offered["price_cents"] = price_cents.into();
        offered["capacity"] = places.into();
        self.prices.insert(course_id.clone(), price_cents);
        self.seats.insert(course_id.clone(), places);
        self.command("create_course", &offered).await;
        self.command("publish_course", &json!({ "course_id": course_id })).await;
        course_id
    }

    /// Asks for an enrolment.
    pub(crate) async fn enrol(&mut self, student_id: &str, course_id: &str) -> String {
        let (enrollment_id, student_id) = (id(), student_id.to_owned());
        let request = json!({
            "enrollment_id": enrollment_id, "course_id": course_id, "student_id": student_id,
        });
        self.command("request_enrollment", &request).await;
        let (price_cents, course_id) = (self.prices[course_id], course_id.to_owned());
        let asked = Asked {
            enrollment_id: enrollment_id.clone(),
            student_id,
            course_id,
            price_cents,
            given_up: None,
        };
        self.asked.push(asked);
        enrollment_id
    }

    /// Gives the last enrolment up.
    pub(crate) async fn give_up(&mut self) {
        let enrollment_id = self.asked.last().unwrap().enrollment_id.clone();
        let cancel = json!({ "enrollment_id": enrollment_id, "reason": "no time" });
        self.command("cancel_enrollment", &cancel).await;
        self.asked.last_mut().unwrap().given_up = Some(true);
    }

    /// Waits until the last enrolment is active.
    pub(crate) async fn until_active(&mut self) {
        let find = json!({ "enrollment_id": self.asked.last().unwrap().enrollment_id });
        until("it is active", async || {
            let shown = self.try_ask("/queries/learning.get_enrollment", &find, &id()).await?;
            (shown["status"] == "active").then_some(())
        })
        .await;
    }

    /// Waits until nothing is left to do, ends the process in order, and adds up.
    pub(crate) async fn end(mut self) -> Run {
        self.settle().await;
        let mut counted = None;
        if !self.died {
            counted = self.stop().await;
            // It may have died of that.
            if counted.is_some() {
                self.start(None);
            }
            self.settle().await;
        }
        let client = self.client();
        let ends = add_up(&client, &self.asked, &self.seats).await;
        let died = self.died;
        drop(self);
        Run { died, ends, counted }
    }

    async fn settle(&mut self) {
        until("everything is settled", async || {
            let client = self.client();
            is_settled(&client).await?.then_some(())
        })
        .await;
    }

    /// What it counted; `None`: it died meanwhile, and another one runs.
    async fn stop(&mut self) -> Option<Counted> {
        let mut running = self.running.take().unwrap();
        let id = running.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        match said(&mut running.stdout, COUNTED) {
            Some(counted) => {
                assert!(running.child.wait().unwrap().success(), "{}", self.folder.log());
                Some(counted.parse().unwrap())
            }
            None => {
                self.has_died(&mut running.child);
                None
            }
        }
    }

    async fn command(&mut self, name: &str, body: &Value) {
        let (path, key, started) = (format!("/commands/learning.{name}"), id(), Instant::now());
        while self.try_ask(&path, body, &key).await.is_none() {
            assert!(started.elapsed() < PATIENCE, "{name} is never answered");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    async fn try_ask(&mut self, path: &str, body: &Value, key: &str) -> Option<Value> {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        let answer = self.client().try_post(path, body.to_string(), &headers).await.ok()?;
        match answer.status {
            200 => Some(answer.ok()),
            409 | 429 | 503 | 504 => None,
            status => panic!("{path} was answered {status}: {}", answer.text()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process says behind this beginning of a line; `None`: it ended without.
fn said(stdout: &mut BufReader<ChildStdout>, beginning: &str) -> Option<String> {
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        // Whatever runs the test may write before it.
        if let Some((_, rest)) = line.split_once(beginning) {
            return Some(rest.trim_end().to_owned());
        }
    }
}
