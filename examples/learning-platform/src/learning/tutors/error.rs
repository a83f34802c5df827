//! How no is said about tutors.

use cqrs_derive::Rejection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a request about a tutor is refused.
#[derive(
    Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema, Rejection,
)]
pub enum TutorError {
    /// Nobody saved a profile.
    #[error("there is no such tutor")]
    #[rejection(code = "learning.tutor_not_found", field = "tutor_id")]
    NotFound,
}
