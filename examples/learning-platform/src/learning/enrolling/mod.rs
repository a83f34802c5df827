//! Enrolling: from the request to a seat that is paid for, or back to nothing. A saga.
//!
//! It knows what it has got (the payment, the seat), what it has asked for and was not answered yet,
//! and whether the enrolment has ended. Whatever comes is noted first; then what follows from all of
//! it is done. So the order in which answers, time and events come in plays no part, but for one
//! thing: of the timer and the answer to the charge, the first decides.

#[cfg(test)]
mod interleavings;
mod progress;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use cqrs_core::{
    Answered, BoxError, Context, Effect, MessageId, Outcome, Reaction, Route, Saga, Trigger,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::enrollment::EnrollmentEvent;
use super::requests::CancelEnrollment;
use super::steps::{
    ActivateEnrollment, CancelFullEnrollment, DeclineEnrollment, ReserveSeat, TimeOutEnrollment,
};
use learning_contracts::payments::{ChargePayment, PaymentState};
use progress::End;
pub use progress::{Progress, Step};

/// How long after the last moment of the payment an instance may take, before it is late.
const SLACK: Duration = Duration::from_secs(60);

/// Charges for an enrolment that was requested, reserves a seat and activates it. One that does not
/// get so far is given its money back, and leaves no seat taken.
#[derive(Debug, Clone)]
pub struct Enrolling {
    /// How long the payment may take.
    pub payment_timeout: Duration,
}

/// What enrolling waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// The answer to the charge.
    Payment,
}

/// The payment of an enrolment: there is one, and whoever asks for it again means the same.
pub fn payment_id(enrollment_id: Uuid) -> Uuid {
    MessageId::from(enrollment_id).derived("payment", 0).uuid()
}

type Effects = Vec<Effect<Waiting>>;

impl Saga for Enrolling {
    const NAME: &'static str = "learning.enrolling";
    type State = Progress;
    type Input = EnrollmentEvent;
    type Timer = Waiting;

    /// It begins with the request, and hears of the student who changes their mind. The other events
    /// are its own doing; giving up an active enrolment is not its matter any more.
    fn route(&self, event: &EnrollmentEvent) -> Route {
        match event {
            EnrollmentEvent::Requested { enrollment_id, .. } => Route::start(enrollment_id),
            EnrollmentEvent::Cancelled { enrollment_id, left_course: None, .. } => {
                Route::resume(enrollment_id)
            }
            _ => Route::Ignore,
        }
    }

    fn react(
        &self,
        state: &mut Progress,
        trigger: Trigger<'_, Self>,
        _: &Context<'_>,
    ) -> Reaction<Self> {
        let mut effects = Vec::new();
        match trigger {
            Trigger::Event(event) => self.happened(state, event, &mut effects),
            Trigger::Timer(Waiting::Payment) => too_late(state, &mut effects),
            Trigger::Outcome { step, outcome } => {
                answered(state, step.parse()?, outcome, &mut effects)?;
            }
            Trigger::Cancel { reason } => give_up(state, reason, &mut effects)?,
            Trigger::Compensated => {}
        }
        state.follow(&mut effects);
        Ok(effects)
    }
}

impl Enrolling {
    fn happened(&self, state: &mut Progress, event: &EnrollmentEvent, effects: &mut Effects) {
        match event.clone() {
            EnrollmentEvent::Requested { enrollment_id, course_id, student_id, price_cents }
                if !state.has_begun() =>
            {
                *state = Progress::of(enrollment_id, course_id);
                let payment_id = payment_id(enrollment_id);
                let charge = ChargePayment { payment_id, student_id, amount_cents: price_cents };
                state.send(Step::Charge, &charge, effects);
                effects.push(Effect::schedule(Waiting::Payment, self.payment_timeout));
                effects.push(Effect::deadline(self.payment_timeout.saturating_add(SLACK)));
            }
            EnrollmentEvent::Cancelled { .. } if state.end(End::Cancelled) => {
                stop_waiting(state, effects);
            }
            _ => {}
        }
    }
}

/// The time for the payment is over: when there is no answer yet, that decides.
fn too_late(state: &mut Progress, effects: &mut Effects) {
    if state.waits_for(Step::Charge) && state.end(End::TimedOut) {
        let enrollment_id = state.enrollment_id;
        state.send(Step::TimeOut, &TimeOutEnrollment { enrollment_id }, effects);
    }
}

/// Somebody who looks after the service wants it to end: as if the student did.
fn give_up(state: &mut Progress, reason: &str, effects: &mut Effects) -> Result<(), BoxError> {
    if state.has_ended() || state.waits_for(Step::GiveUp) {
        // It is not ended any faster: money or a seat may still have to be given back.
        return Err("it is ending already".into());
    }
    let reason = if reason.is_empty() { "ended by an operator" } else { reason };
    let (enrollment_id, reason) = (state.enrollment_id, reason.chars().take(500).collect());
    state.send(Step::GiveUp, &CancelEnrollment { enrollment_id, reason }, effects);
    Ok(())
}

/// Nothing waits for the payment any more but the money itself.
fn stop_waiting(state: &Progress, effects: &mut Effects) {
    if state.waits_for(Step::Charge) {
        effects.push(Effect::cancel(Waiting::Payment));
    }
}

fn answered(
    state: &mut Progress,
    step: Step,
    outcome: &Outcome,
    effects: &mut Effects,
) -> Result<(), BoxError> {
    // Nothing here may be left undone, and everything may be repeated.
    if let Outcome::Failed(reason) = outcome {
        return Err(format!("`{step}` was given up unanswered: {reason}").into());
    }
    if !state.is_answered(step) {
        return Ok(());
    }
    let is_done = outcome.is_done();
    match step {
        Step::Charge => {
            if !state.has_ended() {
                effects.push(Effect::cancel(Waiting::Payment));
            }
            // A payment that is another's is none.
            state.is_charged = matches!(
                outcome.of::<ChargePayment>()?,
                Answered::Done(charge) if charge.state == PaymentState::Charged
            );
            paid_or_not(state, effects);
        }
        Step::Reserve => {
            state.has_seat = is_done;
            seated_or_not(state, effects);
        }
        Step::Activate => {
            // Where it is refused the student was faster, and the event says so as well.
            state.end(if is_done { End::Active } else { End::Cancelled });
        }
        Step::Refund => state.is_charged = false,
        Step::Release => state.has_seat = false,
        // It has ended one way or the other, and nothing more is asked of it.
        Step::Decline | Step::TimeOut | Step::CancelFull | Step::GiveUp => {}
    }
    Ok(())
}

fn paid_or_not(state: &mut Progress, effects: &mut Effects) {
    let Progress { enrollment_id, course_id, is_charged, .. } = *state;
    if !is_charged {
        if state.end(End::Declined) {
            state.send(Step::Decline, &DeclineEnrollment { enrollment_id }, effects);
        }
    } else if !state.has_ended() {
        state.send(Step::Reserve, &ReserveSeat { course_id, enrollment_id }, effects);
    }
}

fn seated_or_not(state: &mut Progress, effects: &mut Effects) {
    let enrollment_id = state.enrollment_id;
    if !state.has_seat {
        if state.end(End::CourseFull) {
            state.send(Step::CancelFull, &CancelFullEnrollment { enrollment_id }, effects);
        }
    } else if !state.has_ended() {
        state.send(Step::Activate, &ActivateEnrollment { enrollment_id }, effects);
    }
}
