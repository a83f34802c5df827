//! What can be asked of payments, and how they say no.

use cqrs_derive::{Command, Query, Rejection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Charges a student. Sent again it answers as it did first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "payments.charge", output = Charge, error = PaymentError)]
#[command(services, shared, schema)]
pub struct ChargePayment {
    /// Chosen by the caller.
    pub payment_id: Uuid,
    /// Who pays.
    #[check(chars = 1..=200)]
    pub student_id: String,
    /// How much.
    pub amount_cents: u64,
}

/// Gives back what was charged. Sent again it answers as it did first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "payments.refund", output = Charge, error = PaymentError)]
#[command(services, shared, schema)]
pub struct RefundPayment {
    /// Which payment.
    pub payment_id: Uuid,
}

/// Asks for all charges, or for those of a student, in the order of their ids.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Query)]
#[query(name = "payments.ledger", output = Ledger, shared, schema)]
pub struct GetLedger {
    /// Only those of this student.
    #[check(chars = 1..=200)]
    pub student_id: Option<String>,
}

/// All charges that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ledger {
    /// One for each payment.
    pub charges: Vec<Charge>,
    /// What was charged and not given back.
    pub total_cents: u64,
}

/// A payment, as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Charge {
    /// Which payment.
    pub payment_id: Uuid,
    /// Who pays.
    pub student_id: String,
    /// How much.
    pub amount_cents: u64,
    /// How it stands.
    pub state: PaymentState,
}

/// How a payment stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// The student has paid.
    #[default]
    Charged,
    /// The student was given the money back.
    Refunded,
    /// The student could not pay.
    Declined,
}

/// Why a request about a payment is refused.
#[derive(
    Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema, Rejection,
)]
pub enum PaymentError {
    /// The id stands for another payment.
    #[error("a payment with this id and another amount or student exists")]
    #[rejection(code = "payments.payment_exists", field = "payment_id")]
    Exists,
    /// There is no such payment, or it was declined.
    #[error("nothing was charged that could be given back")]
    #[rejection(code = "payments.nothing_to_refund", field = "payment_id")]
    NothingToRefund,
}
