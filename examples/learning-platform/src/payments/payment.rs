//! The rules for payments.

use cqrs_core::{Context, Decide, Decision};
use cqrs_derive::{Aggregate, Event};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::requests::{Charge, ChargePayment, PaymentError, PaymentState, RefundPayment};

/// More than this nobody can pay at once.
const LIMIT_CENTS: u64 = 50_000;

/// What happens to a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
pub enum PaymentEvent {
    /// The student paid.
    #[event(name = "payments.charged")]
    Charged {
        /// Who.
        student_id: String,
        /// How much.
        amount_cents: u64,
    },
    /// The student could not pay.
    #[event(name = "payments.declined")]
    Declined {
        /// Who.
        student_id: String,
        /// How much it would have been.
        amount_cents: u64,
    },
    /// The student was given the money back.
    #[event(name = "payments.refunded")]
    Refunded {},
}

/// A payment.
#[derive(Debug, Default, Aggregate)]
#[aggregate(category = "payment", id = Uuid, event = PaymentEvent)]
pub struct Payment {
    pub(super) student_id: String,
    pub(super) amount_cents: u64,
    /// `None`: nobody asked for it.
    pub(super) state: Option<PaymentState>,
}

impl Payment {
    fn on(&mut self, event: &PaymentEvent) {
        let state = match event {
            PaymentEvent::Charged { .. } => PaymentState::Charged,
            PaymentEvent::Declined { .. } => PaymentState::Declined,
            PaymentEvent::Refunded {} => PaymentState::Refunded,
        };
        if let PaymentEvent::Charged { student_id, amount_cents }
        | PaymentEvent::Declined { student_id, amount_cents } = event
        {
            self.student_id.clone_from(student_id);
            self.amount_cents = *amount_cents;
        }
        self.state = Some(state);
    }

    fn shown(&self, payment_id: Uuid, state: PaymentState) -> Charge {
        let (student_id, amount_cents) = (self.student_id.clone(), self.amount_cents);
        Charge { payment_id, student_id, amount_cents, state }
    }
}

type Decided = Result<Decision<PaymentEvent, Charge>, PaymentError>;

impl Decide<ChargePayment> for Payment {
    fn target(command: &ChargePayment) -> Uuid {
        command.payment_id
    }

    fn decide(&self, command: &ChargePayment, _: &Context<'_>) -> Decided {
        let ChargePayment { payment_id, student_id, amount_cents } = command.clone();
        if let Some(state) = self.state {
            if (&self.student_id, self.amount_cents) != (&student_id, amount_cents) {
                return Err(PaymentError::Exists);
            }
            // The first answer, whatever came after it.
            let first = match state {
                PaymentState::Refunded => PaymentState::Charged,
                state => state,
            };
            return Ok(Decision::nothing().returning(self.shown(payment_id, first)));
        }
        let (state, event) = if amount_cents > LIMIT_CENTS {
            let student_id = student_id.clone();
            (PaymentState::Declined, PaymentEvent::Declined { student_id, amount_cents })
        } else {
            let student_id = student_id.clone();
            (PaymentState::Charged, PaymentEvent::Charged { student_id, amount_cents })
        };
        let answer = Charge { payment_id, student_id, amount_cents, state };
        Ok(Decision::event(event).returning(answer))
    }
}

impl Decide<RefundPayment> for Payment {
    fn target(command: &RefundPayment) -> Uuid {
        command.payment_id
    }

    fn decide(&self, command: &RefundPayment, _: &Context<'_>) -> Decided {
        let answer = self.shown(command.payment_id, PaymentState::Refunded);
        match self.state {
            None | Some(PaymentState::Declined) => Err(PaymentError::NothingToRefund),
            Some(PaymentState::Refunded) => Ok(Decision::nothing().returning(answer)),
            Some(PaymentState::Charged) => {
                Ok(Decision::event(PaymentEvent::Refunded {}).returning(answer))
            }
        }
    }
}
