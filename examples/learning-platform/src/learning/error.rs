//! How the learning side says no.

use cqrs_derive::Rejection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a request about a course is refused.
#[derive(
    Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema, Rejection,
)]
pub enum CourseError {
    /// Nobody created it.
    #[error("there is no such course")]
    #[rejection(code = "learning.course_not_found", field = "course_id")]
    NotFound,
    /// Somebody created it before.
    #[error("a course with this id exists")]
    #[rejection(code = "learning.course_exists", field = "course_id")]
    Exists,
    /// It is published once and for all.
    #[error("the course is published already")]
    #[rejection(code = "learning.course_already_published", field = "course_id")]
    AlreadyPublished,
    /// Nobody can take part in a draft.
    #[error("the course is not published")]
    #[rejection(code = "learning.course_not_published", field = "course_id")]
    NotPublished,
    /// All seats are taken.
    #[error("the course has no seat left")]
    #[rejection(code = "learning.course_full", field = "course_id")]
    Full,
}

/// Why a request about an enrolment is refused.
#[derive(
    Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema, Rejection,
)]
pub enum EnrollmentError {
    /// Nobody requested it.
    #[error("there is no such enrolment")]
    #[rejection(code = "learning.enrollment_not_found", field = "enrollment_id")]
    NotFound,
    /// Somebody requested it before.
    #[error("an enrolment with this id exists")]
    #[rejection(code = "learning.enrollment_exists", field = "enrollment_id")]
    Exists,
    /// It has ended, one way or the other.
    #[error("the enrolment is not open any more")]
    #[rejection(code = "learning.enrollment_not_active", field = "enrollment_id")]
    NotActive,
    /// The course is to blame.
    #[error(transparent)]
    #[rejection(transparent)]
    Course(#[from] CourseError),
}
