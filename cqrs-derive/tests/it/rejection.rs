//! Rejections: codes and fields.

use cqrs_core::Rejection;
use cqrs_derive::Rejection;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
enum CourseError {
    #[error("not published")]
    #[rejection(code = "test.not_published", field = "course_id")]
    NotPublished,
    #[error("full: {0} of {1}")]
    #[rejection(code = "test.full")]
    Full(u32, u32),
    #[error(transparent)]
    #[rejection(transparent)]
    Payment(PaymentError),
    #[error("{inner}")]
    #[rejection(transparent)]
    Other { inner: Closed },
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
enum PaymentError {
    #[error("declined")]
    #[rejection(code = "test.declined", field = "card")]
    Declined { reason: String },
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("closed")]
#[rejection(code = "test.closed")]
struct Closed;

#[derive(Debug, thiserror::Error, Rejection)]
#[error(transparent)]
#[rejection(transparent)]
struct Wrapper(PaymentError);

#[derive(Debug, thiserror::Error, Rejection)]
enum Nothing {}

#[derive(Debug, thiserror::Error, Rejection)]
#[error("taken by {by}")]
#[rejection(code = "test.taken", field = "name")]
struct Taken<T: std::fmt::Debug + std::fmt::Display + Send + Sync + 'static> {
    by: T,
}

fn said(rejection: &impl Rejection) -> (&'static str, Option<&str>) {
    (rejection.code(), rejection.field())
}

fn declined() -> PaymentError {
    PaymentError::Declined { reason: "no".into() }
}

#[test]
fn each_variant_has_its_code_and_may_name_a_field() {
    assert_eq!(said(&CourseError::NotPublished), ("test.not_published", Some("course_id")));
    assert_eq!(said(&CourseError::Full(3, 3)), ("test.full", None));
    assert_eq!(said(&Closed), ("test.closed", None));
    assert_eq!(said(&Taken { by: 5 }), ("test.taken", Some("name")));
}

#[test]
fn a_transparent_variant_says_what_it_holds_says() {
    assert_eq!(said(&CourseError::Payment(declined())), ("test.declined", Some("card")));
    assert_eq!(said(&CourseError::Other { inner: Closed }), ("test.closed", None));
    assert_eq!(said(&Wrapper(declined())), ("test.declined", Some("card")));
}

#[test]
fn all_codes_are_known_before_they_happen() {
    let codes = ["test.not_published", "test.full", "test.declined", "test.closed"];
    assert_eq!(CourseError::codes(), codes);
    assert_eq!(Wrapper::codes(), ["test.declined"]);
    assert_eq!(Taken::<u8>::codes(), ["test.taken"]);
    assert!(Nothing::codes().is_empty());
}
