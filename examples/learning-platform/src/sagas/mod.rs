//! Sagas: what was begun, how far it is, and what it waits for.

pub mod requests;

mod list;

use cqrs_core::AppBuilder;

/// Adds what stands in this module to an app.
pub fn register(app: AppBuilder) -> AppBuilder {
    app.discover_in("sagas")
}
