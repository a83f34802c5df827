//! What queries read: a document for each course and each enrolment, written with its events.

use cqrs_core::{Entity, Error, Loaded, Work};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{course, enrollment};

/// A course, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Which course.
    pub course_id: Uuid,
    /// What it is called.
    pub title: String,
    /// Who teaches it.
    pub tutor_id: String,
    /// What it costs.
    pub price_cents: u64,
    /// How many can take part.
    pub capacity: u32,
    /// Whether it is open for enrolments.
    pub status: CourseStatus,
    /// How many take part.
    pub enrolled: u32,
    /// How many events it has.
    pub version: u64,
}

/// Whether a course is open for enrolments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CourseStatus {
    /// Not yet.
    Draft,
    /// It is.
    Published,
}

/// An enrolment, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrollment {
    /// Which enrolment.
    pub enrollment_id: Uuid,
    /// In which course.
    pub course_id: Uuid,
    /// Who takes part, or wants to.
    pub student_id: String,
    /// The price at the time of the request.
    pub price_cents: u64,
    /// How it stands.
    pub status: EnrollmentStatus,
    /// Why it ended, where it did.
    pub reason: Option<String>,
}

/// How an enrolment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrollmentStatus {
    /// It was requested, and is not paid for.
    PaymentPending,
    /// The student takes part.
    Active,
    /// The payment was declined.
    Declined,
    /// The payment took too long.
    TimedOut,
    /// It was given up.
    Cancelled,
}

/// How many enrolments stand how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollmentCounts {
    /// Those that are not paid for.
    pub payment_pending: u64,
    /// Those that take part.
    pub active: u64,
    /// Those whose payment was declined.
    pub declined: u64,
    /// Those whose payment took too long.
    pub timed_out: u64,
    /// Those that were given up.
    pub cancelled: u64,
}

impl CourseStatus {
    /// Its name in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
        }
    }
}

impl EnrollmentStatus {
    /// Its name in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PaymentPending => "payment_pending",
            Self::Active => "active",
            Self::Declined => "declined",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The document of a course.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredCourse {
    /// What is shown of it.
    #[serde(flatten)]
    pub course: Course,
    /// Tutor and status in one field, to find by both.
    tutor_and_status: String,
}

impl StoredCourse {
    /// The field to find the courses of a tutor with a status by, and its value.
    pub(super) fn by_both(tutor_id: &str, status: CourseStatus) -> (&'static str, String) {
        ("tutor_and_status", format!("{} {tutor_id}", status.name()))
    }

    /// Writes what a course looks like now. `added`: it was not there before.
    pub(super) async fn write(
        work: &Work,
        course_id: Uuid,
        course: &Loaded<course::Course>,
        added: bool,
    ) -> Result<(), Error> {
        let status = if course.published { CourseStatus::Published } else { CourseStatus::Draft };
        let shown = Course {
            course_id,
            title: course.title.clone(),
            tutor_id: course.tutor_id.clone(),
            price_cents: course.price_cents,
            capacity: course.capacity,
            status,
            enrolled: 0,
            version: course.version(),
        };
        let (_, tutor_and_status) = Self::by_both(&course.tutor_id, status);
        let document = Self { course: shown, tutor_and_status };
        let before = if added { None } else { work.get::<Self>(&document.id()).await? };
        match before {
            None => work.insert(&document),
            Some(mut before) => {
                let enrolled = before.course.enrolled;
                *before = document;
                before.course.enrolled = enrolled;
                work.save(&before)
            }
        }
    }
}

impl Entity for StoredCourse {
    const COLLECTION: &'static str = "course";
    const INDEXED: &'static [&'static str] = &["status", "tutor_id", "tutor_and_status"];

    fn id(&self) -> String {
        self.course.course_id.to_string()
    }
}

/// The document of an enrolment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredEnrollment {
    /// What is shown of it: all there is.
    pub enrollment: Enrollment,
}

impl StoredEnrollment {
    /// Writes what an enrolment looks like now.
    pub(super) async fn write(
        work: &Work,
        enrollment_id: Uuid,
        enrollment: &Loaded<enrollment::Enrollment>,
    ) -> Result<(), Error> {
        let Some(status) = enrollment.status else { return Ok(()) };
        let enrollment = Enrollment {
            enrollment_id,
            course_id: enrollment.course_id,
            student_id: enrollment.student_id.clone(),
            price_cents: enrollment.price_cents,
            status,
            reason: enrollment.reason.clone(),
        };
        let document = Self { enrollment };
        match work.get::<Self>(&document.id()).await? {
            None => work.insert(&document),
            Some(mut before) => {
                *before = document;
                work.save(&before)
            }
        }
    }
}

impl Entity for StoredEnrollment {
    const COLLECTION: &'static str = "enrollment";
    const INDEXED: &'static [&'static str] = &["status"];

    fn id(&self) -> String {
        self.enrollment.enrollment_id.to_string()
    }
}
