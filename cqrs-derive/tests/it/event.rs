//! Events: names, versions, upcasters, tags.

use cqrs_core::{BoxError, Event, EventSet, EventType, PayloadRef, Raw};
use cqrs_derive::Event;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
#[serde(rename_all = "snake_case")]
enum CourseEvent {
    #[event(name = "test.course_created", version = 3, upcast(2 = lift::v2, 1 = lift::v1))]
    #[event(tag = "tutor:{tutor_id}", tag = "{{all}}", tag = "{tutor_id}/{type}")]
    CourseCreated { tutor_id: u32, r#type: String },
    #[event(name = "test.course_published")]
    #[serde(rename = "live")]
    Published,
    #[event(name = "test.course_rated", tag = "rating:{0}")]
    #[serde(rename(serialize = "stars", deserialize = "stars"))]
    Rated(Level),
    #[event(name = "test.course_closed")]
    #[serde(rename(deserialize = "shut"), alias = "closed")]
    Closed {},
}

mod lift {
    use super::{BoxError, Value};

    pub(super) fn v1(mut body: Value) -> Result<Value, BoxError> {
        body["tutor_id"] = 7.into();
        Ok(body)
    }

    pub(super) fn v2(mut body: Value) -> Result<Value, BoxError> {
        body["type"] = "video".into();
        Ok(body)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
#[event(name = "test.enrolled", tag = "course:{course}")]
struct Enrolled {
    course: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
#[event(name = "test.wrapped", tag = "it is {0}")]
struct Wrapped(Level);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Level {
    of: u8,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.of.fmt(f)
    }
}

fn created() -> CourseEvent {
    CourseEvent::CourseCreated { tutor_id: 1, r#type: "text".into() }
}

#[test]
fn each_variant_has_its_name_its_serde_name_and_its_version() {
    let types = [
        EventType::new("test.course_created", "course_created").at_version(3),
        EventType::new("test.course_published", "live"),
        EventType::new("test.course_rated", "stars"),
        EventType::new("test.course_closed", "closed"),
    ];
    assert_eq!(CourseEvent::TYPES, types);
    assert_eq!(Enrolled::TYPES, [EventType::new("test.enrolled", "Enrolled")]);
    assert!(CourseEvent::problems().is_empty(), "{:?}", CourseEvent::problems());
}

#[test]
fn every_event_comes_back() {
    for event in [
        created(),
        CourseEvent::Published,
        CourseEvent::Rated(Level { of: 5 }),
        CourseEvent::Closed {},
    ] {
        let body = event.encode().unwrap();
        let back = CourseEvent::decode(event.event_type(), body.as_ref()).unwrap();
        assert_eq!(back, event);
    }
    let wrapped = Wrapped(Level { of: 3 });
    let body = wrapped.encode().unwrap();
    assert_eq!(Wrapped::decode(&Wrapped::TYPES[0], body.as_ref()).unwrap(), wrapped);
}

#[test]
fn older_versions_are_lifted_step_by_step() {
    let lifted = |schema_version, body| {
        let payload = PayloadRef::Json(body);
        let raw = Raw { event_type: "test.course_created", schema_version, payload };
        CourseEvent::from_raw(raw).unwrap().unwrap()
    };
    let expected = CourseEvent::CourseCreated { tutor_id: 7, r#type: "video".into() };
    assert_eq!(lifted(1, "{}"), expected);
    assert_eq!(lifted(2, r#"{"tutor_id":7}"#), expected);
    assert_eq!(lifted(3, r#"{"tutor_id":7,"type":"video"}"#), expected);
}

#[test]
fn tags_are_texts_with_fields_in_them() {
    assert_eq!(created().tags(), ["tutor:1", "{all}", "1/text"]);
    assert_eq!(CourseEvent::Rated(Level { of: 5 }).tags(), ["rating:5"]);
    assert!(CourseEvent::Published.tags().is_empty());
    assert_eq!(Enrolled { course: 4 }.tags(), ["course:4"]);
    assert_eq!(Wrapped(Level { of: 3 }).tags(), ["it is 3"]);
}
