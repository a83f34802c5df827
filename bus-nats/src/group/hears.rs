//! What other connections say: each kind under a subject of its own.

use std::sync::Arc;

use async_nats::Message;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::Event;
use crate::lend;
use crate::link::Link;

/// Hears what is said under a subject.
pub(super) async fn listen(
    link: Arc<Link>,
    subject: String,
    events: mpsc::UnboundedSender<Event>,
    read: fn(&Message) -> Option<Event>,
) {
    let Ok(mut heard) = link.client.subscribe(subject).await else { return };
    while let Some(message) = heard.next().await {
        if let Some(event) = read(&message)
            && events.send(event).is_err()
        {
            return;
        }
    }
}

pub(super) fn told(message: &Message) -> Option<Event> {
    serde_json::from_slice(&message.payload).ok().map(Event::Told)
}

pub(super) fn lent(message: &Message) -> Option<Event> {
    let lent = Box::new(lend::read(message)?);
    Some(Event::Lent { lent, reply: message.reply.clone() })
}

pub(super) fn said(message: &Message) -> Option<Event> {
    let said = serde_json::from_slice(&message.payload).ok()?;
    Some(Event::Said { said, reply: message.reply.clone() })
}
