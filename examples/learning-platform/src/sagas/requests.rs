//! What can be asked of the platform's sagas.

use cqrs_derive::Query;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks for the instances of all sagas, in the order of their names and keys.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Query)]
#[query(name = "sagas.list", output = SagaList, schema)]
pub struct ListSagas {
    /// Only those in this status.
    pub status: Option<Status>,
}

/// The instances that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SagaList {
    /// One for each saga and key.
    pub items: Vec<SagaView>,
}

/// An instance, as it is shown. Times are as in RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SagaView {
    /// Which saga.
    pub saga: String,
    /// Which instance of it: of which enrolment.
    pub key: String,
    /// How it stands: `running`, `completed` and so on.
    pub status: String,
    /// When it began.
    pub started_at: String,
    /// When it last reacted to something.
    pub updated_at: String,
    /// By when it should have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// What last went wrong with one of its steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What it has asked for, the oldest first.
    pub steps: Vec<StepView>,
}

/// A step of an instance, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// Its name.
    pub name: String,
    /// How it stands: `sent`, `done`, `rejected`, `failed` and so on.
    pub state: String,
}

/// How an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It goes on.
    Running,
    /// What it did is being taken back.
    Compensating,
    /// It has ended, and well.
    Completed,
    /// It has ended, and not well.
    Failed,
    /// It has ended because somebody wanted it to.
    Cancelled,
}

impl Status {
    /// Its name, as the list has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}
