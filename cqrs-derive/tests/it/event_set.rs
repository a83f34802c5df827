//! Several events as one input.

use cqrs_core::{EventSet, PayloadRef, Raw};
use cqrs_derive::{Event, EventSet};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
#[event(name = "test.opened")]
struct Opened;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
enum Money {
    #[event(name = "test.paid")]
    Paid { cents: u64 },
    #[event(name = "test.refunded")]
    Refunded,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
#[event(name = "test.closed")]
struct Closed;

#[derive(Debug, PartialEq, EventSet)]
enum Inner {
    Money(Money),
    Opened(Opened),
}

#[derive(Debug, PartialEq, EventSet)]
enum Input {
    Inner(Inner),
    Closed(Closed),
}

#[test]
fn a_set_has_the_types_of_all_its_variants() {
    let names: Vec<_> = Input::types().into_iter().map(|event_type| event_type.name).collect();
    assert_eq!(names, ["test.paid", "test.refunded", "test.opened", "test.closed"]);
    assert!(Input::problems().is_empty());
    assert!(Input::schema("test.paid").is_none());
}

#[test]
fn an_event_is_decoded_as_the_variant_that_has_its_type() {
    let decoded = |event_type, body| {
        let raw = Raw { event_type, schema_version: 1, payload: PayloadRef::Json(body) };
        Input::from_raw(raw).map(Result::unwrap)
    };
    let paid = Input::Inner(Inner::Money(Money::Paid { cents: 5 }));
    assert_eq!(decoded("test.paid", r#"{"cents":5}"#), Some(paid));
    assert_eq!(decoded("test.opened", "{}"), Some(Input::Inner(Inner::Opened(Opened))));
    assert_eq!(decoded("test.closed", "{}"), Some(Input::Closed(Closed)));
    assert_eq!(decoded("test.other", "{}"), None);
}

#[test]
fn an_event_that_cannot_be_read_is_an_error_and_not_another_event() {
    let raw = Raw { event_type: "test.paid", schema_version: 1, payload: PayloadRef::Json("{}") };
    assert!(Input::from_raw(raw).unwrap().is_err());
}
