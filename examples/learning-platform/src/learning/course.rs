//! Courses: their state, which is the document that queries read, and their rules.

use cqrs_core::{Context, Decide, Decision, Entity};
use cqrs_derive::{Aggregate, Event, command_handler};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::CourseError;
use super::requests::{ChangePrice, CourseChanged, CreateCourse, PublishCourse};
use super::views::{CourseStatus, CourseView};

/// What happens to a course.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[event(schema)]
pub enum CourseEvent {
    /// It was offered.
    #[event(name = "learning.course_created")]
    Created {
        /// Which course.
        course_id: Uuid,
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
    Published {
        /// Which course.
        course_id: Uuid,
    },
    /// It costs something else from now on.
    #[event(name = "learning.price_changed")]
    PriceChanged {
        /// Which course.
        course_id: Uuid,
        /// The new price.
        price_cents: u64,
    },
    /// Somebody got a seat.
    #[event(name = "learning.seat_reserved")]
    SeatReserved {
        /// Which course.
        course_id: Uuid,
        /// Whose seat.
        enrollment_id: Uuid,
    },
    /// Somebody's seat is free again.
    #[event(name = "learning.seat_released")]
    SeatReleased {
        /// Which course.
        course_id: Uuid,
        /// Whose seat it was.
        enrollment_id: Uuid,
    },
}

/// A course.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Aggregate)]
#[aggregate(category = "course", id = Uuid, event = CourseEvent, document)]
pub struct Course {
    course_id: Uuid,
    title: String,
    tutor_id: String,
    pub(super) price_cents: u64,
    capacity: u32,
    pub(super) status: CourseStatus,
    enrolled: u32,
    version: u64,
    /// Both in one field, to find by both.
    tutor_and_status: String,
}

impl Course {
    fn on(&mut self, event: &CourseEvent) {
        match event {
            CourseEvent::Created { course_id, title, tutor_id, price_cents, capacity } => {
                self.course_id = *course_id;
                self.title.clone_from(title);
                self.tutor_id.clone_from(tutor_id);
                self.price_cents = *price_cents;
                self.capacity = *capacity;
            }
            CourseEvent::Published { .. } => self.status = CourseStatus::Published,
            CourseEvent::PriceChanged { price_cents, .. } => self.price_cents = *price_cents,
            CourseEvent::SeatReserved { .. } => self.enrolled += 1,
            CourseEvent::SeatReleased { .. } => self.enrolled = self.enrolled.saturating_sub(1),
        }
        self.version += 1;
        self.tutor_and_status = Self::by_both(&self.tutor_id, self.status).1;
    }
}

impl Entity for Course {
    const COLLECTION: &'static str = "course";
    const INDEXED: &'static [&'static str] = &["status", "tutor_id", "tutor_and_status"];

    fn id(&self) -> String {
        self.course_id.to_string()
    }
}

impl Course {
    /// The field to find the courses of a tutor with a status by, and its value.
    pub(super) fn by_both(tutor_id: &str, status: CourseStatus) -> (&'static str, String) {
        ("tutor_and_status", format!("{} {tutor_id}", status.name()))
    }

    /// What follows when somebody without a seat asks for one.
    pub(super) fn reserve(&self, enrollment_id: Uuid) -> Result<CourseEvent, CourseError> {
        if self.enrolled >= self.capacity {
            return Err(CourseError::Full);
        }
        Ok(CourseEvent::SeatReserved { course_id: self.course_id, enrollment_id })
    }

    /// What follows when somebody with a seat gives it back.
    pub(super) fn release(&self, enrollment_id: Uuid) -> CourseEvent {
        CourseEvent::SeatReleased { course_id: self.course_id, enrollment_id }
    }

    /// What is shown of it.
    pub(super) fn shown(self) -> CourseView {
        let Self { course_id, title, tutor_id, price_cents, capacity, status, enrolled, .. } = self;
        let version = self.version;
        CourseView { course_id, title, tutor_id, price_cents, capacity, status, enrolled, version }
    }
}

type Decided = Result<Decision<CourseEvent, CourseChanged>, CourseError>;

#[command_handler]
impl Decide<CreateCourse> for Course {
    fn target(command: &CreateCourse) -> Uuid {
        command.course_id
    }

    fn decide(&self, command: &CreateCourse, context: &Context<'_>) -> Decided {
        if context.exists() {
            return Err(CourseError::Exists);
        }
        let CreateCourse { course_id, title, tutor_id, price_cents, capacity } = command.clone();
        let created = CourseEvent::Created { course_id, title, tutor_id, price_cents, capacity };
        Ok(changed(course_id, context, Decision::event(created)))
    }
}

#[command_handler]
impl Decide<PublishCourse> for Course {
    fn target(command: &PublishCourse) -> Uuid {
        command.course_id
    }

    fn decide(&self, command: &PublishCourse, context: &Context<'_>) -> Decided {
        let PublishCourse { course_id } = *command;
        match self.status {
            _ if !context.exists() => Err(CourseError::NotFound),
            CourseStatus::Published => Err(CourseError::AlreadyPublished),
            CourseStatus::Draft => {
                let published = CourseEvent::Published { course_id };
                Ok(changed(course_id, context, Decision::event(published)))
            }
        }
    }
}

#[command_handler]
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
            Decision::event(CourseEvent::PriceChanged { course_id, price_cents })
        };
        Ok(changed(course_id, context, decision))
    }
}

fn changed(
    course_id: Uuid,
    context: &Context<'_>,
    decision: Decision<CourseEvent>,
) -> Decision<CourseEvent, CourseChanged> {
    let version = context.version() + decision.events.len() as u64;
    decision.returning(CourseChanged { course_id, version })
}
