//! The rules for enrolments.

use cqrs_core::{Context, Decide, Decision, Loaded};
use cqrs_derive::{Aggregate, Event};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::course::Course;
use super::error::{CourseError, EnrollmentError};
use super::requests::{CancelEnrollment, EnrollmentChanged, RequestEnrollment};
use super::views::EnrollmentStatus;

/// What happens to an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
pub enum EnrollmentEvent {
    /// A student asked for a place.
    #[event(name = "learning.enrollment_requested", tag = "course:{course_id}")]
    Requested {
        /// In which course.
        course_id: Uuid,
        /// Who.
        student_id: String,
        /// The price at that time.
        price_cents: u64,
    },
    /// It was given up.
    #[event(name = "learning.enrollment_cancelled")]
    Cancelled {
        /// Why.
        reason: String,
    },
}

/// An enrolment.
#[derive(Debug, Default, Aggregate)]
#[aggregate(category = "enrollment", id = Uuid, event = EnrollmentEvent)]
pub struct Enrollment {
    pub(super) course_id: Uuid,
    pub(super) student_id: String,
    pub(super) price_cents: u64,
    /// `None`: nobody requested it.
    pub(super) status: Option<EnrollmentStatus>,
    pub(super) reason: Option<String>,
}

impl Enrollment {
    fn on(&mut self, event: &EnrollmentEvent) {
        match event {
            EnrollmentEvent::Requested { course_id, student_id, price_cents } => {
                self.course_id = *course_id;
                self.student_id.clone_from(student_id);
                self.price_cents = *price_cents;
                self.status = Some(EnrollmentStatus::PaymentPending);
            }
            EnrollmentEvent::Cancelled { reason } => {
                self.reason = Some(reason.clone());
                self.status = Some(EnrollmentStatus::Cancelled);
            }
        }
    }

    /// What a request for a place comes to. How many places are left plays no part: that is known
    /// when somebody has paid.
    ///
    /// # Errors
    /// When it was requested before, or the course takes nobody.
    pub fn request(
        &self,
        command: &RequestEnrollment,
        course: &Loaded<Course>,
    ) -> Result<EnrollmentEvent, EnrollmentError> {
        if self.status.is_some() {
            return Err(EnrollmentError::Exists);
        }
        if course.version() == 0 {
            return Err(CourseError::NotFound.into());
        }
        if !course.published {
            return Err(CourseError::NotPublished.into());
        }
        Ok(EnrollmentEvent::Requested {
            course_id: command.course_id,
            student_id: command.student_id.clone(),
            price_cents: course.price_cents,
        })
    }
}

impl Decide<CancelEnrollment> for Enrollment {
    fn target(command: &CancelEnrollment) -> Uuid {
        command.enrollment_id
    }

    fn decide(
        &self,
        command: &CancelEnrollment,
        _: &Context<'_>,
    ) -> Result<Decision<EnrollmentEvent, EnrollmentChanged>, EnrollmentError> {
        match self.status {
            None => Err(EnrollmentError::NotFound),
            Some(EnrollmentStatus::PaymentPending) => {
                let cancelled = EnrollmentEvent::Cancelled { reason: command.reason.clone() };
                Ok(Decision::event(cancelled).returning(EnrollmentChanged {
                    enrollment_id: command.enrollment_id,
                    status: EnrollmentStatus::Cancelled,
                    price_cents: self.price_cents,
                }))
            }
            Some(_) => Err(EnrollmentError::NotActive),
        }
    }
}
