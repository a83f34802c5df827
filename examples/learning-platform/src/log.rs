//! What the service says of itself, on stderr: never what is in a request or an event.

use std::env;

use cqrs_core::BoxError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::settings::LogFormat;

/// Begins the log. What is in it is `RUST_LOG`'s to say: a level, or targets with levels.
///
/// # Errors
/// When `RUST_LOG` cannot be read, or a log was begun before.
pub fn begin(format: LogFormat) -> Result<(), BoxError> {
    let wanted = env::var("RUST_LOG").unwrap_or_default();
    let wanted = if wanted.trim().is_empty() { "info" } else { &wanted };
    let filter = EnvFilter::try_new(wanted)
        .map_err(|error| format!("RUST_LOG={wanted:?} is no filter: {error}"))?;
    let layer = match format {
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(std::io::stderr).boxed(),
    };
    Ok(Registry::default().with(layer.with_filter(filter)).try_init()?)
}
