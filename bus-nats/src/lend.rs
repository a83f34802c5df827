//! Lending: a connection that owns a part and whose members hold enough hands messages to members of another
//! connection. The verdict comes back to the owner, who alone writes it down.

use std::sync::OnceLock;

use async_nats::client::RequestErrorKind;
use async_nats::{HeaderMap, Message};
use cqrs_core::{LoanSaid, Timestamp};

use crate::letters::Raw;
use crate::link::Link;

/// Headers of a message that is lent, beside its own.
const OWNER: &str = "cqrs-owner";
const TOKEN: &str = "cqrs-token";
const ATTEMPT: &str = "cqrs-attempt";
const SUBJECT: &str = "cqrs-lent-subject";
const SEQUENCE: &str = "cqrs-sequence";

/// A message that another connection lends.
#[derive(Debug)]
pub(crate) struct Lent {
    pub(crate) owner: String,
    /// The owner's.
    pub(crate) token: u64,
    pub(crate) attempt: u32,
    pub(crate) raw: Raw,
}

/// What the other connection says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    No,
    /// Maybe it has it.
    Unknown,
}

/// Lends a message.
pub(crate) async fn lend(
    link: &Link,
    group: &str,
    to: &str,
    token: u64,
    attempt: u32,
    raw: &Raw,
) -> Taken {
    let mut headers = raw.headers.clone();
    headers.insert(OWNER, link.id.as_str());
    headers.insert(SUBJECT, &*raw.subject);
    for (name, number) in [(TOKEN, token), (ATTEMPT, attempt.into()), (SEQUENCE, raw.sequence)] {
        headers.insert(name, number.to_string().as_str());
    }
    let subject = link.subjects.lends(to, group);
    match link.client.request_with_headers(subject, headers, raw.body.clone()).await {
        Ok(answer) if answer.payload.as_ref() == b"yes" => Taken::Yes,
        Ok(_) => Taken::No,
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Taken::No,
        Err(_) => Taken::Unknown,
    }
}

/// Reads a message that is lent.
pub(crate) fn read(message: &Message) -> Option<Lent> {
    let headers = message.headers.as_ref()?;
    let text = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
    let number = |name: &str| text(name)?.parse::<u64>().ok();
    let ours = [OWNER, TOKEN, ATTEMPT, SUBJECT, SEQUENCE];
    let mut own = HeaderMap::new();
    for (name, values) in headers.iter() {
        let name: &str = name.as_ref();
        if !ours.contains(&name)
            && let Some(value) = values.first()
        {
            own.insert(name, value.as_str());
        }
    }
    Some(Lent {
        owner: text(OWNER)?.to_owned(),
        token: number(TOKEN)?,
        attempt: number(ATTEMPT)?.try_into().ok()?,
        raw: Raw {
            sequence: number(SEQUENCE)?,
            subject: text(SUBJECT)?.into(),
            headers: own,
            body: message.payload.clone(),
            // The owner looks at its age.
            stored_at: Timestamp::UNIX_EPOCH,
            read: OnceLock::new(),
        },
    })
}

/// Tells the owner, and waits until it has noted it. `false`: it has not.
pub(crate) async fn tell(link: &Link, group: &str, owner: &str, said: &LoanSaid) -> bool {
    let Ok(text) = serde_json::to_vec(said) else { return false };
    let subject = link.subjects.returns(owner, group);
    let request = async_nats::client::Request::new()
        .payload(text.into())
        .timeout(Some(link.settings.patience));
    let answer = link.client.send_request(subject, request).await;
    answer.is_ok_and(|answer| answer.payload.as_ref() == b"yes")
}
