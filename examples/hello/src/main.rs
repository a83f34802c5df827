//! The smallest program: a show with ten seats, reserved until it is sold out. No macros of ours.

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Aggregate, App, BoxError, Command, Context, Decide, Decision, Event, EventType, Failure,
    Rejection, Request, RequestKind,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Reserved {
    seats: u32,
}

impl Event for Reserved {
    const TYPES: &'static [EventType] = &[EventType::new("theatre.reserved", "Reserved")];
    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

#[derive(Default)]
struct Show {
    reserved: u32,
}

impl Aggregate for Show {
    const CATEGORY: &'static str = "show";
    type Id = String;
    type Event = Reserved;
    fn apply(&mut self, event: &Reserved) {
        self.reserved += event.seats;
    }
}

struct Reserve {
    show: String,
    seats: u32,
}

impl Command for Reserve {}
impl Request for Reserve {
    const NAME: &'static str = "theatre.reserve";
    const KIND: RequestKind = RequestKind::Command;
    type Output = u32;
    type Error = SoldOut;
}

#[derive(Debug, thiserror::Error)]
#[error("only {left} seats are left")]
struct SoldOut {
    left: u32,
}

impl Rejection for SoldOut {
    fn code(&self) -> &'static str {
        "theatre.sold_out"
    }
}

impl Decide<Reserve> for Show {
    fn target(command: &Reserve) -> String {
        command.show.clone()
    }
    fn decide(&self, c: &Reserve, _: &Context<'_>) -> Result<Decision<Reserved, u32>, SoldOut> {
        let free = 10 - self.reserved;
        let left = free.checked_sub(c.seats).ok_or(SoldOut { left: free })?;
        Ok(Decision::event(Reserved { seats: c.seats }).returning(left))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let app = App::builder().store(MemoryStore::default()).decides::<Show, Reserve>().build()?;
    for seats in [4, 3, 5] {
        match app.send(Reserve { show: "Hamlet".into(), seats }).await {
            Ok(left) => println!("reserved {seats}, {left} left"),
            Err(Failure::Rejected(no)) => println!("{}: {no}", no.code()),
            Err(Failure::Failed(error)) => return Err(error.into()),
        }
    }
    Ok(())
}
