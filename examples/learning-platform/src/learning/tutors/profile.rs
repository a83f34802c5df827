//! Profiles of tutors: their state, which is a row of a table, and their one rule.

use cqrs_core::{Context, Decide, Decision};
use cqrs_derive::{Aggregate, Event, Schema, command_handler};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::TutorError;
use super::requests::{SaveTutor, TutorSaved, TutorView};

/// What happens to a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[event(schema)]
pub enum TutorEvent {
    /// It was saved.
    #[event(name = "learning.tutor_saved")]
    Saved {
        /// Whose.
        tutor_id: String,
        /// What the tutor is called.
        name: String,
        /// What the tutor says.
        bio: String,
        /// What the tutor teaches.
        subjects: Vec<String>,
    },
}

/// A tutor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Aggregate, Schema)]
#[aggregate(category = "tutor", id = String, event = TutorEvent, document)]
#[schema(collection = "tutors")]
pub struct Tutor {
    #[schema(id)]
    tutor_id: String,
    #[schema(indexed)]
    name: String,
    bio: String,
    subjects: Vec<String>,
    version: u64,
}

impl Tutor {
    fn on(&mut self, event: &TutorEvent) {
        let TutorEvent::Saved { tutor_id, name, bio, subjects } = event.clone();
        *self = Self { tutor_id, name, bio, subjects, version: self.version + 1 };
    }

    /// What is shown of it.
    pub(super) fn shown(self) -> TutorView {
        let Self { tutor_id, name, bio, subjects, version } = self;
        TutorView { tutor_id, name, bio, subjects, version }
    }

    /// Whether the tutor teaches this.
    pub(super) fn teaches(&self, subject: &str) -> bool {
        self.subjects.iter().any(|taught| taught == subject)
    }
}

#[command_handler]
impl Decide<SaveTutor> for Tutor {
    fn target(command: &SaveTutor) -> String {
        command.tutor_id.clone()
    }

    fn decide(
        &self,
        command: &SaveTutor,
        context: &Context<'_>,
    ) -> Result<Decision<TutorEvent, TutorSaved>, TutorError> {
        let SaveTutor { tutor_id, name, bio, subjects } = command.clone();
        let same = self.name == name && self.bio == bio && self.subjects == subjects;
        let saved = TutorSaved { tutor_id: tutor_id.clone(), version: context.version() };
        if context.exists() && same {
            return Ok(Decision::nothing().returning(saved));
        }
        let event = TutorEvent::Saved { tutor_id, name, bio, subjects };
        Ok(Decision::event(event).returning(TutorSaved { version: saved.version + 1, ..saved }))
    }
}
