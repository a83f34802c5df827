//! Payments: their state, which is the document that the ledger reads, and their rules.

use cqrs_core::{Context, Decide, Decision, Entity, Failure, Res, Work};
use cqrs_derive::{Aggregate, Event, command_handler};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::delay::PaymentDelay;
use learning_contracts::payments::{
    Charge, ChargePayment, PaymentError, PaymentState, RefundPayment,
};

/// More than this nobody can pay at once.
const LIMIT_CENTS: u64 = 50_000;

/// What happens to a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[event(schema)]
pub enum PaymentEvent {
    /// The student paid.
    #[event(name = "payments.charged")]
    Charged {
        /// Which payment.
        payment_id: Uuid,
        /// Who.
        student_id: String,
        /// How much.
        amount_cents: u64,
    },
    /// The student could not pay.
    #[event(name = "payments.declined")]
    Declined {
        /// Which payment.
        payment_id: Uuid,
        /// Who.
        student_id: String,
        /// How much it would have been.
        amount_cents: u64,
    },
    /// The student was given the money back.
    #[event(name = "payments.refunded")]
    Refunded {
        /// Which payment.
        payment_id: Uuid,
    },
}

/// A payment. All of it is shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Aggregate)]
#[aggregate(category = "payment", id = Uuid, event = PaymentEvent, document)]
#[serde(transparent)]
pub struct Payment(Charge);

impl Payment {
    fn on(&mut self, event: &PaymentEvent) {
        match event.clone() {
            PaymentEvent::Charged { payment_id, student_id, amount_cents } => {
                let state = PaymentState::Charged;
                self.0 = Charge { payment_id, student_id, amount_cents, state };
            }
            PaymentEvent::Declined { payment_id, student_id, amount_cents } => {
                let state = PaymentState::Declined;
                self.0 = Charge { payment_id, student_id, amount_cents, state };
            }
            PaymentEvent::Refunded { .. } => self.0.state = PaymentState::Refunded,
        }
    }
}

impl Entity for Payment {
    const COLLECTION: &'static str = "payment";
    const INDEXED: &'static [&'static str] = &["student_id"];

    fn id(&self) -> String {
        self.0.payment_id.to_string()
    }
}

impl Payment {
    /// What is shown of it.
    pub(super) fn shown(self) -> Charge {
        self.0
    }
}

type Decided = Result<Decision<PaymentEvent, Charge>, PaymentError>;

/// Decides once the student has answered. What is answered already is so at once.
#[command_handler]
async fn charge(
    command: ChargePayment,
    work: Work,
    Res(delay): Res<PaymentDelay>,
) -> Result<Charge, Failure<PaymentError>> {
    let mut payment = work.load::<Payment>(&command.payment_id).await?;
    if !payment.exists() {
        delay.answered(command.payment_id, &command.student_id).await;
    }
    work.decide(&mut payment, &command)
}

impl Decide<ChargePayment> for Payment {
    fn target(command: &ChargePayment) -> Uuid {
        command.payment_id
    }

    fn decide(&self, command: &ChargePayment, context: &Context<'_>) -> Decided {
        let ChargePayment { payment_id, student_id, amount_cents } = command.clone();
        if context.exists() {
            if (&self.0.student_id, self.0.amount_cents) != (&student_id, amount_cents) {
                return Err(PaymentError::Exists);
            }
            // The first answer, whatever came after it.
            let state = match self.0.state {
                PaymentState::Charged | PaymentState::Refunded => PaymentState::Charged,
                PaymentState::Declined => PaymentState::Declined,
            };
            return Ok(Decision::nothing().returning(Charge { state, ..self.0.clone() }));
        }
        let event = if amount_cents > LIMIT_CENTS {
            PaymentEvent::Declined { payment_id, student_id, amount_cents }
        } else {
            PaymentEvent::Charged { payment_id, student_id, amount_cents }
        };
        let mut after = Self::default();
        after.on(&event);
        Ok(Decision::event(event).returning(after.shown()))
    }
}

#[command_handler]
impl Decide<RefundPayment> for Payment {
    fn target(command: &RefundPayment) -> Uuid {
        command.payment_id
    }

