//! What queries answer: courses, enrolments and figures, as they are shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A course, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CourseView {
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CourseStatus {
    /// Not yet.
    #[default]
    Draft,
    /// It is.
    Published,
}

/// An enrolment, as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnrollmentView {
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnrollmentStatus {
    /// It was requested, and is not paid for.
    #[default]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
