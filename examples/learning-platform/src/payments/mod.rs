//! Payments: what students are charged, and given back.
//!
//! [`ChargePayment`](requests::ChargePayment) and [`RefundPayment`](requests::RefundPayment) are
//! internal: other parts of the platform send them, and nobody from outside. Each may be sent again,
//! and is answered as it was first.

pub mod payment;
pub mod requests;

mod delay;
mod ledger;

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{AppBuilder, Documents, Result, Store};

use delay::PaymentDelay;
use payment::Payment;

/// Adds what stands in this module to an app. Students whose ids begin with `slow-` take so long to
/// pay.
pub fn register(app: AppBuilder, delay: Duration) -> AppBuilder {
    app.discover_in("payments").resource(PaymentDelay::of(delay))
}

/// Tells the store of the documents.
///
/// # Errors
/// When the store cannot be written.
pub async fn declare(store: Arc<dyn Store>) -> Result<()> {
    Documents::<Payment>::new(store).declare().await
}
