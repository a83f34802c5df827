//! What connections say to each other: of their groups, of messages that they lend, of requests that are given up.
//! Nothing of it is stored, and what is lost is made up for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use cqrs_core::{LoanSaid, LoanWord};
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Consumer};
use tokio::sync::oneshot;

use crate::group::Event;
use crate::headers;
use crate::link::{Link, lock};
use crate::names::{Names, short};
use crate::raw::{Raw, with_headers};
use crate::session::{Sent, Session};

/// What is said, in the property `type`.
const ROOM: &str = "cqrs-room";
const LEND: &str = "cqrs-lend";
const SAID: &str = "cqrs-said";
const NOTED: &str = "cqrs-noted";
const PING: &str = "cqrs-ping";
const GIVEN_UP: &str = "cqrs-given-up";

/// Headers of it.
const GROUP: &str = "cqrs-group";
const CONNECTION: &str = "cqrs-connection";
const TOKEN: &str = "cqrs-token";
const ATTEMPT: &str = "cqrs-attempt";
const TYPE: &str = "cqrs-type";

/// Who waits to hear that what was said of a message is noted.
#[derive(Debug, Default)]
pub(crate) struct Noting(Mutex<HashMap<u64, oneshot::Sender<bool>>>);

/// A message that another connection lends.
#[derive(Debug)]
pub(crate) struct Lent {
    /// The connection of its owner.
    pub(crate) owner: String,
    /// The owner's.
    pub(crate) token: u64,
    pub(crate) attempt: u32,
    pub(crate) raw: Raw,
}

/// The way back to whoever said something.
#[derive(Debug)]
pub(crate) struct Back {
    connection: String,
    number: u64,
}

/// Hears what other connections say to this one.
pub(crate) async fn hear(link: Weak<Link>, session: Arc<Session>, mut post: Consumer) {
    while let Some(Ok(delivery)) = post.next().await {
        let Some(link) = link.upgrade() else { return };
        if take(&link, delivery).is_none() {
            tracing::debug!(session = session.id, "something was said that cannot be read");
        }
    }
    session.fail();
}

fn take(link: &Link, delivery: Delivery) -> Option<()> {
    let kind = delivery.properties.kind().as_ref()?.as_str().to_owned();
    match kind.as_str() {
        PING => return Some(()),
        GIVEN_UP => {
            link.underway.give_up(std::str::from_utf8(&delivery.data).ok()?);
            return Some(());
        }
        _ => {}
    }
    let given = delivery.properties.headers().clone()?;
    let text = |name: &str| headers::text(&given, name).map(std::borrow::Cow::into_owned);
    let number = |name: &str| text(name)?.parse::<u64>().ok();
    if kind == NOTED {
        if let Some(waits) = lock(&link.noting.0).remove(&number(TOKEN)?) {
            let _ = waits.send(delivery.data == b"yes");
        }
        return Some(());
    }
    let connection = text(CONNECTION)?;
    let event = match kind.as_str() {
        ROOM => Event::Room { connection, room: number(TOKEN)?.try_into().ok()? },
        SAID => {
            let said: LoanSaid = serde_json::from_slice(&delivery.data).ok()?;
            Event::Said { said, back: Back { connection, number: number(TOKEN)? } }
        }
        LEND => {
            let (token, attempt) = (number(TOKEN)?, number(ATTEMPT)?.try_into().ok()?);
            let mut raw = Raw::of(delivery);
            raw.properties = with_headers(&raw.properties, |headers| {
                for name in [GROUP, CONNECTION, TOKEN, ATTEMPT, TYPE] {
                    headers.remove(name);
                }
            });
            Event::Lent(Box::new(Lent { owner: connection, token, attempt, raw }))
        }
        _ => return None,
    };
    let groups = lock(&link.groups);
    let _ = groups.get(&text(GROUP)?)?.send(event);
    Some(())
}

fn said(kind: &str, texts: &[(&str, &str)]) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, text) in texts {
        headers.insert((*name).into(), AMQPValue::LongString((*text).into()));
    }
    BasicProperties::default().with_type(kind.into()).with_headers(headers)
}

/// Tells all who have members of a group how many messages those of this connection hold at once.
pub(crate) fn tell_room(session: &Session, names: &Names, group: &str, room: u32) {
    let room = room.to_string();
    let texts = [(GROUP, group), (CONNECTION, session.id.as_str()), (TOKEN, room.as_str())];
    session.say(names.post(), Names::post_of(group), said(ROOM, &texts), &[]);
}

/// Lends a message to another connection.
pub(crate) fn lend(
    session: &Session,
    names: &Names,
    (group, to): (&str, &str),
    (token, attempt): (u64, u32),
    raw: &Raw,
) {
    let (token, attempt) = (token.to_string(), attempt.to_string());
    let texts = [
        (GROUP, group),
        (CONNECTION, session.id.as_str()),
        (TOKEN, token.as_str()),
        (ATTEMPT, attempt.as_str()),
    ];
    let properties = with_headers(&raw.properties, |headers| {
        for (name, text) in texts {
            headers.insert(name.into(), AMQPValue::LongString(text.into()));
        }
    });
    let properties = properties.with_type(LEND.into()).with_delivery_mode(1);
    session.say(ShortString::default(), names.connection(to), properties, &raw.body);
}

/// Tells the owner of a message what became of it, and waits until it has noted that. `false`: it has not.
pub(crate) async fn tell_owner(link: &Link, group: &str, owner: &str, said_of: &LoanSaid) -> bool {
    let Some(session) = link.current() else { return false };
    let Ok(text) = serde_json::to_vec(said_of) else { return false };
    let number = link.next();
    let (sender, noted) = oneshot::channel();
    lock(&link.noting.0).insert(number, sender);
    let told = number.to_string();
    let texts = [(GROUP, group), (CONNECTION, session.id.as_str()), (TOKEN, told.as_str())];
    let queue = link.names.connection(owner);
    session.say(ShortString::default(), queue, said(SAID, &texts), &text);
    // Who extends goes on without an answer.
    let patience = match said_of.word {
        LoanWord::Extend => link.settings.patience.min(std::time::Duration::from_secs(2)),
        _ => link.settings.patience,
    };
    let noted = tokio::select! {
        noted = tokio::time::timeout(patience, noted) => matches!(noted, Ok(Ok(true))),
        () = session.over() => false,
    };
    lock(&link.noting.0).remove(&number);
    noted
}

/// Tells whoever said something whether it is noted.
pub(crate) fn note(session: &Session, names: &Names, back: &Back, is_noted: bool) {
    let number = back.number.to_string();
    let properties = said(NOTED, &[(TOKEN, number.as_str())]);
    let text: &[u8] = if is_noted { b"yes" } else { b"no" };
    session.say(ShortString::default(), names.connection(&back.connection), properties, text);
}

/// Whether a connection lives. The server knows at once when its process has died.
pub(crate) async fn lives(session: &Session, link: &Link, connection: &str) -> bool {
    let number = short(format!("ping-{}", link.next()));
    let properties = said(PING, &[]).with_message_id(number);
    let queue = link.names.connection(connection);
    let sent = session.send(ShortString::default(), queue, true, properties, Bytes::new());
    !matches!(sent.await, Sent::Returned)
}

/// Tells all who answer requests that one is given up.
pub(crate) fn give_up(session: &Session, names: &Names, id: &str) {
    session.say(names.post(), Names::given_up(), said(GIVEN_UP, &[]), id.as_bytes());
}
