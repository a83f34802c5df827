//! Commands and queries: constants, wire forms, checks.

use std::collections::BTreeMap;

use cqrs_core::{
    Command, Error, ErrorKind, Never, Query, Request, RequestKind, Result, Visibility,
};
use cqrs_derive::{Command, Query, Rejection};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct View {
    title: String,
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("taken")]
#[rejection(code = "test.taken")]
struct Taken;

const LOWEST: i32 = -5;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Command)]
#[command(name = "test.create_2", output = View, error = Taken, version = 2, shared)]
#[command(validate = CreateCourse::check_summary)]
#[serde(rename_all = "camelCase")]
struct CreateCourse {
    #[check(chars = 1..=200)]
    title: String,
    #[check(chars = ..=3)]
    short_title: Option<String>,
    #[check(range = 0..=10_000_000)]
    price_cents: u64,
    #[check(range = LOWEST..)]
    #[serde(rename = "rating")]
    score: i32,
    #[check(range = 0.5..1.5)]
    factor: f64,
    #[check(items = ..=2)]
    tags: Vec<String>,
    #[check(items = 1..)]
    places: Option<BTreeMap<String, u8>>,
    r#type: String,
}

impl CreateCourse {
    fn check_summary(&self) -> Result<()> {
        if self.r#type == "none" {
            return Err(Error::invalid_field("type", "it has no type"));
        }
        Ok(())
    }
}

fn course() -> CreateCourse {
    CreateCourse {
        title: "Rust".into(),
        short_title: None,
        price_cents: 1,
        score: 0,
        factor: 1.0,
        tags: Vec::new(),
        places: None,
        r#type: "video".into(),
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, Query)]
#[query(name = "test.course", output = Option<BTreeMap<String, View>>, internal, shared)]
struct GetCourse(#[check(range = 1..)] u32);

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.charge", services, shared)]
struct Charge;

#[derive(Command)]
#[command(name = "test.local", local, run_once, shared)]
enum Local {
    One,
}

fn is_command<C: Command>() {}
fn is_query<Q: Query>() {}

#[test]
fn the_attribute_says_what_a_request_is() {
    is_command::<CreateCourse>();
    assert_eq!(CreateCourse::NAME, "test.create_2");
    assert_eq!(CreateCourse::KIND, RequestKind::Command);
    assert_eq!(CreateCourse::VERSION, 2);
    assert_eq!(CreateCourse::VISIBILITY, Visibility::Public);
    assert!(CreateCourse::wire().is_some());

    is_query::<GetCourse>();
    assert_eq!(GetCourse::KIND, RequestKind::Query);
    assert_eq!(GetCourse::VERSION, 1);
    assert_eq!(GetCourse::VISIBILITY, Visibility::Internal);
    assert_eq!(Charge::VISIBILITY, Visibility::Services);
    let _: <GetCourse as Request>::Error = match 1 {
        1 => return,
        _ => unreachable!(),
    };
}

#[test]
fn the_defaults_are_no_output_and_no_rejection() {
    fn defaults<R: Request<Output = (), Error = Never>>() {}
    defaults::<Local>();
}

#[test]
fn a_request_comes_back_from_its_wire_form() {
    let wire = CreateCourse::wire().unwrap();
    let bytes = (wire.request.encode)(&course()).unwrap();
    assert_eq!((wire.request.decode)(&bytes).unwrap(), course());
    let view = View { title: "Rust".into() };
    let bytes = (wire.output.encode)(&view).unwrap();
    assert_eq!((wire.output.decode)(&bytes).unwrap(), view);
}

#[test]
fn a_request_that_runs_once_has_no_copy_and_a_local_one_no_wire_form() {
    assert_eq!(course().again(), Some(course()));
    assert!(Local::One.again().is_none());
    assert!(Local::wire().is_none());
}

/// The field and the text of the refusal.
fn refused(request: &impl Request) -> (String, String) {
    let error = request.validate().unwrap_err();
    let ErrorKind::Invalid { field } = error.kind() else { panic!("{error:?}") };
    (field.clone().unwrap(), error.to_string())
}

#[test]
fn a_value_out_of_its_bounds_is_refused_and_never_quoted() {
    course().validate().unwrap();
    let bounds = CreateCourse {
        title: "é".repeat(200),
        short_title: Some("abc".into()),
        price_cents: 10_000_000,
        score: LOWEST,
        factor: 0.5,
        tags: vec![String::new(); 2],
        places: Some([("a".into(), 1)].into()),
        ..course()
    };
    bounds.validate().unwrap();

    let cases = [
        (
            CreateCourse { title: "é".repeat(201), ..course() },
            ("title", "`title` has 1 to 200 characters, not 201"),
        ),
        (
            CreateCourse { title: String::new(), ..course() },
            ("title", "`title` has 1 to 200 characters, not 0"),
        ),
        (
            CreateCourse { short_title: Some("abcd".into()), ..course() },
            ("shortTitle", "`shortTitle` has at most 3 characters, not 4"),
        ),
        (
            CreateCourse { price_cents: 10_000_001, ..course() },
            ("priceCents", "`priceCents` is from 0 to 10000000"),
        ),
        (CreateCourse { score: -6, ..course() }, ("rating", "`rating` is at least -5")),
        (
            CreateCourse { factor: 1.5, ..course() },
            ("factor", "`factor` is at least 0.5 and less than 1.5"),
        ),
        (
            CreateCourse { factor: f64::NAN, ..course() },
            ("factor", "`factor` is at least 0.5 and less than 1.5"),
        ),
        (
            CreateCourse { tags: vec![String::new(); 3], ..course() },
            ("tags", "`tags` has at most 2 items, not 3"),
        ),
        (
            CreateCourse { places: Some(BTreeMap::new()), ..course() },
            ("places", "`places` has at least 1 item, not 0"),
        ),
        (CreateCourse { r#type: "none".into(), ..course() }, ("type", "it has no type")),
    ];
    for (request, (field, text)) in cases {
        assert_eq!(refused(&request), (field.to_owned(), text.to_owned()));
    }
    let text = "`0` is at least 1".to_owned();
    assert_eq!(refused(&GetCourse(0)), ("0".to_owned(), text));
}
