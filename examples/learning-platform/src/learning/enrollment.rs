//! Enrolments: their state, which is the document that queries read, and their rules.

use cqrs_core::{Context, Decide, Decision, Entity, Failure, Loaded, Work};
use cqrs_derive::{Aggregate, Event, command_handler};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::course::Course;
use super::error::{CourseError, EnrollmentError};
use super::requests::{CancelEnrollment, EnrollmentChanged, RequestEnrollment};
use super::steps::{
    ActivateEnrollment, CancelFullEnrollment, DeclineEnrollment, TimeOutEnrollment,
};
use super::views::{CourseStatus, EnrollmentStatus, EnrollmentView};

/// Why an enrolment ended that was paid for when no seat was left.
pub const COURSE_FULL: &str = "course_full";

/// What happens to an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[event(schema)]
pub enum EnrollmentEvent {
    /// A student asked for a place.
    #[event(name = "learning.enrollment_requested", tag = "course:{course_id}")]
    Requested {
        /// Which enrolment.
        enrollment_id: Uuid,
        /// In which course.
        course_id: Uuid,
        /// Who.
        student_id: String,
        /// The price at that time.
        price_cents: u64,
    },
    /// It is paid for and has a seat: the student takes part.
    #[event(name = "learning.enrollment_activated", tag = "course:{course_id}")]
    Activated {
        /// Which enrolment.
        enrollment_id: Uuid,
        /// In which course.
        course_id: Uuid,
        /// Who.
        student_id: String,
    },
    /// The payment was declined.
    #[event(name = "learning.enrollment_declined")]
    Declined {
        /// Which enrolment.
        enrollment_id: Uuid,
    },
    /// The payment took too long.
    #[event(name = "learning.enrollment_timed_out")]
    TimedOut {
        /// Which enrolment.
        enrollment_id: Uuid,
    },
    /// It was given up, or there was no seat.
    #[event(name = "learning.enrollment_cancelled")]
    Cancelled {
        /// Which enrolment.
        enrollment_id: Uuid,
        /// Why.
        reason: String,
        /// In which course the student took part until then; `None`: in none, it was pending.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_course: Option<Uuid>,
    },
}

/// An enrolment. All of it is shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Aggregate)]
#[aggregate(category = "enrollment", id = Uuid, event = EnrollmentEvent, document)]
#[serde(transparent)]
pub struct Enrollment(EnrollmentView);

impl Enrollment {
    fn on(&mut self, event: &EnrollmentEvent) {
        match event.clone() {
            EnrollmentEvent::Requested { enrollment_id, course_id, student_id, price_cents } => {
                let status = EnrollmentStatus::PaymentPending;
                self.0 = EnrollmentView {
                    enrollment_id,
                    course_id,
                    student_id,
                    price_cents,
                    status,
                    reason: None,
                };
            }
            EnrollmentEvent::Activated { .. } => self.0.status = EnrollmentStatus::Active,
            EnrollmentEvent::Declined { .. } => self.0.status = EnrollmentStatus::Declined,
            EnrollmentEvent::TimedOut { .. } => self.0.status = EnrollmentStatus::TimedOut,
            EnrollmentEvent::Cancelled { reason, .. } => {
                self.0.status = EnrollmentStatus::Cancelled;
                self.0.reason = Some(reason);
            }
        }
    }
}

impl Entity for Enrollment {
    const COLLECTION: &'static str = "enrollment";
    const INDEXED: &'static [&'static str] = &["status"];

    fn id(&self) -> String {
        self.0.enrollment_id.to_string()
    }
}

impl Enrollment {
    /// What is shown of it.
    pub(super) fn shown(self) -> EnrollmentView {
        self.0
    }

    fn changed(&self) -> EnrollmentChanged {
        let EnrollmentView { enrollment_id, status, price_cents, .. } = self.0;
        EnrollmentChanged { enrollment_id, status, price_cents }
    }
}

/// What a request for a place comes to. How many places are left plays no part: that is known when
/// somebody has paid.
fn requested(
    command: RequestEnrollment,
    enrollment: &Loaded<Enrollment>,
    course: &Loaded<Course>,
) -> Result<EnrollmentEvent, EnrollmentError> {
    if enrollment.exists() {
        return Err(EnrollmentError::Exists);
    }
    if !course.exists() {
        return Err(CourseError::NotFound.into());
    }
    if course.status != CourseStatus::Published {
        return Err(CourseError::NotPublished.into());
    }
    let RequestEnrollment { enrollment_id, course_id, student_id } = command;
    let price_cents = course.price_cents;
    Ok(EnrollmentEvent::Requested { enrollment_id, course_id, student_id, price_cents })
}

