//! A show: how many of its seats are free, and who has the others.

use cqrs_core::{Context, Decide, Decision, Failure, Never, Repository};
use cqrs_derive::{Aggregate, Command, Event, Query, Rejection, command_handler, query_handler};
use serde::{Deserialize, Serialize};

/// What happens to a show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
pub enum ShowEvent {
    /// Seats can be had.
    #[event(name = "theatre.show_opened")]
    Opened {
        /// How many there are.
        seats: u32,
    },
    /// A guest has seats.
    #[event(name = "theatre.seats_reserved")]
    Reserved {
        /// Who has them.
        guest: String,
        /// How many.
        seats: u32,
    },
}

/// A show, by its name.
#[derive(Debug, Default, Aggregate)]
#[aggregate(category = "show", id = String, event = ShowEvent)]
pub struct Show {
    free: u32,
}

impl Show {
    fn on(&mut self, event: &ShowEvent) {
        match event {
            ShowEvent::Opened { seats } => self.free = *seats,
            ShowEvent::Reserved { seats, .. } => self.free = self.free.saturating_sub(*seats),
        }
    }
}

/// Opens a show. Once it is open, nothing changes.
#[derive(Debug, Clone, Serialize, Deserialize, Command)]
#[command(name = "theatre.open_show")]
pub struct OpenShow {
    /// Its name.
    #[check(chars = 1..=100)]
    pub show: String,
    /// How many seats there are.
    #[check(range = 1..=1000)]
    pub seats: u32,
}

/// Reserves seats. Answers how many are left.
#[derive(Debug, Clone, Serialize, Deserialize, Command)]
#[command(name = "theatre.reserve", output = u32, error = ShowError)]
pub struct Reserve {
    /// Of which show.
    pub show: String,
    /// For whom.
    #[check(chars = 1..=100)]
    pub guest: String,
    /// How many.
    #[check(range = 1..=10)]
    pub seats: u32,
}

/// Why a guest gets no seats.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Rejection)]
pub enum ShowError {
    /// It was never opened.
    #[error("there is no such show")]
    #[rejection(code = "theatre.no_such_show", field = "show")]
    NoSuchShow,
    /// Not so many are free.
    #[error("only {left} seats are left")]
    #[rejection(code = "theatre.sold_out", field = "seats")]
    SoldOut {
        /// How many are.
        left: u32,
    },
}

/// Asks how many seats of a show are free.
#[derive(Debug, Clone, Serialize, Deserialize, Query)]
#[query(name = "theatre.free_seats", output = u32)]
pub struct FreeSeats {
    /// Of which show.
    pub show: String,
}

#[command_handler]
impl Decide<OpenShow> for Show {
    fn target(command: &OpenShow) -> String {
        command.show.clone()
    }

    fn decide(&self, c: &OpenShow, ctx: &Context<'_>) -> Result<Decision<ShowEvent>, Never> {
        if ctx.exists() {
            return Ok(Decision::nothing());
        }
        Ok(Decision::event(ShowEvent::Opened { seats: c.seats }))
    }
}

#[command_handler]
impl Decide<Reserve> for Show {
    fn target(command: &Reserve) -> String {
        command.show.clone()
    }

    fn decide(
        &self,
        c: &Reserve,
        ctx: &Context<'_>,
    ) -> Result<Decision<ShowEvent, u32>, ShowError> {
        if !ctx.exists() {
            return Err(ShowError::NoSuchShow);
        }
        let left = self.free.checked_sub(c.seats).ok_or(ShowError::SoldOut { left: self.free })?;
        let reserved = ShowEvent::Reserved { guest: c.guest.clone(), seats: c.seats };
        Ok(Decision::event(reserved).returning(left))
    }
}

/// Answers how many are free: none of a show that was never opened.
///
/// # Errors
/// When the store cannot be read.
#[query_handler]
pub async fn free_seats(q: FreeSeats, shows: Repository<Show>) -> Result<u32, Failure<Never>> {
    Ok(shows.load(&q.show).await?.free)
}
