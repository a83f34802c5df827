use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::*;
use crate::domain::saga::{Reaction, Route};
use crate::message::metadata::Metadata;
use crate::message::timestamp::Timestamp;
use crate::port::capabilities::Limits;
use crate::port::outgoing::{Outgoing, OutgoingKind, Tries};
use crate::runtime::saga::instance::{SagaStatus, SagaStepState, SagaStepState as Is};
use crate::{Command, Event, EventType, Never, Request, RequestKind, Wire};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Go(Vec<Do>);

impl Event for Go {
    const TYPES: &'static [EventType] = &[EventType::new("test.go", "Go")];
    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// What the event tells the saga to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Do {
    Send(String),
    SendFor(String),
    Set(String, u64),
    Clear(String),
    Deadline,
    Complete,
    Fail,
    Compensate,
    Panic,
    Error,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Work(String);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Undo(String);

macro_rules! command {
    ($type:ident, $name:literal) => {
        impl Command for $type {}
        impl Request for $type {
            const NAME: &'static str = $name;
            const KIND: RequestKind = RequestKind::Command;
            type Output = ();
            type Error = Never;
            fn wire() -> Option<Wire<Self>> {
                Some(Wire::json())
            }
        }
    };
}

command!(Work, "test.work");
command!(Undo, "test.undo");

/// Does what events tell it, and what it was made to do on the rest.
#[derive(Default)]
struct Puppet {
    on_outcome: Vec<Do>,
    on_compensated: Vec<Do>,
    on_cancel: Vec<Do>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    seen: Vec<String>,
}

fn effects(dos: &[Do]) -> Reaction<Puppet> {
    dos.iter()
        .map(|what| {
            Ok(match what {
                Do::Send(step) => Effect::send(step.clone(), &Work(step.clone())),
                Do::SendFor(step) => Effect::send(step.clone(), &Work(step.clone()))
                    .compensated_by(&Undo(step.clone())),
                Do::Set(timer, secs) => Effect::schedule(timer.clone(), Duration::from_secs(*secs)),
                Do::Clear(timer) => Effect::cancel(timer.clone()),
                Do::Deadline => Effect::deadline(Duration::from_secs(60)),
                Do::Complete => Effect::complete(),
                Do::Fail => Effect::fail("no luck"),
                Do::Compensate => Effect::compensate("no luck"),
                Do::Panic => panic!("boom"),
                Do::Error => return Err("it cannot".into()),
            })
        })
        .collect()
}

impl Saga for Puppet {
    const NAME: &'static str = "test.puppet";
    const VERSION: u16 = 2;
    type State = Seen;
    type Input = Go;
    type Timer = String;

    fn route(&self, _: &Go) -> Route {
        Route::start("17")
    }

    fn react(
        &self,
        state: &mut Seen,
        trigger: Trigger<'_, Self>,
        _: &Context<'_>,
    ) -> Reaction<Self> {
        state.seen.push(format!("{trigger:?}"));
        match trigger {
            Trigger::Event(go) => effects(&go.0),
            Trigger::Outcome { .. } => effects(&self.on_outcome),
            Trigger::Compensated => effects(&self.on_compensated),
            Trigger::Cancel { .. } => effects(&self.on_cancel),
            Trigger::Timer(_) => Ok(vec![]),
        }
    }

    fn upcast(from: u16, state: serde_json::Value) -> Result<serde_json::Value, BoxError> {
        assert_eq!(from, 1);
        Ok(serde_json::json!({ "seen": [state["only"]] }))
    }
}

/// One instance without a store.
struct Stage {
    saga: Puppet,
    document: Option<(u64, crate::Json)>,
    now: Timestamp,
    sent: Vec<Outgoing>,
}

impl Stage {
    fn new(saga: Puppet) -> Self {
        Self { saga, document: None, now: Timestamp::UNIX_EPOCH, sent: Vec::new() }
    }

    fn found(&self) -> Option<Versioned<SagaInstance>> {
        let (version, body) = self.document.clone()?;
        let document = crate::Document { id: "test.puppet/17".into(), version, body };
        Some(documents::decode(document).unwrap())
    }

    fn record(&self) -> SagaInstance {
        self.found().unwrap().into_inner()
    }

    fn state_of(&self, step: &str) -> SagaStepState {
        self.record().steps.iter().find(|s| s.name == step).unwrap().state
    }

    fn seen(&self) -> Vec<String> {
        serde_json::from_str::<Seen>(self.record().state()).unwrap().seen
    }

