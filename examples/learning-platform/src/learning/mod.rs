//! Courses, tutors and enrolments: who teaches what at which price, and who wants to take part.
//!
//! [`requests`], [`views`] and [`error`] are the contract, [`course`] and [`enrollment`] the rules. Their
//! states are documents, written in the commit of the events behind them, and queries read the same
//! documents: what a command has changed, the next query shows.
//!
//! What follows from a request for a place is the matter of two sagas: [`enrolling`] until the student
//! takes part or does not, [`leaving`] when one who took part gives up. They send the commands of
//! [`steps`], and those of the payments.

pub mod course;
pub mod enrolling;
pub mod enrollment;
pub mod error;
pub mod leaving;
pub mod requests;
pub mod seat;
pub mod steps;
pub mod tutors;
pub mod views;

mod queries;

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{AppBuilder, Documents, Result, Store};

use course::Course;
use enrolling::Enrolling;
use enrollment::Enrollment;
use leaving::Leaving;
use seat::Seat;
use tutors::by_subject::BySubject;
use tutors::profile::Tutor;

/// Adds what stands in this module to an app. A payment may take so long.
pub fn register(app: AppBuilder, payment_timeout: Duration, tutors: BySubject) -> AppBuilder {
    app.discover_in("learning").resource(tutors).saga(Enrolling { payment_timeout }).saga(Leaving)
}

/// Tells the store of the documents.
///
/// # Errors
/// When the store cannot be written.
pub async fn declare(store: Arc<dyn Store>) -> Result<()> {
    Documents::<Course>::new(Arc::clone(&store)).declare().await?;
    Documents::<Enrollment>::new(Arc::clone(&store)).declare().await?;
    Documents::<Seat>::new(Arc::clone(&store)).declare().await?;
    Documents::<Tutor>::new(store).declare().await
}
