//! The handlers of commands: load, decide, and write events and documents in one commit.

use cqrs_core::{Command, Decide, Failure, Work};
use cqrs_derive::command_handler;

use super::course::Course;
use super::enrollment::Enrollment;
use super::error::{CourseError, EnrollmentError};
use super::requests::{
    CancelEnrollment, ChangePrice, CourseChanged, CreateCourse, EnrollmentChanged, PublishCourse,
    RequestEnrollment,
};
use super::views::{EnrollmentStatus, StoredCourse, StoredEnrollment};

#[command_handler]
async fn create_course(
    command: CreateCourse,
    work: Work,
) -> Result<CourseChanged, Failure<CourseError>> {
    on_course(&command, &work).await
}

#[command_handler]
async fn publish_course(
    command: PublishCourse,
    work: Work,
) -> Result<CourseChanged, Failure<CourseError>> {
    on_course(&command, &work).await
}

#[command_handler]
async fn change_price(
    command: ChangePrice,
    work: Work,
) -> Result<CourseChanged, Failure<CourseError>> {
    on_course(&command, &work).await
}

async fn on_course<C>(command: &C, work: &Work) -> Result<C::Output, Failure<C::Error>>
where
    C: Command,
    Course: Decide<C>,
{
    let course_id = Course::target(command);
    let mut course = work.load::<Course>(&course_id).await?;
    let before = course.version();
    let output = work.decide(&mut course, command)?;
    if course.version() > before {
        StoredCourse::write(work, course_id, &course, before == 0).await?;
    }
    Ok(output)
}

#[command_handler]
async fn request_enrollment(
    command: RequestEnrollment,
    work: Work,
) -> Result<EnrollmentChanged, Failure<EnrollmentError>> {
    let RequestEnrollment { enrollment_id, course_id, .. } = command;
    let mut enrollment = work.load::<Enrollment>(&enrollment_id).await?;
    let course = work.load::<Course>(&course_id).await?;
    let requested = enrollment.request(&command, &course)?;
    // The price is the one at the request: should it change before the commit, decide anew.
    work.guard(&course)?;
    work.record(&mut enrollment, [requested])?;
    StoredEnrollment::write(&work, enrollment_id, &enrollment).await?;
    let status = EnrollmentStatus::PaymentPending;
    Ok(EnrollmentChanged { enrollment_id, status, price_cents: course.price_cents })
}

#[command_handler]
async fn cancel_enrollment(
    command: CancelEnrollment,
    work: Work,
) -> Result<EnrollmentChanged, Failure<EnrollmentError>> {
    let mut enrollment = work.load::<Enrollment>(&command.enrollment_id).await?;
    let changed = work.decide(&mut enrollment, &command)?;
    StoredEnrollment::write(&work, command.enrollment_id, &enrollment).await?;
    Ok(changed)
}
