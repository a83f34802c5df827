//! Courses and enrolments: who teaches what at which price, and who wants to take part.
//!
//! [`requests`] and [`error`] are the contract, [`course`] and [`enrollment`] the rules, [`views`] the
//! documents that queries read. They are written in the commit of the events behind them, so what a
//! command has changed the next query shows.

pub mod course;
pub mod enrollment;
pub mod error;
pub mod requests;
pub mod views;

mod commands;
mod queries;

use std::sync::Arc;

use cqrs_core::{AppBuilder, Documents, Result, Store};

use course::CourseEvent;
use enrollment::EnrollmentEvent;
use views::{StoredCourse, StoredEnrollment};

/// Adds what stands in this module to an app.
pub fn register(app: AppBuilder) -> AppBuilder {
    app.discover_in("learning").reads::<CourseEvent>().reads::<EnrollmentEvent>()
}

/// Tells the store of the documents.
///
/// # Errors
/// When the store cannot be written.
pub async fn declare(store: Arc<dyn Store>) -> Result<()> {
    Documents::<StoredCourse>::new(Arc::clone(&store)).declare().await?;
    Documents::<StoredEnrollment>::new(store).declare().await
}
