//! Rejections without a code, with two, or with that of another.

use cqrs_core::Rejection as _;
use cqrs_derive::Rejection;

#[derive(Debug, thiserror::Error, Rejection)]
#[rejection(code = "test.course")]
enum CourseError {
    #[error("closed")]
    Closed,
    #[error("full")]
    #[rejection(code = "test.full", feld = "x", field = "")]
    Full,
    #[error("full again")]
    #[rejection(code = "test.full")]
    Again,
    #[error("capital")]
    #[rejection(code = "Test Capital")]
    Capital,
    #[error("two")]
    #[rejection(transparent)]
    Two(PaymentError, PaymentError),
    #[error("own")]
    #[rejection(transparent, code = "test.own")]
    Own(PaymentError),
}

#[derive(Debug, thiserror::Error, Rejection)]
#[error("declined")]
struct PaymentError;

#[derive(Debug, thiserror::Error, Rejection)]
#[error("outer")]
#[rejection(transparent)]
struct Outer(std::fmt::Error);

#[derive(Debug, Rejection)]
#[rejection(code = "test.not_an_error")]
struct NotAnError;

#[derive(Debug, thiserror::Error, Rejection)]
enum Generic<T: std::error::Error + Send + Sync + 'static> {
    #[error("inner")]
    #[rejection(transparent)]
    Inner(T),
    #[error("own")]
    #[rejection(code = "test.own")]
    Own,
}

#[derive(Clone, Copy, Rejection)]
union Either {
    one: u8,
    other: i8,
}

fn code(course: CourseError, payment: PaymentError) -> [&'static str; 2] {
    [course.code(), payment.code()]
}

fn main() {}
