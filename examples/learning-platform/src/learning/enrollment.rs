//! Enrolments: their state, which is the document that queries read, and their rules.

use cqrs_core::{Context, Decide, Decision, Entity, Failure, Loaded, Work};
use cqrs_derive::{Aggregate, Event, command_handler};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::course::Course;
use super::error::{CourseError, EnrollmentError};
use super::requests::{CancelEnrollment, EnrollmentChanged, RequestEnrollment};
use super::views::{CourseStatus, EnrollmentStatus, EnrollmentView};

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
    /// It was given up.
    #[event(name = "learning.enrollment_cancelled")]
    Cancelled {
        /// Which enrolment.
        enrollment_id: Uuid,
        /// Why.
        reason: String,
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

#[command_handler]
impl Decide<CancelEnrollment> for Enrollment {
    fn target(command: &CancelEnrollment) -> Uuid {
        command.enrollment_id
    }

    fn decide(
        &self,
        command: &CancelEnrollment,
        context: &Context<'_>,
    ) -> Result<Decision<EnrollmentEvent, EnrollmentChanged>, EnrollmentError> {
        if !context.exists() {
            return Err(EnrollmentError::NotFound);
        }
        if self.0.status != EnrollmentStatus::PaymentPending {
            return Err(EnrollmentError::NotActive);
        }
        let CancelEnrollment { enrollment_id, reason } = command.clone();
        let changed = EnrollmentChanged { status: EnrollmentStatus::Cancelled, ..self.changed() };
        let cancelled = EnrollmentEvent::Cancelled { enrollment_id, reason };
        Ok(Decision::event(cancelled).returning(changed))
    }
}
