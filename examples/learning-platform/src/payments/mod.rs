//! Payments: what students are charged, and given back.
//!
//! What can be asked of them is a contract that other services have too: [`learning_contracts::payments`].
//! [`ChargePayment`] and [`RefundPayment`] are for services: they come from this process or over a bus, and
//! from nobody else. Each may be sent again, and is answered as it was first.

pub mod payment;

mod delay;
mod ledger;

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{AppBuilder, Documents, Result, Store};
use learning_contracts::payments::{ChargePayment, GetLedger, RefundPayment};

use delay::PaymentDelay;
use payment::Payment;

/// Adds what stands in this module to an app. Students whose ids begin with `slow-` take so long to
/// pay.
pub fn register(app: AppBuilder, delay: Duration) -> AppBuilder {
    let app = app.discover_in("payments").resource(PaymentDelay::of(delay));
    app.expects::<ChargePayment>().expects::<RefundPayment>().exposes::<GetLedger>()
}

/// Adds the payments of another process to an app: what is asked of them goes over its bus.
pub fn elsewhere(app: AppBuilder) -> AppBuilder {
    app.remote::<ChargePayment>().remote::<RefundPayment>()
}

/// Tells the store of the documents.
///
/// # Errors
/// When the store cannot be written.
pub async fn declare(store: Arc<dyn Store>) -> Result<()> {
    Documents::<Payment>::new(store).declare().await
}
