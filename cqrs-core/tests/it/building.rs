//! What a build reports: names, exposure, discovery.

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, Command, ErrorKind, HandlerError, Never, Problem, Query, Request, RequestKind, Visibility,
    Wire,
};
use serde::{Deserialize, Serialize};

use crate::subscriptions::Noted;

macro_rules! request {
    ($kind:ident $name:ident, $text:literal, $visibility:ident, $wire:expr) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        struct $name;
        impl $kind for $name {}
        impl Request for $name {
            const NAME: &'static str = $text;
            const KIND: RequestKind = RequestKind::$kind;
            const VISIBILITY: Visibility = Visibility::$visibility;
            type Output = ();
            type Error = Never;
            fn wire() -> Option<Wire<Self>> {
                $wire
            }
        }
    };
}
request!(Command Open, "test.open", Public, Some(Wire::json()));
request!(Query AlsoOpen, "test.open", Public, Some(Wire::json()));
request!(Command Inner, "test.inner", Internal, Some(Wire::json()));
request!(Query Local, "test.local", Public, None);

async fn open(_: Open) -> Result<(), Never> {
    Ok(())
}
async fn also_open(_: AlsoOpen) -> Result<(), Never> {
    Ok(())
}
async fn inner(_: Inner) -> Result<(), Never> {
    Ok(())
}
async fn local(_: Local) -> Result<(), Never> {
    Ok(())
}

fn problems(built: cqrs_core::Result<App>) -> Vec<Problem> {
    let error = built.unwrap_err();
    let ErrorKind::Build(problems) = error.kind() else { panic!("{error:?}") };
    problems.clone()
}

#[test]
fn two_requests_of_one_name_are_a_problem_handled_or_expected() {
    let types = ["it::building::Open", "it::building::AlsoOpen"];
    let same = Problem::DuplicateName { name: "test.open", types };
    let handled = problems(App::builder().handler(open).handler(also_open).build());
    assert_eq!(handled, std::slice::from_ref(&same));
    let expected = problems(App::builder().handler(open).expects::<AlsoOpen>().build());
    assert_eq!(expected, [Problem::MissingHandler { message: "test.open" }, same]);
}

#[test]
fn what_is_exposed_is_public_and_has_a_wire_form() {
    let builder = App::builder().handler(open).handler(inner).handler(local);
    let exposed = builder.exposes::<Open>().exposes::<Inner>().exposes::<Local>();
    let because = |request, why| Problem::NotExposable { request, why };
    let expected =
        [because("test.inner", "it is internal"), because("test.local", "it has no wire form")];
    assert_eq!(problems(exposed.build()), expected);
    assert!(App::builder().handler(open).exposes::<Open>().build().is_ok());
    let missing = problems(App::builder().exposes::<Open>().build());
    assert_eq!(missing, [Problem::MissingHandler { message: "test.open" }]);
}

cqrs_core::discovered!(|app| app.handler(open));

mod inside {
    cqrs_core::discovered!(|app| app.handler(super::local));
}

#[test]
fn names_that_no_subscription_can_have_are_a_problem() {
    async fn hear(_: Noted) -> Result<(), HandlerError> {
        Ok(())
    }
    let long: &'static str = "x".repeat(201).leak();
    for name in ["", long, "cqrs.relay", "balances~2", "bal\nances"] {
        let app = App::builder().store(MemoryStore::default()).event_handler(name, hear);
        let [Problem::SubscriptionName { name: found, .. }] = problems(app.build())[..] else {
            panic!("{name:?} is no name")
        };
        assert_eq!(found, name);
    }
}

#[test]
fn discovery_goes_by_module_and_registers_once() {
    let names = |app: App| -> Vec<&str> {
        app.manifest().requests.iter().map(|request| request.name).collect()
    };
    let module = module_path!();
    let all = App::builder().discover_in(module).discover_in("building::inside").build().unwrap();
    assert_eq!(names(all), ["test.local", "test.open"]);
    let inside = App::builder().discover_in("building::inside").build().unwrap();
    assert_eq!(names(inside), ["test.local"]);
    let nothing = problems(App::builder().discover_in("nowhere").build());
    assert_eq!(nothing, [Problem::NothingDiscovered { module: "nowhere" }]);
    let twice = problems(App::builder().discover_in(module).handler(open).build());
    assert_eq!(twice, [Problem::DuplicateHandler { name: "test.open" }]);
}