    fn decide(&self, command: &RefundPayment, context: &Context<'_>) -> Decided {
        let decision = match self.0.state {
            _ if !context.exists() => return Err(PaymentError::NothingToRefund),
            PaymentState::Declined => return Err(PaymentError::NothingToRefund),
            PaymentState::Refunded => Decision::nothing(),
            PaymentState::Charged => {
                Decision::event(PaymentEvent::Refunded { payment_id: command.payment_id })
            }
        };
        Ok(decision.returning(Charge { state: PaymentState::Refunded, ..self.0.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cqrs_core::memory::MemoryStore;
    use cqrs_core::{App, MessageId, Rejection};
    use tokio::time::Instant;

    use super::*;
    use crate::payments;
    use learning_contracts::payments::{GetLedger, Ledger};

    const SLOWLY: Duration = Duration::from_secs(60);

    async fn app() -> App {
        let store = std::sync::Arc::new(MemoryStore::default());
        payments::declare(store.clone()).await.unwrap();
        payments::register(App::builder().shared_store(store), SLOWLY).build().unwrap()
    }

    fn charge(payment_id: Uuid, amount_cents: u64) -> ChargePayment {
        ChargePayment { payment_id, student_id: "mina".into(), amount_cents }
    }

    #[track_caller]
    fn code<O>(answer: Result<O, Failure<PaymentError>>) -> &'static str {
        match answer {
            Err(Failure::Rejected(rejection)) => rejection.code(),
            _ => panic!("it was not rejected"),
        }
    }

    #[tokio::test]
    async fn a_charge_is_answered_as_it_was_first() {
        let (app, id) = (app().await, MessageId::fresh().uuid());
        let first = app.send(charge(id, 50_000)).await.unwrap();
        assert_eq!((first.state, first.amount_cents), (PaymentState::Charged, 50_000));
        assert_eq!(app.send(charge(id, 50_000)).await.unwrap(), first);
        assert_eq!(code(app.send(charge(id, 49_999)).await), "payments.payment_exists");
        let refunded = app.send(RefundPayment { payment_id: id }).await.unwrap();
        assert_eq!(refunded.state, PaymentState::Refunded);
        assert_eq!(app.send(RefundPayment { payment_id: id }).await.unwrap(), refunded);
        assert_eq!(app.send(charge(id, 50_000)).await.unwrap(), first);
    }

    fn slow(payment_id: Uuid, amount_cents: u64) -> ChargePayment {
        ChargePayment { payment_id, student_id: "slow-otto".into(), amount_cents }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_student_is_waited_for_once() {
        let (app, id, started) = (app().await, MessageId::fresh().uuid(), Instant::now());
        let first = app.send(slow(id, 17)).await.unwrap();
        assert_eq!(started.elapsed().as_secs(), SLOWLY.as_secs());
        assert_eq!(app.send(slow(id, 17)).await.unwrap(), first);
        assert_eq!(code(app.send(slow(id, 18)).await), "payments.payment_exists");
        app.send(charge(MessageId::fresh().uuid(), 17)).await.unwrap();
        assert_eq!(started.elapsed().as_secs(), SLOWLY.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_student_is_not_asked_anew_by_those_who_lose_patience() {
        let (app, id, started) = (app().await, MessageId::fresh().uuid(), Instant::now());
        for n in 1..=5 {
            let patience = tokio::time::timeout(SLOWLY / 6, app.send(slow(id, 17)));
            assert!(patience.await.is_err(), "answered after {n} sixths");
        }
        app.send(slow(id, 17)).await.unwrap();
        assert_eq!(started.elapsed().as_secs(), SLOWLY.as_secs());
    }

    #[tokio::test]
    async fn what_is_too_much_is_declined_and_not_given_back() {
        let (app, id) = (app().await, MessageId::fresh().uuid());
        for _ in 0..2 {
            let declined = app.send(charge(id, 50_001)).await.unwrap();
            assert_eq!(declined.state, PaymentState::Declined);
        }
        for payment_id in [id, MessageId::fresh().uuid()] {
            let refund = app.send(RefundPayment { payment_id }).await;
            assert_eq!(code(refund), "payments.nothing_to_refund");
        }
    }

    #[tokio::test]
    async fn the_ledger_sums_what_was_charged_and_kept() {
        let app = app().await;
        let ids: Vec<Uuid> = (0..4).map(|_| MessageId::fresh().uuid()).collect();
        for (id, amount_cents) in ids.iter().zip([100, 200, 60_000, 400]) {
            app.send(charge(*id, amount_cents)).await.unwrap();
        }
        app.send(RefundPayment { payment_id: ids[1] }).await.unwrap();
        let ledger = async |student_id: Option<&str>| -> Ledger {
            app.ask(GetLedger { student_id: student_id.map(str::to_owned) }).await.unwrap()
        };
        let all = ledger(None).await;
        let states: Vec<_> = all.charges.iter().map(|charge| charge.state).collect();
        use PaymentState::{Charged, Declined, Refunded};
        assert_eq!(states, [Charged, Refunded, Declined, Charged]);
        assert_eq!(all.total_cents, 500);
        assert_eq!(ledger(Some("mina")).await, all);
        assert_eq!(ledger(Some("otto")).await, Ledger { charges: Vec::new(), total_cents: 0 });
    }
}
