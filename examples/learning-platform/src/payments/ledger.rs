//! The ledger: all payments, and their sum.

use cqrs_core::{Documents, Entity, Failure, FindDocuments, Never};
use cqrs_derive::query_handler;

use super::payment::Payment;
use learning_contracts::payments::{GetLedger, Ledger, PaymentState};

/// Documents that are read at once.
const PAGE: u32 = 1_000;

#[query_handler]
async fn ledger(query: GetLedger, payments: Documents<Payment>) -> Result<Ledger, Failure<Never>> {
    let find = match query.student_id {
        None => FindDocuments::all(Payment::COLLECTION),
        Some(student_id) => FindDocuments::by(Payment::COLLECTION, "student_id", student_id),
    };
    let mut find = find.limit(PAGE);
    let mut ledger = Ledger { charges: Vec::new(), total_cents: 0 };
    loop {
        let page = payments.query(find.clone()).await?;
        let is_last = page.len() < PAGE as usize;
        find.after = page.last().map(|payment| payment.id());
        for payment in page {
            let charge = payment.into_inner().shown();
            if charge.state == PaymentState::Charged {
                ledger.total_cents += charge.amount_cents;
            }
            ledger.charges.push(charge);
        }
        if is_last {
            return Ok(ledger);
        }
    }
}
