//! Items that a `macro_rules!` writes: what it was given arrives in groups that nobody sees.

use cqrs_core::{App, BoxError, Decide, Event, EventSet, Failure, Never, Request, Result};
use cqrs_derive::{
    Aggregate, Command, Event, EventSet, command_handler, event_handler, query_handler,
};
use serde::{Deserialize, Serialize};

macro_rules! request {
    (
        $name:ident, $wire:literal, $version:expr, $output:ty, $validate:path,
        $optional:ty, $text:ty, $range:expr, $low:expr, $high:expr
    ) => {
        #[derive(Clone, Serialize, Deserialize, Command)]
        #[command(name = $wire, version = $version, output = $output, validate = $validate)]
        #[command(shared)]
        struct $name {
            #[check(range = $range)]
            count: $optional,
            #[check(chars = $low..=$high)]
            text: Option<$text>,
            #[check(range = -$high..)]
            signed: i64,
        }
    };
}

impl Grouped {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

request!(Grouped, "test.grouped", 2, u64, Grouped::check, Option<u64>, String, 1..=3, 1, 1);

fn refusal(count: Option<u64>, text: Option<&str>, signed: i64) -> Option<String> {
    let request = Grouped { count, text: text.map(str::to_owned), signed };
    request.validate().err().map(|error| error.to_string())
}

#[test]
fn checks_take_a_type_and_a_range_from_a_macro() {
    assert_eq!((Grouped::NAME, Grouped::VERSION), ("test.grouped", 2));
    assert_eq!(refusal(None, None, 0), None);
    assert_eq!(refusal(Some(3), Some("é"), -1), None);
    let says = |refusal: Option<String>, text: &str| {
        let refusal = refusal.unwrap();
        assert!(refusal.contains(text), "{refusal}");
    };
    says(refusal(Some(4), None, 0), "`count` is from 1 to 3");
    says(refusal(None, Some("ab"), 0), "`text` has exactly 1 character, not 2");
    says(refusal(None, None, -2), "`signed` is at least -1");
}

macro_rules! event {
    ($name:ident, $recorded:expr, $serde:expr, $version:expr, $from:literal, $lift:path) => {
        #[derive(Clone, Serialize, Deserialize, Event)]
        enum $name {
            #[event(name = $recorded, version = $version, upcast($from = $lift), tag = "a")]
            #[serde(rename = $serde)]
            One { by: u8 },
        }
    };
}

mod lift {
    use super::BoxError;

    pub(super) fn same(body: serde_json::Value) -> Result<serde_json::Value, BoxError> {
        Ok(body)
    }
}

event!(Counted, "test.grouped_event", "counted", 2, 1, lift::same);

macro_rules! set {
    ($name:ident, $($held:ident($ty:ty)),*) => {
        #[derive(EventSet)]
        enum $name { $($held($ty)),* }
    };
}

set!(Heard, Counted(Counted));

#[test]
fn events_take_their_names_from_a_macro() {
    let [kind] = Counted::TYPES else { panic!("one type") };
    assert_eq!((kind.name, kind.variant), ("test.grouped_event", "counted"));
    assert_eq!(Heard::types(), Counted::TYPES);
}

macro_rules! handlers {
    ($command:ty, $output:ty, $error:ty, $answer:ty, $aggregate:ty, $category:expr, $id:ty) => {
        #[derive(Default, Aggregate)]
        #[aggregate(category = $category, id = $id, event = Counted, snapshot(every = 1))]
        #[derive(Serialize, Deserialize)]
        struct Counter;

        impl Counter {
            fn on(&mut self, _: &Counted) {}
        }

        mod decides {
            use super::*;

            #[command_handler]
            impl Decide<$command> for $aggregate {
                fn target(_: &$command) -> $id {
                    "one".to_owned()
                }

                fn decide(
                    &self,
                    _: &$command,
                    _: &cqrs_core::Context<'_>,
                ) -> Result<cqrs_core::Decision<Counted, $output>, $error> {
                    Ok(cqrs_core::Decision::nothing().returning(1))
                }
            }
        }

        mod functions {
            use super::*;

            #[derive(Clone, Serialize, Deserialize, cqrs_derive::Query)]
            #[query(name = "test.grouped_query", output = $output)]
            struct Ask;

            #[query_handler]
            async fn ask(_: Ask) -> Result<$output, Failure<$error>> {
                Ok(2)
            }

            #[event_handler(name = "test.grouped_listener")]
            async fn listen(heard: Heard) -> $answer {
                let Heard::Counted(Counted::One { .. }) = heard;
                Ok(())
            }
        }
    };
}

handlers!(Grouped, u64, Never, Result<(), cqrs_core::HandlerError>, Counter, "grouped", String);

#[tokio::test]
async fn handlers_take_their_types_from_a_macro() -> Result<(), BoxError> {
    let app = App::builder()
        .store(cqrs_core::memory::MemoryStore::default())
        .discover_in("macro_rules")
        .build()?;
    let names: Vec<_> = app.manifest().requests.iter().map(|request| request.name).collect();
    assert_eq!(names, ["test.grouped", "test.grouped_query"]);
    assert_eq!(app.send(Grouped { count: None, text: None, signed: 0 }).await?, 1);
    Ok(())
}
