//! What follows from the effects of one reaction: the changed record, and what its commit sends.

use std::collections::BTreeMap;

use crate::domain::saga::effect::{Effect, Message, SendStep};
use crate::domain::saga::outcome::Outcome;
use crate::error::BoxError;
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::payload::Payload;
use crate::message::timestamp::Timestamp;
use crate::port::capabilities::Limits;
use crate::port::commit::TimerWrite;
use crate::port::outgoing::{AnswerTo, Outgoing, OutgoingKind, Tries};
use crate::runtime::key;
use crate::runtime::saga::instance::{
    Compensation, SagaInstance, SagaStatus, SagaStep, SagaStepState, SagaTimer, cut,
};

/// What is known beside the instance.
#[derive(Clone, Copy)]
pub(crate) struct Cause<'a> {
    pub(crate) now: Timestamp,
    pub(crate) metadata: &'a Metadata,
    pub(crate) limits: &'a Limits,
}

/// The reaction of an instance to one thing, as it is put together.
pub(crate) struct Plan<'a> {
    pub(crate) record: SagaInstance,
    cause: Cause<'a>,
    /// Metadata of what is sent but for its id.
    metadata: Metadata,
    /// What ids are derived from.
    base: MessageId,
    pub(crate) outgoing: Vec<Outgoing>,
    /// By their names: the last word on each.
    pub(crate) timers: BTreeMap<String, TimerWrite>,
    /// For the history.
    pub(crate) effects: Vec<String>,
    /// How it ends, as this reaction says.
    end: Option<SagaStatus>,
}

/// What an outcome is for.
pub(crate) enum Answered {
    /// A step of this name.
    Step(String),
    /// What takes back the step of this name.
    Compensation(String),
    /// Nothing that is waited for.
    Nothing,
}

/// How far the compensation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compensated {
    /// Something is to be answered yet.
    NotYet,
    /// Nothing remains.
    All,
}

impl<'a> Plan<'a> {
    /// `base`: what the ids of all that follows are derived from.
    pub(crate) fn new(record: SagaInstance, cause: Cause<'a>, base: MessageId) -> Self {
        let mut metadata = cause.metadata.for_outgoing(base);
        if cause.metadata.correlation().is_none() {
            metadata = metadata.with_correlation(record.correlation.as_str());
        }
        Self {
            record,
            cause,
            metadata,
            base,
            outgoing: Vec::new(),
            timers: BTreeMap::new(),
            effects: Vec::new(),
            end: None,
        }
    }

    /// A timer has fired. Whether it is one that is waited for.
    pub(crate) fn fired(&mut self, name: &str, generation: u64) -> bool {
        let is_current =
            self.record.timers.get(name).is_some_and(|timer| timer.generation == generation);
        if is_current {
            self.record.timers.remove(name);
        }
        is_current
    }

    /// A command was answered.
    pub(crate) fn answered(&mut self, id: MessageId, outcome: &Outcome) -> Answered {
        let now = self.cause.now;
        let Some(step) = self.record.step_of(id) else { return Answered::Nothing };
        let error = match outcome {
            Outcome::Done(_) => None,
            Outcome::Rejected { code, .. } => Some(format!("rejected: {code}")),
            Outcome::Failed(reason) => Some(cut(reason)),
        };
        let name = step.name.clone();
        match step.state {
            SagaStepState::Sent => {
                step.answered_at = Some(now);
                step.error.clone_from(&error);
                step.state = match outcome {
                    Outcome::Done(_) => SagaStepState::Done,
                    Outcome::Rejected { .. } => SagaStepState::Rejected,
                    Outcome::Failed(_) => SagaStepState::Failed,
                };
                if let (Outcome::Failed(_), Some(error)) = (outcome, error) {
                    self.record.note_error(&format!("{name}: {error}"));
                }
                Answered::Step(name)
            }
            SagaStepState::Compensating => {
                step.state = SagaStepState::Compensated;
                step.error.clone_from(&error);
                if let Some(error) = error {
                    self.record.note_error(&format!("taking back {name}: {error}"));
                }
                Answered::Compensation(name)
            }
            SagaStepState::Done
            | SagaStepState::Rejected
            | SagaStepState::Failed
            | SagaStepState::Compensated => Answered::Nothing,
        }
    }

