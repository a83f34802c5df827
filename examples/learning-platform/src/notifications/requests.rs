//! What can be asked of the platform's notifications.

use cqrs_derive::Query;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Asks for all notifications, or for those of a student, in the order of their ids.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Query)]
#[query(name = "notifications.list", output = Notifications, schema)]
pub struct ListNotifications {
    /// Only those of this student.
    #[check(chars = 1..=200)]
    pub student_id: Option<String>,
}

/// All notifications that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notifications {
    /// One for each enrolment that became active.
    pub items: Vec<NotificationView>,
}

/// A notification, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationView {
    /// Which one.
    pub id: Uuid,
    /// What it is about.
    pub kind: NotificationKind,
    /// Which enrolment.
    pub enrollment_id: Uuid,
    /// Who is told.
    pub student_id: String,
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// The student takes part from now on.
    EnrollmentActivated,
}
