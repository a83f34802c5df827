//! Notifications: what students are told. One when an enrolment becomes active, and no other.
//!
//! They follow the events: what a handler writes is one commit with its checkpoint, so that each event
//! is told once.

pub mod notification;
pub mod requests;

use std::sync::Arc;

use cqrs_core::{AppBuilder, Documents, Result, Store};

use notification::Notification;

/// Adds what stands in this module to an app.
pub fn register(app: AppBuilder) -> AppBuilder {
    app.discover_in("notifications")
}

/// Tells the store of the documents.
///
/// # Errors
/// When the store cannot be written.
pub async fn declare(store: Arc<dyn Store>) -> Result<()> {
    Documents::<Notification>::new(store).declare().await
}