    pub(crate) fn apply(&mut self, effects: Vec<Effect<String>>) -> Result<(), BoxError> {
        effects.into_iter().try_for_each(|effect| self.apply_one(effect))
    }

    fn apply_one(&mut self, effect: Effect<String>) -> Result<(), BoxError> {
        let now = self.cause.now;
        match effect {
            Effect::Send(step) => self.send_step(step)?,
            Effect::Publish(message) => {
                self.effects.push(format!("publish {}", message.name));
                let body = body_of(&message)?;
                self.send(OutgoingKind::Message, &message.name, message.version, body, |_| {});
            }
            Effect::Schedule { timer, after } => {
                self.effects.push(format!("schedule {} in {after:?}", cut(&timer)));
                self.schedule(timer, now.saturating_add(after))?;
            }
            Effect::Cancel { timer } => {
                self.effects.push(format!("cancel {}", cut(&timer)));
                self.cancel(&timer);
            }
            Effect::Deadline(after) => {
                self.effects.push(format!("deadline in {after:?}"));
                self.record.deadline = Some(now.saturating_add(after));
            }
            Effect::Complete => {
                self.effects.push("complete".to_owned());
                self.end_as(SagaStatus::Completed)?;
            }
            Effect::Fail(reason) => {
                self.effects.push(format!("fail: {}", cut(&reason)));
                // Whoever wanted it to end said why.
                if !self.record.cancelling {
                    self.record.reason = Some(cut(&reason));
                }
                self.end_as(SagaStatus::Failed)?;
            }
            Effect::Compensate(reason) => self.compensate(&reason),
        }
        Ok(())
    }

    fn end_as(&mut self, status: SagaStatus) -> Result<(), BoxError> {
        if self.end.is_some_and(|end| end != status) {
            return Err("it ends both well and not well: give one of the two effects".into());
        }
        self.end = Some(status);
        Ok(())
    }

    pub(crate) fn compensate(&mut self, reason: &str) {
        self.effects.push(format!("compensate: {}", cut(reason)));
        if self.record.status != SagaStatus::Compensating {
            self.record.set_status(SagaStatus::Compensating);
            self.record.reason = Some(cut(reason));
        }
    }

    pub(crate) fn is_compensating(&self) -> bool {
        self.record.status == SagaStatus::Compensating
    }

    /// Goes on taking back.
    pub(crate) fn go_on_compensating(&mut self) -> Result<Compensated, BoxError> {
        let steps = &mut self.record.steps;
        if steps.iter().any(|step| step.state == SagaStepState::Compensating) {
            return Ok(Compensated::NotYet);
        }
        let is_next =
            |step: &&mut SagaStep| step.state == SagaStepState::Done && step.compensation.is_some();
        let next = steps.iter_mut().rev().find(is_next);
        if let Some((step, mut compensation)) =
            next.and_then(|step| Some((step.name.clone(), step.compensation.clone()?)))
        {
            let tell = self.answer_to(&step);
            let body = compensation.body()?;
            self.effects.push(format!("take back {step} ({})", compensation.name));
            let (name, version) = (&compensation.name, compensation.version);
            // It does not wait for a step that is stuck.
            let own = lane(&self.record.key, &step);
            let id = self.send(OutgoingKind::Command, name, version, body, |message| {
                message.key = own;
                message.answer_to = Some(tell);
                message.tries = Tries::UntilAnswered;
            });
            let sent = self.record.steps.iter_mut().rev().find(is_next);
            if let Some(step) = sent {
                step.state = SagaStepState::Compensating;
                compensation.id = Some(id);
                step.compensation = Some(compensation);
            }
            return Ok(Compensated::NotYet);
        }
        let is_open =
            |step: &SagaStep| step.state == SagaStepState::Sent && step.compensation.is_some();
        Ok(match self.record.steps.iter().any(is_open) {
            true => Compensated::NotYet,
            false => Compensated::All,
        })
    }

