//! The box office of a theatre: it hears what a web shop wants, tells what was sold, and answers how many seats are
//! free. The web shop is written in Python.

pub mod contract;
pub mod show;
pub mod wanted;

use std::sync::Arc;

use cqrs_core::{App, Bus, Result, Store};

/// The service, with its store and its bus.
///
/// # Errors
/// When the parts do not fit together.
pub fn app(store: Arc<dyn Store>, bus: Arc<dyn Bus>) -> Result<App> {
    App::builder()
        .shared_store(store)
        .shared_bus(bus)
        .discover()
        .listens("theatre.wanted", wanted::reserve)
        .translate("theatre.told", contract::told)
        .build()
}
