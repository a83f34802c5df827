use cqrs_core::{Context, Decide, Decision, Failure, Never, Repository};
use cqrs_derive::{Aggregate, Command, Event, Query, Rejection, command_handler, query_handler};
use serde::{Deserialize, Serialize};

/// What happens to a show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
pub enum ShowEvent {
    #[event(name = "theatre.opened")]
    Opened { seats: u32 },
    #[event(name = "theatre.reserved", tag = "guest:{guest}")]
    Reserved { guest: String, seats: u32 },
}

/// A show: how many of its seats are free.
#[derive(Debug, Default, Aggregate)]
#[aggregate(category = "show", id = String, event = ShowEvent)]
pub struct Show {
    pub free: u32,
}

impl Show {
    fn on(&mut self, event: &ShowEvent) {
        match event {
            ShowEvent::Opened { seats } => self.free = *seats,
            ShowEvent::Reserved { seats, .. } => self.free -= seats,
        }
    }
}

/// Opens a show.
#[derive(Debug, Clone, Serialize, Deserialize, Command)]
#[command(name = "theatre.open_show", error = ShowError)]
pub struct OpenShow {
    pub show: String,
    #[check(range = 1..=1000)]
    pub seats: u32,
}

/// Reserves seats. Answers how many are left.
#[derive(Debug, Clone, Serialize, Deserialize, Command)]
#[command(name = "theatre.reserve", output = u32, error = ShowError)]
pub struct Reserve {
    pub show: String,
    #[check(chars = 1..=100)]
    pub guest: String,
    #[check(range = 1..=10)]
    pub seats: u32,
}

/// Why the theatre says no.
#[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize, Rejection)]
pub enum ShowError {
    #[error("there is no such show")]
    #[rejection(code = "theatre.no_such_show", field = "show")]
    NoSuchShow,
    #[error("the show is open already")]
    #[rejection(code = "theatre.open_already", field = "show")]
    OpenAlready,
    #[error("only {left} seats are left")]
    #[rejection(code = "theatre.sold_out", field = "seats")]
    SoldOut { left: u32 },
}

#[command_handler]
impl Decide<OpenShow> for Show {
    fn target(command: &OpenShow) -> String {
        command.show.clone()
    }

    fn decide(&self, c: &OpenShow, ctx: &Context<'_>) -> Result<Decision<ShowEvent>, ShowError> {
        if ctx.exists() {
            return Err(ShowError::OpenAlready);
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

/// Asks how many seats are free.
#[derive(Debug, Clone, Serialize, Deserialize, Query)]
#[query(name = "theatre.free_seats", output = u32)]
pub struct FreeSeats {
    pub show: String,
}

#[query_handler]
pub async fn free_seats(q: FreeSeats, shows: Repository<Show>) -> Result<u32, Failure<Never>> {
    Ok(shows.load(&q.show).await?.free)
}