    fn try_step(
        &self,
        happened: &Happened<'_, Puppet>,
        metadata: &Metadata,
    ) -> Result<Commit, HandlerError> {
        let limits = Limits::default();
        let cause = Cause { now: self.now, metadata, limits: &limits };
        let instance = Instance { tenant: Some("acme"), key: "17" };
        step(&self.saga, instance, self.found(), happened, cause)
    }

    fn step(&mut self, happened: &Happened<'_, Puppet>, metadata: &Metadata) -> Commit {
        let commit = self.try_step(happened, metadata).unwrap();
        let version = self.document.as_ref().map_or(0, |(version, _)| *version);
        for write in &commit.documents {
            assert!(write.expected.holds(version));
            self.document = Some((version + 1, write.body.clone().unwrap()));
        }
        self.sent.extend(commit.outgoing.iter().cloned());
        commit
    }

    fn event(&mut self, dos: &[Do]) -> Commit {
        let metadata = Metadata::default().with_tenant("acme");
        let event = Go(dos.to_vec());
        self.step(&Happened::Event { event: &event, name: "test.go", position: 4 }, &metadata)
    }

    /// The command that was sent last under this step is answered.
    fn answer(&mut self, step: &str, outcome: &Outcome) -> Commit {
        let of = |sent: &&Outgoing| sent.answer_to.as_ref().is_some_and(|to| to.step == step);
        let metadata = self.sent.iter().rev().find(of).unwrap().metadata.clone();
        self.step(&Happened::Outcome(outcome), &metadata)
    }

