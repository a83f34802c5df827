//! What the macros write has names that the user's never meet.

#![expect(non_upper_case_globals, reason = "the names that a macro would give to variables")]

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Aggregate, App, BoxError, Context, Decide, Decision, Event, EventSet, Mediator, Never,
    Rejection, Request,
};
use cqrs_derive::{
    Aggregate, Command, Event, EventSet, Query, Rejection, command_handler, event_handler,
    query_handler,
};
use serde::{Deserialize, Serialize};

const event: bool = true;
const event_type: bool = true;
const raw: bool = true;
const inner: bool = true;
const value: bool = true;
const count: bool = true;
const p1: bool = true;

#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema, Event)]
#[event(name = "test.hygienic", tag = "by:{by}", schema)]
struct Counted {
    by: u64,
}

#[derive(Debug, EventSet)]
enum Heard {
    Counted(Counted),
}

#[derive(Default, Aggregate)]
#[aggregate(category = "hygienic", id = String, event = Counted)]
struct Counter(u64);

/// Someone else's `on`, in scope and for the same type.
trait Switch {
    fn on(&mut self, _: &str) {}
}

impl Switch for Counter {}

impl Counter {
    fn on(&mut self, counted: &Counted) {
        self.0 += counted.by;
    }
}

#[derive(Default, Aggregate)]
#[aggregate(category = "by_trait", id = String, event = Counted)]
struct ByTrait(u64);

trait TakesIn<E> {
    fn on(&mut self, counted: &E);
}

impl TakesIn<Counted> for ByTrait {
    fn on(&mut self, counted: &Counted) {
        self.0 += 10 * counted.by;
    }
}

#[derive(Default, Aggregate)]
#[aggregate(category = "by_path", id = String, event = Counted, apply = ByPath::count)]
struct ByPath(u64);

impl ByPath {
    fn count(&mut self, counted: &Counted) {
        self.0 += 100 * counted.by;
    }
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
enum Refused {
    #[error(transparent)]
    #[rejection(transparent)]
    Inner(No),
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.hygienic", error = Refused)]
struct Count {
    #[check(range = 1..)]
    by: u64,
    #[check(chars = ..=3)]
    text: String,
}

#[command_handler]
impl Decide<Count> for Counter {
    fn target(_: &Count) -> String {
        "one".to_owned()
    }

    fn decide(&self, c: &Count, _: &Context<'_>) -> Result<Decision<Counted>, Refused> {
        let counted = (c.by != 7).then_some(Counted { by: c.by }).ok_or(Refused::Inner(No))?;
        Ok(Decision::event(counted))
    }
}

#[derive(Clone, Serialize, Deserialize, Query)]
#[query(name = "test.hygienic_query")]
struct Ask;

#[query_handler]
async fn app(_: Ask, _: Mediator) -> Result<(), Never> {
    Ok(())
}

#[event_handler(name = "test.hygienic_listener")]
async fn p0(heard: Heard) -> Result<(), Never> {
    let Heard::Counted(Counted { by: _ }) = heard;
    Ok(())
}

fn applied<A: Aggregate<Event = Counted>>() -> A {
    let mut aggregate = A::default();
    aggregate.apply(&Counted { by: 2 });
    aggregate
}

#[test]
fn a_method_of_the_type_is_taken_before_one_of_a_trait() {
    Counter::default().0 += 1;
    assert_eq!(applied::<Counter>().0, 2);
    assert_eq!(applied::<ByTrait>().0, 20);
    assert_eq!(applied::<ByPath>().0, 200);
    Switch::on(&mut Counter::default(), "");
}

#[tokio::test]
async fn constants_and_functions_of_any_name_stand_beside_the_macros() -> Result<(), BoxError> {
    assert_eq!([event, event_type, raw, inner, value, count, p1], [true; 7]);
    let built = App::builder().store(MemoryStore::default()).discover_in("hygiene").build()?;
    built.send(Count { by: 1, text: String::new() }).await?;
    built.ask(Ask).await?;
    built.catch_up("test.hygienic_listener").await?;
    assert_eq!(Refused::Inner(No).code(), "test.no");
    assert!(Count { by: 0, text: String::new() }.validate().is_err());
    assert!(<Counted as Event>::schema(&Counted::TYPES[0]).is_some());
    assert!(<Heard as EventSet>::schema("test.hygienic").is_some());
    Ok(())
}
