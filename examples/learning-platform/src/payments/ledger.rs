//! The ledger: a document for each payment, written with its events.

use cqrs_core::{Entity, Error, Loaded, Work};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::payment::Payment;
use super::requests::Charge;

/// The document of a payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct StoredCharge {
    pub(super) charge: Charge,
}

impl StoredCharge {
    /// Writes what a payment looks like now.
    pub(super) async fn write(
        work: &Work,
        payment_id: Uuid,
        payment: &Loaded<Payment>,
    ) -> Result<(), Error> {
        let Some(state) = payment.state else { return Ok(()) };
        let (student_id, amount_cents) = (payment.student_id.clone(), payment.amount_cents);
        let document = Self { charge: Charge { payment_id, student_id, amount_cents, state } };
        match work.get::<Self>(&document.id()).await? {
            None => work.insert(&document),
            Some(mut before) => {
                *before = document;
                work.save(&before)
            }
        }
    }
}

impl Entity for StoredCharge {
    const COLLECTION: &'static str = "charge";
    const INDEXED: &'static [&'static str] = &["student_id"];

    fn id(&self) -> String {
        self.charge.payment_id.to_string()
    }
}
