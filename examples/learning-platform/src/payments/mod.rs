//! Payments: what students are charged, and given back.
//!
//! [`ChargePayment`](requests::ChargePayment) and [`RefundPayment`](requests::RefundPayment) are
//! internal: other parts of the platform send them, and nobody from outside. Each may be sent again,
//! and is answered as it was first.

pub mod payment;
pub mod requests;

mod ledger;

use std::sync::Arc;

use cqrs_core::{AppBuilder, Documents, Result, Store};

use payment::Payment;

/// Adds what stands in this module to an app.
pub fn register(app: AppBuilder) -> AppBuilder {
    app.discover_in("payments")
}

/// Tells the store of the documents.
///
/// # Errors
/// When the store cannot be written.
pub async fn declare(store: Arc<dyn Store>) -> Result<()> {
    Documents::<Payment>::new(store).declare().await
}
