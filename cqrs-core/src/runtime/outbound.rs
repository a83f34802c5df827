//! Hands what a commit sends to a bus.

use crate::error::Result;
use crate::port::bus::Bus;
use crate::port::outgoing::PendingMessage;
use crate::port::publisher::OutboundMessage;

/// Sends one message, and waits until the bus has stored it. Sent again under its id it is handed over
/// once, where the bus looks, and applied once by whoever keeps an inbox.
///
/// Errors: as [`Publisher::publish`](crate::Publisher::publish). What
/// [may pass](crate::Error::is_retryable) is worth another try; the rest never passes.
pub(crate) async fn publish(bus: &dyn Bus, pending: &PendingMessage) -> Result<()> {
    let message = OutboundMessage::try_from(pending)?;
    bus.publish(vec![message]).await.map_err(crate::Unpublished::into_first)
}
