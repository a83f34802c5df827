//! How far an enrolment has come: what it has got, and what it waits for.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use cqrs_core::{Command, Effect};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Effects, payment_id};
use crate::learning::steps::ReleaseSeat;
use learning_contracts::payments::RefundPayment;

/// How far an enrolment has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub(super) enrollment_id: Uuid,
    pub(super) course_id: Uuid,
    /// The student's money is here.
    pub(super) is_charged: bool,
    /// A seat is taken.
    pub(super) has_seat: bool,
    /// What was asked for and is not answered.
    waiting: BTreeSet<Step>,
    /// How it ended, where it did.
    end: Option<End>,
}

/// What is asked of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The student's money.
    Charge,
    /// A seat in the course.
    Reserve,
    /// That the student takes part.
    Activate,
    /// That it ends, for want of a payment.
    Decline,
    /// That it ends, for the payment took too long.
    TimeOut,
    /// That it ends, for want of a seat.
    CancelFull,
    /// That it ends, because somebody who looks after the service says so.
    GiveUp,
    /// That the money is given back.
    Refund,
    /// That the seat is freed.
    Release,
}

/// How enrolling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Active,
    Declined,
    TimedOut,
    CourseFull,
    Cancelled,
}

impl Progress {
    pub(super) fn of(enrollment_id: Uuid, course_id: Uuid) -> Self {
        Self { enrollment_id, course_id, ..Self::default() }
    }

    pub(super) fn has_begun(&self) -> bool {
        *self != Self::default()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn waits_for(&self, step: Step) -> bool {
        self.waiting.contains(&step)
    }

    /// Notes an answer; whether it was waited for.
    pub(super) fn is_answered(&mut self, step: Step) -> bool {
        self.waiting.remove(&step)
    }

    /// Notes how it ended; whether it had not ended before.
    pub(super) fn end(&mut self, end: End) -> bool {
        let is_first = self.end.is_none();
        self.end.get_or_insert(end);
        is_first
    }

    /// Asks for something, unless it was asked for already.
    pub(super) fn send<C: Command>(&mut self, step: Step, command: &C, effects: &mut Effects) {
        if self.waiting.insert(step) {
            effects.push(Effect::send(step.name(), command).until_answered().at_once());
        }
    }

    /// What follows from how it stands: one that has ended without a student who takes part gives
    /// back what it has got and what it still gets, and it is done when nobody owes an answer.
    pub(super) fn follow(&mut self, effects: &mut Effects) {
        match self.end {
            None => return,
            Some(End::Active) => {}
            Some(_) => self.give_back(effects),
        }
        if self.waiting.is_empty() {
            effects.push(Effect::complete());
        }
    }

    fn give_back(&mut self, effects: &mut Effects) {
        let Self { enrollment_id, course_id, .. } = *self;
        if self.is_charged {
            let refund = RefundPayment { payment_id: payment_id(enrollment_id) };
            self.send(Step::Refund, &refund, effects);
        }
        if self.has_seat {
            let release = ReleaseSeat { course_id, enrollment_id };
            self.send(Step::Release, &release, effects);
        }
    }
}

impl Step {
    pub(super) const ALL: [Self; 9] = [
        Self::Charge,
        Self::Reserve,
        Self::Activate,
        Self::Decline,
        Self::TimeOut,
        Self::CancelFull,
        Self::GiveUp,
        Self::Refund,
        Self::Release,
    ];

    /// Its name, under which the answer comes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Reserve => "reserve",
            Self::Activate => "activate",
            Self::Decline => "decline",
            Self::TimeOut => "time_out",
            Self::CancelFull => "cancel_full",
            Self::GiveUp => "give_up",
            Self::Refund => "refund",
            Self::Release => "release",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let step = Self::ALL.into_iter().find(|step| step.name() == name);
        step.ok_or_else(|| format!("enrolling has no step {name:?}"))
    }
}
