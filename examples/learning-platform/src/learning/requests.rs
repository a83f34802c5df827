//! What can be asked of the platform's learning side: commands, queries and their answers.

use cqrs_core::{Error, Result};
use cqrs_derive::{Command, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{CourseError, EnrollmentError};
use super::views::{CourseStatus, CourseView, EnrollmentCounts, EnrollmentStatus, EnrollmentView};

/// Offers a course; nobody sees it before it is published.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.create_course", output = CourseChanged, error = CourseError, schema)]
#[command(validate = CreateCourse::check_tutor)]
pub struct CreateCourse {
    /// Chosen by the caller.
    pub course_id: Uuid,
    /// What it is called.
    #[check(chars = 1..=200)]
    pub title: String,
    /// Who teaches it.
    #[check(chars = 1..=200)]
    pub tutor_id: String,
    /// What it costs.
    #[check(range = 0..=10_000_000)]
    pub price_cents: u64,
    /// How many can take part.
    #[check(range = 1..=100_000)]
    pub capacity: u32,
}

/// Opens a course for enrolments.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.publish_course", output = CourseChanged, error = CourseError, schema)]
pub struct PublishCourse {
    /// Which course.
    pub course_id: Uuid,
}

/// Changes what a course costs from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.change_price", output = CourseChanged, error = CourseError, schema)]
pub struct ChangePrice {
    /// Which course.
    pub course_id: Uuid,
    /// The new price.
    #[check(range = 0..=10_000_000)]
    pub price_cents: u64,
}

/// What came of a command on a course.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CourseChanged {
    /// Which course.
    pub course_id: Uuid,
    /// How many events it has now.
    pub version: u64,
}

/// Asks for a place in a published course, at the price it has now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.request_enrollment", output = EnrollmentChanged, error = EnrollmentError, schema)]
#[command(validate = RequestEnrollment::check_student)]
pub struct RequestEnrollment {
    /// Chosen by the caller.
    pub enrollment_id: Uuid,
    /// In which course.
    pub course_id: Uuid,
    /// Who wants to take part.
    #[check(chars = 1..=200)]
    pub student_id: String,
}

/// Gives up an enrolment. One that is active gets its money back, and its seat is free again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.cancel_enrollment", output = EnrollmentChanged, error = EnrollmentError, schema)]
pub struct CancelEnrollment {
    /// Which enrolment.
    pub enrollment_id: Uuid,
    /// Why, in the words of whoever gives it up.
    #[check(chars = 1..=500)]
    pub reason: String,
}

/// What came of a command on an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnrollmentChanged {
    /// Which enrolment.
    pub enrollment_id: Uuid,
    /// How it stands.
    pub status: EnrollmentStatus,
    /// The price at the time of the request.
    pub price_cents: u64,
}

/// Asks for a course.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Query)]
#[query(name = "learning.get_course", output = CourseView, error = CourseError, schema)]
pub struct GetCourse {
    /// Which course.
    pub course_id: Uuid,
}

/// Asks for a page of courses, in the order of their ids.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Query)]
#[query(name = "learning.list_courses", output = CoursePage, schema)]
pub struct ListCourses {
    /// Only those with this status.
    pub status: Option<CourseStatus>,
    /// Only those of this tutor.
    #[check(chars = 1..=200)]
    pub tutor_id: Option<String>,
    /// Which page, from 1.
    #[check(range = 1..)]
    pub page: u32,
    /// Courses of a page.
    #[check(range = 1..=100)]
    pub limit: u32,
}

/// A page of courses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoursePage {
    /// The courses of the page.
    pub items: Vec<CourseView>,
    /// How many there are on all pages.
    pub total: u64,
}

/// Asks for an enrolment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Query)]
#[query(name = "learning.get_enrollment", output = EnrollmentView, error = EnrollmentError, schema)]
pub struct GetEnrollment {
    /// Which enrolment.
    pub enrollment_id: Uuid,
}

/// Asks how many courses and enrolments there are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Query)]
#[query(name = "learning.stats", output = Stats, schema)]
pub struct GetStats {}

/// How many courses and enrolments there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// All courses.
    pub courses: u64,
    /// Those that are published.
    pub published: u64,
    /// Enrolments by their status.
    pub enrollments: EnrollmentCounts,
}

impl CreateCourse {
    fn check_tutor(&self) -> Result<()> {
        printable("tutor_id", &self.tutor_id)
    }
}

impl RequestEnrollment {
    fn check_student(&self) -> Result<()> {
        printable("student_id", &self.student_id)
    }
}

/// An id that holds control characters looks like another one, on a screen and in a log.
fn printable(field: &str, id: &str) -> Result<()> {
    if id.chars().any(char::is_control) {
        return Err(Error::invalid_field(field, format!("`{field}` holds a control character")));
    }
    Ok(())
}
