//! The handlers of queries: documents are read as they were written.

use cqrs_core::{Documents, Entity, Error, Failure, FindDocuments, Never};
use cqrs_derive::query_handler;

use super::course::Course;
use super::enrollment::Enrollment;
use super::error::{CourseError, EnrollmentError};
use super::requests::{CoursePage, GetCourse, GetEnrollment, GetStats, ListCourses, Stats};
use super::views::{CourseStatus, CourseView, EnrollmentCounts, EnrollmentStatus, EnrollmentView};

#[query_handler]
async fn get_course(
    query: GetCourse,
    courses: Documents<Course>,
) -> Result<CourseView, Failure<CourseError>> {
    let found = courses.get(&query.course_id.to_string()).await?;
    Ok(found.ok_or(CourseError::NotFound)?.into_inner().shown())
}

#[query_handler]
async fn list_courses(
    query: ListCourses,
    courses: Documents<Course>,
) -> Result<CoursePage, Failure<Never>> {
    let ListCourses { status, tutor_id, page, limit } = query;
    let find = match (status, tutor_id) {
        (None, None) => FindDocuments::all(Course::COLLECTION),
        (Some(status), None) => courses_by("status", status.name()),
        (None, Some(tutor_id)) => courses_by("tutor_id", tutor_id),
        (Some(status), Some(tutor_id)) => {
            let (field, value) = Course::by_both(&tutor_id, status);
            courses_by(field, value)
        }
    };
    let total = match find.field {
        // Those of each status are counted in an index, and all of them document by document.
        None => {
            count(&courses, CourseStatus::Draft).await?
                + count(&courses, CourseStatus::Published).await?
        }
        Some(_) => courses.count(find.clone()).await?,
    };
    let skip = u64::from(page - 1) * u64::from(limit);
    let found = courses.query(find.skip(skip).limit(limit)).await?;
    let items = found.into_iter().map(|course| course.into_inner().shown()).collect();
    Ok(CoursePage { items, total })
}

#[query_handler]
async fn get_enrollment(
    query: GetEnrollment,
    enrollments: Documents<Enrollment>,
) -> Result<EnrollmentView, Failure<EnrollmentError>> {
    let found = enrollments.get(&query.enrollment_id.to_string()).await?;
    Ok(found.ok_or(EnrollmentError::NotFound)?.into_inner().shown())
}

/// Counted when somebody asks: a document of counts would be written by every command, and each would
/// wait for the other.
#[query_handler]
async fn stats(
    _: GetStats,
    courses: Documents<Course>,
    enrollments: Documents<Enrollment>,
) -> Result<Stats, Failure<Never>> {
    let published = count(&courses, CourseStatus::Published).await?;
    let drafts = count(&courses, CourseStatus::Draft).await?;
    let of = async |status: EnrollmentStatus| -> Result<u64, Error> {
        let find = FindDocuments::by(Enrollment::COLLECTION, "status", status.name());
        enrollments.count(find).await
    };
    let enrollments = EnrollmentCounts {
        payment_pending: of(EnrollmentStatus::PaymentPending).await?,
        active: of(EnrollmentStatus::Active).await?,
        declined: of(EnrollmentStatus::Declined).await?,
        timed_out: of(EnrollmentStatus::TimedOut).await?,
        cancelled: of(EnrollmentStatus::Cancelled).await?,
    };
    Ok(Stats { courses: drafts + published, published, enrollments })
}

async fn count(courses: &Documents<Course>, status: CourseStatus) -> Result<u64, Error> {
    courses.count(courses_by("status", status.name())).await
}

fn courses_by(field: &'static str, value: impl Into<String>) -> FindDocuments {
    FindDocuments::by(Course::COLLECTION, field, value.into())
}
