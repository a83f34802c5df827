//! What the services of the learning platform ask of each other: types, and nothing that handles them.
//!
//! Whoever answers has handlers for these types; whoever asks sends them, to a
//! [`Remote`](cqrs_core::Remote) in its app or with a [`ServiceClient`](cqrs_core::ServiceClient):
//!
//! ```
//! use cqrs_core::{App, BoxError, connect_bus};
//! use learning_contracts::payments::{ChargePayment, GetLedger};
//!
//! # async fn example() -> Result<(), BoxError> {
//! let bus = connect_bus("memory:", "shop").await?;
//! let app = App::builder().shared_bus(bus).remote::<ChargePayment>().remote::<GetLedger>().build()?;
//! let ledger = app.ask(GetLedger { student_id: None }).await?;
//! # Ok(())
//! # }
//! ```

pub mod payments;
