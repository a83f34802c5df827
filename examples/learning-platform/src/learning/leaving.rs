//! Leaving: a student who took part gives up. The money goes back, and the seat is freed. A saga.
//!
//! Apart from [enrolling](super::enrolling), which is done once the student takes part: an enrolment
//! is active for months, and a saga that waits all that time could not be told from one that is
//! stuck. The event says whose matter it is.

use std::collections::BTreeSet;

use cqrs_core::{Context, Effect, Outcome, Reaction, Route, Saga, Trigger};
use serde::{Deserialize, Serialize};

use super::enrolling::payment_id;
use super::enrollment::EnrollmentEvent;
use super::steps::ReleaseSeat;
use learning_contracts::payments::RefundPayment;

const REFUND: &str = "refund";
const RELEASE: &str = "release";

/// Gives back what an active enrolment had when it is cancelled.
#[derive(Debug, Clone, Copy)]
pub struct Leaving;

/// The steps that were sent and are not answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open(BTreeSet<String>);

impl Saga for Leaving {
    const NAME: &'static str = "learning.leaving";
    type State = Open;
    type Input = EnrollmentEvent;
    type Timer = ();

    fn route(&self, event: &EnrollmentEvent) -> Route {
        match event {
            EnrollmentEvent::Cancelled { enrollment_id, left_course: Some(_), .. } => {
                Route::start(enrollment_id)
            }
            _ => Route::Ignore,
        }
    }

    fn react(
        &self,
        Open(open): &mut Open,
        trigger: Trigger<'_, Self>,
        _: &Context<'_>,
    ) -> Reaction<Self> {
        match trigger {
            Trigger::Event(EnrollmentEvent::Cancelled {
                enrollment_id,
                left_course: Some(course_id),
                ..
            }) if open.is_empty() => {
                let (enrollment_id, course_id) = (*enrollment_id, *course_id);
                open.extend([REFUND.to_owned(), RELEASE.to_owned()]);
                let refund = RefundPayment { payment_id: payment_id(enrollment_id) };
                let release = ReleaseSeat { course_id, enrollment_id };
                Ok(vec![
                    Effect::send(REFUND, &refund).until_answered(),
                    Effect::send(RELEASE, &release).until_answered(),
                ])
            }
            Trigger::Outcome { step, outcome: Outcome::Failed(reason) } => {
                Err(format!("`{step}` was given up unanswered: {reason}").into())
            }
            // A no says that nothing is there to give back.
            Trigger::Outcome { step, .. } if open.remove(step) && open.is_empty() => {
                Ok(vec![Effect::complete()])
            }
            // Once begun it is not called back: somebody is owed money.
            Trigger::Cancel { .. } => Err("what is given back cannot be called back".into()),
            _ => Ok(vec![]),
        }
    }
}
