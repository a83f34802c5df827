//! The rules for courses.

use cqrs_core::{Context, Decide, Decision};
use cqrs_derive::{Aggregate, Event};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::CourseError;
use super::requests::{ChangePrice, CourseChanged, CreateCourse, PublishCourse};

/// What happens to a course.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
pub enum CourseEvent {
    /// It was offered.
    #[event(name = "learning.course_created")]
    Created {
        /// What it is called.
        title: String,
        /// Who teaches it.
        tutor_id: String,
        /// What it costs.
        price_cents: u64,
        /// How many can take part.
        capacity: u32,
    },
    /// It was opened for enrolments.
    #[event(name = "learning.course_published")]
    Published {},
    /// It costs something else from now on.
    #[event(name = "learning.price_changed")]
    PriceChanged {
        /// The new price.
        price_cents: u64,
    },
}

/// A course.
#[derive(Debug, Default, Aggregate)]
#[aggregate(category = "course", id = Uuid, event = CourseEvent)]
pub struct Course {
    pub(super) title: String,
    pub(super) tutor_id: String,
    pub(super) price_cents: u64,
    pub(super) capacity: u32,
    pub(super) published: bool,
}

impl Course {
    fn on(&mut self, event: &CourseEvent) {
        match event {
            CourseEvent::Created { title, tutor_id, price_cents, capacity } => {
                self.title.clone_from(title);
                self.tutor_id.clone_from(tutor_id);
                self.price_cents = *price_cents;
                self.capacity = *capacity;
            }
            CourseEvent::Published {} => self.published = true,
            CourseEvent::PriceChanged { price_cents } => self.price_cents = *price_cents,
        }
    }
}

impl Decide<CreateCourse> for Course {
    fn target(command: &CreateCourse) -> Uuid {
        command.course_id
    }

    fn decide(&self, command: &CreateCourse, context: &Context<'_>) -> Decided {
        if context.exists() {
            return Err(CourseError::Exists);
        }
        let CreateCourse { course_id, title, tutor_id, price_cents, capacity } = command.clone();
        let created = CourseEvent::Created { title, tutor_id, price_cents, capacity };
        Ok(changed(course_id, context, Decision::event(created)))
    }
}

impl Decide<PublishCourse> for Course {
    fn target(command: &PublishCourse) -> Uuid {
        command.course_id
    }

    fn decide(&self, command: &PublishCourse, context: &Context<'_>) -> Decided {
        if !context.exists() {
            return Err(CourseError::NotFound);
        }
        if self.published {
            return Err(CourseError::AlreadyPublished);
        }
        Ok(changed(command.course_id, context, Decision::event(CourseEvent::Published {})))
    }
}

impl Decide<ChangePrice> for Course {
    fn target(command: &ChangePrice) -> Uuid {
        command.course_id
    }

    fn decide(&self, command: &ChangePrice, context: &Context<'_>) -> Decided {
        if !context.exists() {
            return Err(CourseError::NotFound);
        }
        let ChangePrice { course_id, price_cents } = *command;
        let decision = if price_cents == self.price_cents {
            Decision::nothing()
        } else {
            Decision::event(CourseEvent::PriceChanged { price_cents })
        };
        Ok(changed(course_id, context, decision))
    }
}

type Decided = Result<Decision<CourseEvent, CourseChanged>, CourseError>;

fn changed(
    course_id: Uuid,
    context: &Context<'_>,
    decision: Decision<CourseEvent>,
) -> Decision<CourseEvent, CourseChanged> {
    let version = context.version() + decision.events.len() as u64;
    decision.returning(CourseChanged { course_id, version })
}
