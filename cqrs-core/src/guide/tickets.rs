use std::time::Duration;

use cqrs_core::{Answered, Context, Effect, Failure, Never, Reaction, Route, Saga, Trigger};
use cqrs_derive::{Command, Event, Rejection, command_handler};
use serde::{Deserialize, Serialize};

/// Somebody wants tickets: what starts it.
#[derive(Debug, Clone, Serialize, Deserialize, Event)]
#[event(name = "tickets.ordered")]
pub struct Ordered {
    pub order: String,
    pub cents: u32,
}

/// Takes the money. Answers the number of the receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Command)]
#[command(name = "tickets.charge", output = String, error = Declined)]
pub struct Charge {
    pub order: String,
    pub cents: u32,
}

#[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("the card is declined")]
#[rejection(code = "tickets.declined")]
pub struct Declined;

/// Gives the money back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Command)]
#[command(name = "tickets.refund")]
pub struct Refund {
    pub order: String,
}

/// Prints the tickets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Command)]
#[command(name = "tickets.print", error = OutOfPaper)]
pub struct Print {
    pub order: String,
}

#[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("there is no paper")]
#[rejection(code = "tickets.out_of_paper")]
pub struct OutOfPaper;

/// From an order to printed tickets, or back to nothing.
pub struct Selling {
    pub patience: Duration,
}

/// What it knows of one order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Sale {
    pub order: String,
    pub too_late: bool,
}

/// What it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Waiting {
    Payment,
}

impl Saga for Selling {
    const NAME: &'static str = "tickets.selling";
    type State = Sale;
    type Input = Ordered;
    type Timer = Waiting;

    fn route(&self, event: &Ordered) -> Route {
        Route::start(&event.order)
    }

    fn react(
        &self,
        sale: &mut Sale,
        trigger: Trigger<'_, Self>,
        _: &Context<'_>,
    ) -> Reaction<Self> {
        Ok(match trigger {
            Trigger::Event(Ordered { order, cents }) => {
                sale.order.clone_from(order);
                let charge = Charge { order: order.clone(), cents: *cents };
                let refund = Refund { order: order.clone() };
                vec![
                    Effect::send("charge", &charge).compensated_by(&refund),
                    Effect::schedule(Waiting::Payment, self.patience),
                    Effect::deadline(self.patience * 2),
                ]
            }
            // It does not end here: the money may be on its way.
            Trigger::Timer(Waiting::Payment) => {
                sale.too_late = true;
                vec![]
            }
            Trigger::Outcome { step: "charge", outcome } => match outcome.of::<Charge>()? {
                Answered::Done(_) if sale.too_late => vec![Effect::compensate("paid too late")],
                Answered::Done(_) => vec![
                    Effect::cancel(Waiting::Payment),
                    Effect::send("print", &Print { order: sale.order.clone() }).at_most(3),
                ],
                Answered::Rejected(Declined) => vec![Effect::fail("declined")],
                Answered::Failed(why) => vec![Effect::fail(why)],
            },
            Trigger::Outcome { step: "print", outcome } if outcome.is_done() => {
                vec![Effect::complete()]
            }
            Trigger::Outcome { .. } => vec![Effect::compensate("no tickets")],
            // After a compensation it ends as failed, and when somebody wants it to, as cancelled.
            Trigger::Compensated | Trigger::Cancel { .. } => vec![],
        })
    }
}

#[command_handler]
async fn charge(c: Charge) -> Result<String, Failure<Declined>> {
    if c.cents > 10_000 {
        return Err(Declined.into());
    }
    Ok(format!("receipt-{}", c.order))
}

#[command_handler]
async fn refund(_: Refund) -> Result<(), Failure<Never>> {
    Ok(())
}

#[command_handler]
async fn print(c: Print) -> Result<(), Failure<OutOfPaper>> {
    if c.order.starts_with("large-") { Err(OutOfPaper.into()) } else { Ok(()) }
}
