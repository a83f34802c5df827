//! Mistakes in what a `macro_rules!` was given are found as if they were written out.

use cqrs_core::{Envelope, Never, Work};
use cqrs_derive::{Command, EventSet, Query, command_handler, event_handler, query_handler};
use serde::{Deserialize, Serialize};

macro_rules! command {
    ($name:ident, $wire:literal, $ty:ty, $range:expr, $low:expr, $high:expr) => {
        #[derive(Clone, Serialize, Deserialize, Command)]
        #[command(name = $wire)]
        struct $name {
            #[check(chars = ..=3)]
            count: $ty,
            #[check(items = ..=3)]
            text: Option<$ty>,
            #[check(range = $range)]
            range: u8,
            #[check(range = $low..=$high)]
            empty: u8,
        }
    };
}

command!(Checked, "test.checked", u64, 5, 3, 1);

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.create")]
struct Create;

#[derive(Clone, Serialize, Deserialize, Query)]
#[query(name = "test.ask")]
struct Ask;

macro_rules! handlers {
    ($envelope:ty, $reference:ty, $work:ty, $output:ty, $error:ty, $result:ty) => {
        #[command_handler]
        async fn envelope(_: $envelope) -> Result<(), Never> {
            Ok(())
        }

        #[command_handler]
        async fn reference(_: Create, _: $reference) -> Result<(), Never> {
            Ok(())
        }

        #[query_handler]
        async fn work(_: Ask, _: $work) -> Result<(), Never> {
            Ok(())
        }

        #[command_handler]
        async fn parts(_: Create) -> Result<$output, $error> {
            unimplemented!()
        }

        #[event_handler(name = "test.whole")]
        async fn whole(_: cqrs_core::check::NoEvent) -> $result {
            unimplemented!()
        }
    };
}

handlers!(Envelope<Create>, &'static u8, Work, u8, String, Result<u8, u16>);

macro_rules! set {
    ($one:ty, $other:ty) => {
        #[derive(EventSet)]
        enum Twice {
            One($one),
            Other($other),
        }
    };
}

set!(cqrs_core::check::NoEvent, cqrs_core::check::NoEvent);

fn main() {}
