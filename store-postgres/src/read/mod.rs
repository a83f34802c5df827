//! Reading: pages of streams and of the log, documents, and what waits.

mod documents;
mod loads;
mod log;
mod pages;
mod stream;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{Page, PageSize};

use crate::connect::Connector;
use crate::statements::Statements;
use crate::table::Declared;

pub(crate) use documents::{Columns, body_of, count, declare, document, find};
pub(crate) use loads::Loads;
pub(crate) use log::{LogReading, head};
pub(crate) use pages::{pages, patiently};
pub(crate) use stream::StreamReading;
pub(crate) use waiting::{lease, leases, outgoing, parked, timers};

/// Where it is read, and with which statements.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) connector: Arc<Connector>,
    pub(crate) statements: Arc<Statements>,
    pub(crate) declared: Arc<Declared>,
    /// How long it is tried again while the database is out of reach.
    pub(crate) patience: Duration,
}

/// A page takes at least one event, whatever its limits.
fn is_full(page: &Page, size: PageSize) -> bool {
    !page.is_empty() && (page.len() >= size.events as usize || page.size() >= size.bytes)
}

/// A limit for rows.
fn rows(events: u32) -> i32 {
    i32::try_from(events).unwrap_or(i32::MAX)
}
