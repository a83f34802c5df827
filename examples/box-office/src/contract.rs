//! What the box office and others say to each other. The names and the bodies are a promise.

use cqrs_derive::Event;
use serde::{Deserialize, Serialize};

use crate::show::ShowEvent;

/// What the web shop says: a guest wants seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
#[event(name = "shop.seats_wanted")]
pub struct SeatsWanted {
    /// Of which show.
    pub show: String,
    /// Who wants them.
    pub guest: String,
    /// How many.
    pub seats: u32,
}

/// What the box office says: a guest has seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
#[event(name = "theatre.seats_sold")]
pub struct SeatsSold {
    /// Who has them.
    pub guest: String,
    /// How many.
    pub seats: u32,
}

/// What the box office says: a guest gets no seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
#[event(name = "theatre.seats_refused")]
pub struct SeatsRefused {
    /// Who gets none.
    pub guest: String,
    /// Why.
    pub reason: String,
}

/// What happened here, in the words of the contract.
pub fn told(event: &ShowEvent) -> Option<SeatsSold> {
    match event {
        ShowEvent::Opened { .. } => None,
        ShowEvent::Reserved { guest, seats } => {
            Some(SeatsSold { guest: guest.clone(), seats: *seats })
        }
    }
}
