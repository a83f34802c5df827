//! Seats: who has one in a course. The course counts them; each is a document of its own, so that a
//! seat more costs the same however many are taken.

use cqrs_core::{Entity, Failure, Work};
use cqrs_derive::command_handler;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::course::Course;
use super::error::CourseError;
use super::steps::{ReleaseSeat, ReserveSeat, SeatChanged};

/// A seat that is taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seat {
    course_id: Uuid,
    enrollment_id: Uuid,
}

impl Entity for Seat {
    const COLLECTION: &'static str = "seat";

    fn id(&self) -> String {
        format!("{}/{}", self.course_id, self.enrollment_id)
    }
}

impl Seat {
    fn answer(self, is_taken: bool) -> SeatChanged {
        let Self { course_id, enrollment_id } = self;
        SeatChanged { course_id, enrollment_id, is_taken }
    }
}

#[command_handler]
async fn reserve_seat(
    command: ReserveSeat,
    work: Work,
) -> Result<SeatChanged, Failure<CourseError>> {
    let ReserveSeat { course_id, enrollment_id } = command;
    let seat = Seat { course_id, enrollment_id };
    let mut course = work.load::<Course>(&course_id).await?;
    if !course.exists() {
        return Err(CourseError::NotFound.into());
    }
    if work.get::<Seat>(&seat.id()).await?.is_none() {
        let reserved = course.reserve(enrollment_id)?;
        work.record(&mut course, [reserved])?;
        work.insert(&seat)?;
    }
    Ok(seat.answer(true))
}

#[command_handler]
async fn release_seat(
    command: ReleaseSeat,
    work: Work,
) -> Result<SeatChanged, Failure<CourseError>> {
    let ReleaseSeat { course_id, enrollment_id } = command;
    let seat = Seat { course_id, enrollment_id };
    let mut course = work.load::<Course>(&course_id).await?;
    if !course.exists() {
        return Err(CourseError::NotFound.into());
    }
    if let Some(taken) = work.get::<Seat>(&seat.id()).await? {
        let released = course.release(enrollment_id);
        work.record(&mut course, [released])?;
        work.delete(&taken)?;
    }
    Ok(seat.answer(false))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use cqrs_core::memory::MemoryStore;
    use cqrs_core::{App, MessageId};

    use super::*;
    use crate::learning;
    use crate::learning::requests::{CreateCourse, GetCourse, PublishCourse};
    use crate::learning::tutors::by_subject::BySubject;

    const TIMEOUT: Duration = Duration::from_secs(10);

    async fn app() -> App {
        let store = Arc::new(MemoryStore::default());
        learning::declare(store.clone()).await.unwrap();
        let tutors = BySubject::Anywhere(store.clone());
        learning::register(App::builder().shared_store(store), TIMEOUT, tutors).build().unwrap()
    }

    async fn course(app: &App, capacity: u32) -> Uuid {
        let course_id = MessageId::fresh().uuid();
        let (title, tutor_id) = ("Owls".to_owned(), "ada".to_owned());
        let create = CreateCourse { course_id, title, tutor_id, price_cents: 1, capacity };
        app.send(create).await.unwrap();
        app.send(PublishCourse { course_id }).await.unwrap();
        course_id
    }

    async fn enrolled(app: &App, course_id: Uuid) -> (u32, u64) {
        let course = app.ask(GetCourse { course_id }).await.unwrap();
        (course.enrolled, course.version)
    }

    #[tokio::test]
    async fn a_seat_is_taken_once_and_freed_once() {
        let app = app().await;
        let (course_id, enrollment_id) = (course(&app, 2).await, MessageId::fresh().uuid());
        for _ in 0..2 {
            let taken = app.send(ReserveSeat { course_id, enrollment_id }).await.unwrap();
            assert_eq!(taken, SeatChanged { course_id, enrollment_id, is_taken: true });
            assert_eq!(enrolled(&app, course_id).await, (1, 3));
        }
        for _ in 0..2 {
            let freed = app.send(ReleaseSeat { course_id, enrollment_id }).await.unwrap();
            assert_eq!(freed, SeatChanged { course_id, enrollment_id, is_taken: false });
            assert_eq!(enrolled(&app, course_id).await, (0, 4));
        }
    }

    #[tokio::test]
    async fn a_full_course_has_a_seat_again_when_one_is_freed() {
        let app = app().await;
        let course_id = course(&app, 1).await;
        let (first, second) = (MessageId::fresh().uuid(), MessageId::fresh().uuid());
        app.send(ReserveSeat { course_id, enrollment_id: first }).await.unwrap();
        let full = app.send(ReserveSeat { course_id, enrollment_id: second }).await;
        assert!(matches!(full, Err(Failure::Rejected(CourseError::Full))));
        // Whoever has a seat is not told that there is none.
        app.send(ReserveSeat { course_id, enrollment_id: first }).await.unwrap();
        app.send(ReleaseSeat { course_id, enrollment_id: second }).await.unwrap();
        assert_eq!(enrolled(&app, course_id).await.0, 1);
        app.send(ReleaseSeat { course_id, enrollment_id: first }).await.unwrap();
        app.send(ReserveSeat { course_id, enrollment_id: second }).await.unwrap();
        assert_eq!(enrolled(&app, course_id).await.0, 1);
    }

    #[tokio::test]
    async fn of_many_at_once_no_more_get_a_seat_than_there_are() {
        let app = app().await;
        let course_id = course(&app, 3).await;
        let students = (0..8)
            .map(|_| app.send(ReserveSeat { course_id, enrollment_id: MessageId::fresh().uuid() }));
        let answers = futures_util::future::join_all(students).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
        assert_eq!(enrolled(&app, course_id).await.0, 3);
    }

    #[tokio::test]
    async fn there_is_no_seat_where_there_is_no_course() {
        let app = app().await;
        let (course_id, enrollment_id) = (MessageId::fresh().uuid(), MessageId::fresh().uuid());
        let reserved = app.send(ReserveSeat { course_id, enrollment_id }).await;
        assert!(matches!(reserved, Err(Failure::Rejected(CourseError::NotFound))));
    }
}
