//! The handlers of queries about tutors.

use cqrs_core::{Documents, Failure, Never, Res};
use cqrs_derive::query_handler;

use super::by_subject::BySubject;
use super::error::TutorError;
use super::profile::Tutor;
use super::requests::{FindTutors, GetTutor, TutorList, TutorView};

#[query_handler]
async fn get_tutor(
    query: GetTutor,
    tutors: Documents<Tutor>,
) -> Result<TutorView, Failure<TutorError>> {
    let found = tutors.get(&query.tutor_id).await?;
    Ok(found.ok_or(TutorError::NotFound)?.into_inner().shown())
}

#[query_handler]
async fn find_tutors(
    query: FindTutors,
    Res(tutors): Res<BySubject>,
) -> Result<TutorList, Failure<Never>> {
    let found = tutors.find(query.subject, query.after.unwrap_or_default()).await?;
    Ok(TutorList { items: found.into_iter().map(Tutor::shown).collect() })
}
