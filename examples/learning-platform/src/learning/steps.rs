//! What enrolling asks of courses and enrolments on its way: internal commands.
//!
//! Each may be sent again, and is answered as it was first.

use cqrs_derive::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{CourseError, EnrollmentError};
use super::requests::EnrollmentChanged;

/// Lets the student take part: it is paid, and there is a seat.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.activate_enrollment", output = EnrollmentChanged, error = EnrollmentError)]
#[command(internal, schema)]
pub struct ActivateEnrollment {
    /// Which enrolment.
    pub enrollment_id: Uuid,
}

/// Ends an enrolment whose payment was declined.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.decline_enrollment", output = EnrollmentChanged, error = EnrollmentError)]
#[command(internal, schema)]
pub struct DeclineEnrollment {
    /// Which enrolment.
    pub enrollment_id: Uuid,
}

/// Ends an enrolment whose payment took too long.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.time_out_enrollment", output = EnrollmentChanged, error = EnrollmentError)]
#[command(internal, schema)]
pub struct TimeOutEnrollment {
    /// Which enrolment.
    pub enrollment_id: Uuid,
}

/// Ends an enrolment that was paid for when no seat was left.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.cancel_full_enrollment", output = EnrollmentChanged, error = EnrollmentError)]
#[command(internal, schema)]
pub struct CancelFullEnrollment {
    /// Which enrolment.
    pub enrollment_id: Uuid,
}

/// Takes a seat in a course for an enrolment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.reserve_seat", output = SeatChanged, error = CourseError)]
#[command(internal, schema)]
pub struct ReserveSeat {
    /// In which course.
    pub course_id: Uuid,
    /// For which enrolment.
    pub enrollment_id: Uuid,
}

/// Frees the seat of an enrolment. Where it has none, nothing is changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.release_seat", output = SeatChanged, error = CourseError)]
#[command(internal, schema)]
pub struct ReleaseSeat {
    /// In which course.
    pub course_id: Uuid,
    /// Of which enrolment.
    pub enrollment_id: Uuid,
}

/// What came of a command on a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeatChanged {
    /// In which course.
    pub course_id: Uuid,
    /// Of which enrolment.
    pub enrollment_id: Uuid,
    /// Whether it has the seat now.
    pub is_taken: bool,
}
