//! Handlers of events without a name, or of what is no event.

use cqrs_core::{HandlerError, Metadata};
use cqrs_derive::{Event, event_handler};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(name = "test.opened")]
struct Opened;

struct Letter;

#[event_handler]
async fn nameless(_: Opened) -> Result<(), HandlerError> {
    Ok(())
}

#[event_handler(name = "Test.Named", nam = "x")]
async fn misnamed(_: Opened) -> Result<(), HandlerError> {
    Ok(())
}

#[event_handler(name = "test.borrowed")]
async fn borrowed(_: &Opened) {}

#[event_handler(name = "test.letter")]
async fn letter(_: Letter, _: Metadata) -> Result<(), HandlerError> {
    Ok(())
}

#[event_handler(name = "test.answers")]
async fn answers(_: Opened, _: u8) -> Result<u8, u8> {
    Ok(1)
}

#[event_handler(name = "test.option")]
async fn option(_: Opened) -> Option<()> {
    None
}

fn main() {}