    /// Keeps how it is to end until everything is compensated; or ends it.
    pub(crate) fn settle_end(&mut self, compensated: Compensated) {
        if self.is_compensating() && compensated == Compensated::NotYet {
            if let Some(end) = self.end {
                self.record.ending = Some(end);
            }
            return;
        }
        let by_default = match (self.is_compensating(), self.record.cancelling) {
            (false, _) => None,
            (true, true) => Some(SagaStatus::Cancelled),
            (true, false) => Some(SagaStatus::Failed),
        };
        let said = self.end.or(self.record.ending);
        let said = said.filter(|end| !(self.record.cancelling && *end == SagaStatus::Failed));
        let Some(status) = said.or(by_default) else { return };
        self.record.set_status(status);
        self.record.completed_at = Some(self.cause.now);
        self.record.ending = None;
        let timers: Vec<String> = self.record.timers.keys().cloned().collect();
        timers.iter().for_each(|timer| self.cancel(timer));
    }

    fn send_step(&mut self, step: SendStep) -> Result<(), BoxError> {
        let SendStep { step: name, message, compensation, tries, delay, at_once } = step;
        if self.record.awaits(&name) {
            let context = format!("the step `{name}` is sent while it waits for its answer");
            return Err(context.into());
        }
        self.effects.push(format!("send {name} ({})", message.name));
        let compensation = match &compensation {
            Some(message) => {
                Some(Compensation::new(&message.name, message.version, &body_of(message)?))
            }
            None => None,
        };
        let now = self.cause.now;
        let tell = self.answer_to(&name);
        let body = body_of(&message)?;
        let own = at_once.then(|| lane(&self.record.key, &name));
        let version = message.version;
        let id = self.send(OutgoingKind::Command, &message.name, version, body, |message| {
            message.answer_to = Some(tell);
            message.tries = tries;
            if let Some(own) = own {
                message.key = own;
            }
            message.not_before = delay.map(|delay| now.saturating_add(delay));
        });
        self.record.steps.push(SagaStep {
            name: name.into_owned(),
            message: message.name.into_owned(),
            id,
            state: SagaStepState::Sent,
            sent_at: now,
            answered_at: None,
            error: None,
            compensation,
        });
        Ok(())
    }

    fn answer_to(&self, step: &str) -> AnswerTo {
        let SagaInstance { saga, key, .. } = &self.record;
        AnswerTo { saga: saga.clone(), key: key.clone(), step: step.to_owned() }
    }

    fn send(
        &mut self,
        kind: OutgoingKind,
        name: &str,
        version: u16,
        body: Payload,
        set: impl FnOnce(&mut Outgoing),
    ) -> MessageId {
        let id = self.base.derived("outgoing", self.outgoing.len() as u32);
        let mut message = Outgoing::new(kind, name.to_owned(), self.record.key.clone(), body);
        message.metadata = self.metadata.sibling(id).with_schema_version(version);
        set(&mut message);
        self.outgoing.push(message);
        id
    }

    fn schedule(&mut self, name: String, due: Timestamp) -> Result<(), BoxError> {
        let lane = key::of_tenant(self.record.tenant.as_deref(), &lane(&self.record.key, &name));
        let Limits { name: longest, id: longest_lane, .. } = *self.cause.limits;
        if name.len() > longest || lane.len() > longest_lane {
            let context = format!(
                "the timer {} has {} bytes: at most {longest}, and {longest_lane} with its key",
                cut(&name),
                name.len()
            );
            return Err(context.into());
        }
        self.record.generation += 1;
        let generation = self.record.generation;
        self.record.timers.insert(name.clone(), SagaTimer { due, generation });
        self.write_timer(name, generation, Some(due));
        Ok(())
    }

    /// One that is not set, or has fired, is not there any more.
    fn cancel(&mut self, name: &str) {
        if let Some(timer) = self.record.timers.remove(name) {
            self.write_timer(name.to_owned(), timer.generation, None);
        }
    }

    fn write_timer(&mut self, name: String, generation: u64, due: Option<Timestamp>) {
        let SagaInstance { saga, key, tenant, .. } = &self.record;
        let write = TimerWrite {
            owner: saga.clone(),
            tenant: tenant.as_deref().map(Into::into),
            key: key.clone(),
            name: name.clone(),
            generation,
            due,
        };
        self.timers.insert(name, write);
    }
}

/// The lane of a timer that fires: its own, so that it never waits behind a command.
pub(crate) fn lane(key: &str, timer: &str) -> String {
    format!("{key}#{timer}")
}

fn body_of(message: &Message) -> Result<Payload, BoxError> {
    let body = message.body.clone();
    body.map_err(|cause| format!("`{}` cannot be encoded: {cause}", message.name).into())
}