#[command_handler]
async fn request_enrollment(
    command: RequestEnrollment,
    work: Work,
) -> Result<EnrollmentChanged, Failure<EnrollmentError>> {
    let mut enrollment = work.load::<Enrollment>(&command.enrollment_id).await?;
    let course = work.load::<Course>(&command.course_id).await?;
    let requested = requested(command, &enrollment, &course)?;
    // The price is the one at the request: should it change before the commit, decide anew.
    work.guard(&course)?;
    work.record(&mut enrollment, [requested])?;
    Ok(enrollment.changed())
}

type Decided = Result<Decision<EnrollmentEvent, EnrollmentChanged>, EnrollmentError>;

#[command_handler]
impl Decide<CancelEnrollment> for Enrollment {
    fn target(command: &CancelEnrollment) -> Uuid {
        command.enrollment_id
    }

    fn decide(&self, command: &CancelEnrollment, context: &Context<'_>) -> Decided {
        if !context.exists() {
            return Err(EnrollmentError::NotFound);
        }
        let left_course = match self.0.status {
            EnrollmentStatus::PaymentPending => None,
            EnrollmentStatus::Active => Some(self.0.course_id),
            _ => return Err(EnrollmentError::NotActive),
        };
        let CancelEnrollment { enrollment_id, reason } = command.clone();
        let cancelled = EnrollmentEvent::Cancelled { enrollment_id, reason, left_course };
        Ok(self.becoming(EnrollmentStatus::Cancelled, Decision::event(cancelled)))
    }
}

#[command_handler]
impl Decide<ActivateEnrollment> for Enrollment {
    fn target(command: &ActivateEnrollment) -> Uuid {
        command.enrollment_id
    }

    fn decide(&self, _: &ActivateEnrollment, context: &Context<'_>) -> Decided {
        self.settled(context, EnrollmentStatus::Active, |enrollment| {
            let EnrollmentView { enrollment_id, course_id, student_id, .. } = enrollment.clone();
            EnrollmentEvent::Activated { enrollment_id, course_id, student_id }
        })
    }
}

#[command_handler]
impl Decide<DeclineEnrollment> for Enrollment {
    fn target(command: &DeclineEnrollment) -> Uuid {
        command.enrollment_id
    }

    fn decide(&self, _: &DeclineEnrollment, context: &Context<'_>) -> Decided {
        self.settled(context, EnrollmentStatus::Declined, |enrollment| EnrollmentEvent::Declined {
            enrollment_id: enrollment.enrollment_id,
        })
    }
}

#[command_handler]
impl Decide<TimeOutEnrollment> for Enrollment {
    fn target(command: &TimeOutEnrollment) -> Uuid {
        command.enrollment_id
    }

    fn decide(&self, _: &TimeOutEnrollment, context: &Context<'_>) -> Decided {
        self.settled(context, EnrollmentStatus::TimedOut, |enrollment| EnrollmentEvent::TimedOut {
            enrollment_id: enrollment.enrollment_id,
        })
    }
}

#[command_handler]
impl Decide<CancelFullEnrollment> for Enrollment {
    fn target(command: &CancelFullEnrollment) -> Uuid {
        command.enrollment_id
    }

    fn decide(&self, _: &CancelFullEnrollment, context: &Context<'_>) -> Decided {
        self.settled(context, EnrollmentStatus::Cancelled, |enrollment| {
            EnrollmentEvent::Cancelled {
                enrollment_id: enrollment.enrollment_id,
                reason: COURSE_FULL.to_owned(),
                left_course: None,
            }
        })
    }
}

impl Enrollment {
    /// What follows from what became of the payment or the seat: of one that is pending, the event;
    /// of one that is so already, nothing and the same answer.
    fn settled(
        &self,
        context: &Context<'_>,
        status: EnrollmentStatus,
        event: impl FnOnce(&EnrollmentView) -> EnrollmentEvent,
    ) -> Decided {
        let decision = match self.0.status {
            _ if !context.exists() => return Err(EnrollmentError::NotFound),
            EnrollmentStatus::PaymentPending => Decision::event(event(&self.0)),
            now if now == status => Decision::nothing(),
            _ => return Err(EnrollmentError::NotActive),
        };
        Ok(self.becoming(status, decision))
    }

    fn becoming(
        &self,
        status: EnrollmentStatus,
        decision: Decision<EnrollmentEvent>,
    ) -> Decision<EnrollmentEvent, EnrollmentChanged> {
        decision.returning(EnrollmentChanged { status, ..self.changed() })
    }
}
