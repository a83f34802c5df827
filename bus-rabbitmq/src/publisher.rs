//! Publishing: of each key one message on its way, of many keys at once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cqrs_core::{Error, ErrorKind, OutboundKind, OutboundMessage, Result, Unpublished};
use lapin::BasicProperties;
use tokio::time::Instant;

use crate::error::closed;
use crate::headers;
use crate::link::{Link, lock};
use crate::names::{Names, short};
use crate::session::{Sent, Session};

/// For how long it is believed that nobody listens to a message.
const BELIEVED: Duration = Duration::from_millis(200);

/// Names of which it is remembered whether somebody takes them.
const REMEMBERED: usize = 10_000;

/// What messages are that only ask whether somebody takes a name.
pub(crate) const PROBE: &str = "cqrs-probe";

/// Which names somebody takes, as far as it was asked.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<HashMap<(OutboundKind, String), Answered>>);

#[derive(Debug, Clone, Copy)]
struct Answered {
    is_taken: bool,
    at: Instant,
}

impl Heard {
    /// All is asked anew.
    pub(crate) fn forget(&self) {
        lock(&self.0).clear();
    }

    fn known(&self, kind: OutboundKind, name: &str) -> Option<bool> {
        let known = lock(&self.0);
        let Answered { is_taken, at } = known.get(&(kind, name.to_owned()))?;
        let is_fresh = kind == OutboundKind::Message && at.elapsed() < BELIEVED;
        (*is_taken || is_fresh).then_some(*is_taken)
    }

    fn note(&self, kind: OutboundKind, name: &str, is_taken: bool) {
        let mut known = lock(&self.0);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert((kind, name.to_owned()), Answered { is_taken, at: Instant::now() });
    }
}

/// Publishes them, as [`Publisher::publish`](cqrs_core::Publisher::publish) says.
pub(crate) async fn publish(
    link: &Link,
    messages: Vec<OutboundMessage>,
) -> Result<(), Unpublished> {
    let deadline = link.deadline();
    OutboundMessage::send_in_order(messages, link.settings.window, |message| async move {
        publish_one(link, &message, deadline).await
    })
    .await
}

async fn publish_one(link: &Link, message: &OutboundMessage, deadline: Instant) -> Result<()> {
    message.check(&link.limits)?;
    let OutboundMessage { kind, name, .. } = message;
    let is_command = *kind == OutboundKind::Command;
    let doing = || format!("publishing `{name}`");
    let mut may_be_stored = false;
    loop {
        let session = match link.session_until(&doing(), deadline).await {
            Ok(session) => session,
            Err(error) if may_be_stored => {
                return Err(Error::new(ErrorKind::OutcomeUnknown, doing()).with_source(error));
            }
            Err(error) => return Err(error),
        };
        let why = match is_taken(link, &session, *kind, name).await {
            Ok(false) if is_command => return Err(unroutable(name)),
            Ok(is_taken) => {
                let properties = dated(headers::of(message, &link.settings.name));
                let (exchange, key) = (link.names.exchange(*kind), short(name.clone()));
                let body = message.body.clone();
                match session.send(exchange, key, is_command, properties, body).await {
                    Sent::Stored => {
                        if !is_taken {
                            link.unheard.fetch_add(1, Ordering::Relaxed);
                        }
                        return Ok(());
                    }
                    // Its group was forgotten meanwhile.
                    Sent::Returned => {
                        link.heard.forget();
                        return Err(unroutable(name));
                    }
                    Sent::Refused => {
                        let context = format!("{}: a group that gets it has no room", doing());
                        return Err(Error::new(ErrorKind::Overloaded, context));
                    }
                    Sent::Unknown(why) => {
                        may_be_stored = true;
                        why
                    }
                }
            }
            Err(why) => why,
        };
        if link.is_closed() || Instant::now() >= deadline {
            let context = format!("{}: {why}", doing());
            return Err(match may_be_stored {
                true => Error::new(ErrorKind::OutcomeUnknown, context),
                false if link.is_closed() => closed(),
                false => Error::new(ErrorKind::Unavailable, context),
            });
        }
        tracing::debug!(name, why, "not known to be stored; sent again");
        link.pause().await;
    }
}

fn unroutable(name: &str) -> Error {
    Error::new(ErrorKind::Unroutable, format!("no group takes the command `{name}`"))
}

/// When it was sent, as operators see it, and as its age is told.
pub(crate) fn dated(properties: BasicProperties) -> BasicProperties {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    properties.with_timestamp(now.as_secs())
}

/// Whether a group takes what has this name. That none does is asked of the broker, where it matters now. The body
/// of a message that comes back would be logged by the client: so a message without one is sent first.
async fn is_taken(
    link: &Link,
    session: &Session,
    kind: OutboundKind,
    name: &str,
) -> Result<bool, String> {
    if let Some(is_taken) = link.heard.known(kind, name) {
        return Ok(is_taken);
    }
    let is_taken = probe(link, session, kind, name).await?;
    link.heard.note(kind, name, is_taken);
    Ok(is_taken)
}

/// Asks the broker whether a group takes what has this name.
pub(crate) async fn probe(
    link: &Link,
    session: &Session,
    kind: OutboundKind,
    name: &str,
) -> Result<bool, String> {
    let properties = BasicProperties::default()
        .with_type(PROBE.into())
        .with_expiration("0".into())
        .with_message_id(short(format!("probe-{}", link.next())));
    let key = Names::probe_key(kind, name);
    match session.send(link.names.probe(), key, true, properties, Bytes::new()).await {
        Sent::Stored | Sent::Refused => Ok(true),
        Sent::Returned => Ok(false),
        Sent::Unknown(why) => Err(why),
    }
}
