//! What can be asked about tutors: commands, queries and their answers.

use cqrs_core::{Error, Result};
use cqrs_derive::{Command, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::TutorError;

/// Saves a profile: the first one of a tutor, or another one in its place.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "learning.save_tutor", output = TutorSaved, error = TutorError, schema)]
#[command(validate = SaveTutor::check_texts)]
pub struct SaveTutor {
    /// Chosen by the caller.
    #[check(chars = 1..=200)]
    pub tutor_id: String,
    /// What the tutor is called.
    #[check(chars = 1..=200)]
    pub name: String,
    /// What the tutor says.
    #[check(chars = 0..=10_000)]
    pub bio: String,
    /// What the tutor teaches.
    #[check(items = ..=50)]
    pub subjects: Vec<String>,
}

/// What came of a command on a tutor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TutorSaved {
    /// Which tutor.
    pub tutor_id: String,
    /// How many events the tutor has now.
    pub version: u64,
}

/// Asks for a profile.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Query)]
#[query(name = "learning.get_tutor", output = TutorView, error = TutorError, schema)]
pub struct GetTutor {
    /// Whose.
    pub tutor_id: String,
}

/// Asks who teaches something: the first hundred, by their ids.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Query)]
#[query(name = "learning.find_tutors", output = TutorList, schema)]
pub struct FindTutors {
    /// What they teach.
    #[check(chars = 1..=200)]
    pub subject: String,
    /// Only those after this id: the last one of the page before.
    pub after: Option<String>,
}

/// Tutors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TutorList {
    /// Their profiles.
    pub items: Vec<TutorView>,
}

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TutorView {
    /// Whose.
    pub tutor_id: String,
    /// What the tutor is called.
    pub name: String,
    /// What the tutor says.
    pub bio: String,
    /// What the tutor teaches.
    pub subjects: Vec<String>,
    /// How many events the tutor has.
    pub version: u64,
}

impl SaveTutor {
    fn check_texts(&self) -> Result<()> {
        let hidden = |text: &str| text.chars().any(char::is_control);
        if hidden(&self.tutor_id) {
            return Err(Error::invalid_field("tutor_id", "`tutor_id` holds a control character"));
        }
        // No table takes it.
        if self.name.contains('\0') {
            return Err(Error::invalid_field("name", "`name` holds NUL"));
        }
        if self.bio.contains('\0') {
            return Err(Error::invalid_field("bio", "`bio` holds NUL"));
        }
        let wrong =
            |subject: &String| !(1..=200).contains(&subject.chars().count()) || hidden(subject);
        match self.subjects.iter().position(wrong) {
            Some(n) => {
                let field = format!("subjects.{n}");
                let context =
                    format!("`{field}` has no character, more than 200, or a control character");
                Err(Error::invalid_field(field, context))
            }
            None => Ok(()),
        }
    }
}