    fn names(&self) -> Vec<String> {
        let name = |sent: &Outgoing| {
            let step = sent.answer_to.as_ref().map_or("-", |to| &to.step);
            format!("{} {step}", sent.name)
        };
        self.sent.iter().map(name).collect()
    }
}

fn done() -> Outcome {
    Outcome::done::<Work>(&()).unwrap()
}

fn failed() -> Outcome {
    Outcome::Failed("no connection".into())
}

fn send(step: &str) -> Do {
    Do::Send(step.into())
}

fn send_for(step: &str) -> Do {
    Do::SendFor(step.into())
}

#[test]
fn a_start_makes_the_instance_and_sends() {
    let mut stage = Stage::new(Puppet::default());
    let commit = stage.event(&[send_for("charge"), Do::Deadline]);
    let record = stage.record();
    assert_eq!(
        (record.status, record.saga_status.as_str()),
        (SagaStatus::Running, "test.puppet running")
    );
    assert_eq!(record.tenant.as_deref(), Some("acme"));
    assert_eq!(record.deadline, Some(Timestamp::from_micros(60_000_000)));
    let sent = &commit.outgoing[0];
    assert_eq!(
        (sent.kind, &*sent.name, sent.key.as_str()),
        (OutgoingKind::Command, "test.work", "17")
    );
    assert_eq!((sent.metadata.tenant(), sent.metadata.causation().is_some()), (Some("acme"), true));
    assert_eq!(record.history[0].what, "event test.go @4");
    assert_eq!(record.history[0].effects, ["send charge (test.work)", "deadline in 60s"]);
}

#[test]
fn the_same_trigger_makes_the_same_commit_but_for_its_id() {
    let stage = Stage::new(Puppet::default());
    let (event, metadata) = (Go(vec![send("a"), send("b")]), Metadata::default());
    let once = || {
        let happened = Happened::Event { event: &event, name: "test.go", position: 4 };
        stage.try_step(&happened, &metadata).unwrap()
    };
    let (first, again) = (once(), once());
    assert_eq!(Commit { id: first.id, ..again }, first);
    assert_ne!(first.outgoing[0].metadata.id(), first.outgoing[1].metadata.id());
}

#[test]
fn what_was_done_is_taken_back_last_first_each_once_the_one_before_is_answered() {
    let saga = Puppet { on_compensated: vec![Do::Fail], ..Puppet::default() };
    let mut stage = Stage::new(saga);
    stage.event(&[send_for("a"), send_for("b"), send("c"), send_for("d"), send_for("e")]);
    for step in ["a", "b", "c", "e"] {
        stage.answer(step, &done());
    }
    stage.answer("d", &failed());
    stage.sent.clear();
    stage.event(&[Do::Compensate]);
    assert_eq!(stage.record().status, SagaStatus::Compensating);
    assert_eq!(stage.names(), ["test.undo e"]);
    assert_eq!(stage.sent[0].tries, Tries::UntilAnswered);
    stage.answer("e", &done());
    stage.answer("b", &done());
    assert_eq!(stage.names(), ["test.undo e", "test.undo b", "test.undo a"]);
    assert_eq!(stage.state_of("b"), Is::Compensated);
    assert!(stage.record().completed_at.is_none());
    stage.answer("a", &done());
    let record = stage.record();
    assert_eq!((record.status, record.completed_at.is_some()), (SagaStatus::Failed, true));
    assert_eq!(stage.seen().last().unwrap(), "Compensated");
    assert_eq!(record.last_error.unwrap(), "d: no connection");
}

#[test]
fn a_step_that_is_answered_well_meanwhile_is_taken_back_as_well() {
    let mut stage = Stage::new(Puppet::default());
    stage.event(&[send_for("a"), send_for("late")]);
    stage.answer("a", &done());
    stage.event(&[Do::Compensate]);
    stage.answer("a", &done());
    // One is still open: it is not known whether it is to be taken back.
    assert_eq!(stage.record().status, SagaStatus::Compensating);
    stage.answer("late", &done());
    assert_eq!(stage.names().last().unwrap(), "test.undo late");
    stage.answer("late", &Outcome::Rejected { code: "test.never".into(), body: "{}".into() });
    let record = stage.record();
    assert_eq!(record.status, SagaStatus::Failed);
    assert_eq!(record.last_error.unwrap(), "taking back late: rejected: test.never");
    assert_eq!(stage.state_of("late"), Is::Compensated);
}

#[test]
fn with_nothing_to_take_back_it_ends_at_once() {
    let mut stage = Stage::new(Puppet::default());
    stage.event(&[send("a"), Do::Compensate]);
    assert_eq!(stage.record().status, SagaStatus::Failed);
    assert_eq!(stage.record().reason.unwrap(), "no luck");
    assert_eq!(stage.seen().last().unwrap(), "Compensated");
}

#[test]
fn an_ending_waits_until_everything_is_taken_back() {
    let mut stage = Stage::new(Puppet::default());
    stage.event(&[send_for("a")]);
    stage.answer("a", &done());
    stage.event(&[Do::Compensate, Do::Complete]);
    assert_eq!(stage.record().status, SagaStatus::Compensating);
    stage.answer("a", &done());
    assert_eq!(stage.record().status, SagaStatus::Completed);
}

#[test]
fn what_has_ended_hears_of_nothing() {
    let mut stage = Stage::new(Puppet::default());
    stage.event(&[send("a"), Do::Set("t".into(), 1), Do::Complete]);
    assert_eq!(stage.record().status, SagaStatus::Completed);
    assert!(stage.event(&[send("b")]).is_nothing());
    assert!(stage.answer("a", &done()).is_nothing());
    let timer = Happened::Timer { name: "\"t\"", generation: 1 };
    assert!(stage.step(&timer, &Metadata::default()).is_nothing());
}

#[test]
fn an_end_cancels_the_timers() {
    let mut stage = Stage::new(Puppet::default());
    stage.event(&[Do::Set("a".into(), 1), Do::Set("b".into(), 2)]);
    let commit = stage.event(&[Do::Fail]);
    assert!(commit.timers.iter().all(|timer| timer.due.is_none()));
    assert_eq!(commit.timers.len(), 2);
    assert!(stage.record().timers.is_empty());
}

#[test]
fn a_timer_is_heard_of_in_its_last_setting_only() {
    let mut stage = Stage::new(Puppet::default());
    let first = stage.event(&[Do::Set("t".into(), 1)]).timers[0].clone();
    let second = stage.event(&[Do::Set("t".into(), 5)]).timers[0].clone();
    assert!(second.generation > first.generation);
    let mut fire = |generation| {
        let name = first.name.as_str();
        stage.step(&Happened::Timer { name, generation }, &Metadata::default()).is_nothing()
    };
    assert!(fire(first.generation));
    assert!(!fire(second.generation));
    assert!(fire(second.generation), "it fires once");
    stage.event(&[Do::Set("t".into(), 5), Do::Clear("t".into())]);
    assert!(stage.record().timers.is_empty());
}

#[test]
fn a_name_that_waits_for_its_answer_is_not_sent_again() {
    let mut stage = Stage::new(Puppet::default());
    stage.event(&[send("a")]);
    let (event, metadata) = (Go(vec![send("a")]), Metadata::default());
    let happened = Happened::Event { event: &event, name: "test.go", position: 5 };
    let error = stage.try_step(&happened, &metadata).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("`a`"), "{error}");
    stage.answer("a", &failed());
    assert_eq!(stage.state_of("a"), Is::Failed);
    stage.event(&[send("a")]);
    assert_eq!(stage.record().steps.len(), 2);
    // The repeat of an answer finds nobody who waits for it.
    let first = stage.sent[0].metadata.clone();
    assert!(stage.step(&Happened::Outcome(&done()), &first).is_nothing());
}

