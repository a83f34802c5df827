//! The handlers: load, decide, and write events and documents in one commit; read the ledger.

use cqrs_core::{Command, Decide, Documents, Entity, Failure, FindDocuments, Never, Work};
use cqrs_derive::{command_handler, query_handler};

use super::ledger::StoredCharge;
use super::payment::Payment;
use super::requests::{
    Charge, ChargePayment, GetLedger, Ledger, PaymentError, PaymentState, RefundPayment,
};

/// Documents that are read at once.
const PAGE: u32 = 1_000;

#[command_handler]
async fn charge(command: ChargePayment, work: Work) -> Result<Charge, Failure<PaymentError>> {
    on_payment(&command, &work).await
}

#[command_handler]
async fn refund(command: RefundPayment, work: Work) -> Result<Charge, Failure<PaymentError>> {
    on_payment(&command, &work).await
}

async fn on_payment<C>(command: &C, work: &Work) -> Result<C::Output, Failure<C::Error>>
where
    C: Command,
    Payment: Decide<C>,
{
    let payment_id = Payment::target(command);
    let mut payment = work.load::<Payment>(&payment_id).await?;
    let before = payment.version();
    let output = work.decide(&mut payment, command)?;
    if payment.version() > before {
        StoredCharge::write(work, payment_id, &payment).await?;
    }
    Ok(output)
}

#[query_handler]
async fn ledger(
    query: GetLedger,
    charges: Documents<StoredCharge>,
) -> Result<Ledger, Failure<Never>> {
    let mut find = match query.student_id {
        None => FindDocuments::all(StoredCharge::COLLECTION),
        Some(student_id) => FindDocuments::by(StoredCharge::COLLECTION, "student_id", student_id),
    };
    find.limit = PAGE;
    let mut ledger = Ledger { charges: Vec::new(), total_cents: 0 };
    loop {
        let page = charges.query(find.clone()).await?;
        let is_last = page.len() < PAGE as usize;
        find.after = page.last().map(|charge| charge.id());
        for stored in page {
            let charge = stored.into_inner().charge;
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