#[test]
fn a_cancelled_one_is_compensated_unless_it_says_otherwise() {
    let mut stage = Stage::new(Puppet::default());
    stage.event(&[send_for("a")]);
    stage.answer("a", &done());
    stage.step(&Happened::Cancel { reason: "enough" }, &Metadata::default());
    assert_eq!(stage.record().status, SagaStatus::Compensating);
    stage.answer("a", &done());
    assert_eq!(stage.record().status, SagaStatus::Cancelled);
    assert_eq!(stage.record().reason.unwrap(), "enough");

    let mut stage = Stage::new(Puppet { on_cancel: vec![Do::Complete], ..Puppet::default() });
    stage.event(&[send_for("a")]);
    stage.step(&Happened::Cancel { reason: "enough" }, &Metadata::default());
    assert_eq!(stage.record().status, SagaStatus::Completed);
}

#[test]
fn an_older_state_is_lifted_and_a_newer_one_is_refused() {
    let mut stage = Stage::new(Puppet::default());
    stage.event(&[]);
    let mut record = stage.record();
    record.schema_version = 1;
    record.state = RawValue::from_string(r#"{"only":"old"}"#.into()).unwrap();
    stage.document = Some((1, crate::Json::encode(&record).unwrap()));
    stage.event(&[]);
    assert_eq!(stage.seen(), ["old", "Event"]);
    assert_eq!(stage.record().schema_version, 2);

    let mut record = stage.record();
    record.schema_version = 3;
    stage.document = Some((2, crate::Json::encode(&record).unwrap()));
    let (event, metadata) = (Go(vec![]), Metadata::default());
    let happened = || Happened::Event { event: &event, name: "test.go", position: 5 };
    let error = stage.try_step(&happened(), &metadata).unwrap_err();
    assert!(error.to_string().contains("newer") && !error.is_fatal(), "{error}");

    record.schema_version = 2;
    record.state = RawValue::from_string("[]".into()).unwrap();
    stage.document = Some((3, crate::Json::encode(&record).unwrap()));
    let error = stage.try_step(&happened(), &metadata).unwrap_err();
    assert!(error.to_string().contains("`test.puppet`/17 at version 2"), "{error}");
}

#[test]
fn a_panic_and_an_error_are_errors() {
    let stage = Stage::new(Puppet::default());
    let metadata = Metadata::default();
    for (what, says) in [(Do::Panic, "boom"), (Do::Error, "it cannot")] {
        let event = Go(vec![what]);
        let happened = Happened::Event { event: &event, name: "test.go", position: 5 };
        let error = stage.try_step(&happened, &metadata).unwrap_err();
        assert!(error.to_string().contains(says) && !error.is_fatal(), "{error}");
    }
}

#[test]
fn history_and_steps_are_bounded() {
    let mut stage = Stage::new(Puppet::default());
    stage.event(&[send_for("kept")]);
    stage.answer("kept", &done());
    for n in 0..260 {
        stage.event(&[send(&format!("s{n}"))]);
        stage.answer(&format!("s{n}"), &done());
    }
    let record = stage.record();
    assert_eq!((record.history.len(), record.steps.len()), (64, 256));
    assert_eq!(record.steps[0].name, "kept");
}

#[test]
fn what_does_not_get_through_shows() {
    let mut stage = Stage::new(Puppet::default());
    stage.event(&[send("a")]);
    let limits = Limits::default();
    let metadata = stage.sent[0].metadata.clone();
    let cause = Cause { now: stage.now, metadata: &metadata, limits: &limits };
    let write = failing(stage.found(), cause, "no route").unwrap();
    let record: SagaInstance = write.body.unwrap().decode().unwrap();
    assert_eq!(record.last_error.as_deref(), Some("a: no route"));
    assert_eq!((record.steps[0].state, record.status), (Is::Sent, SagaStatus::Running));
}
