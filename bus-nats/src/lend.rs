//! Lending: a connection that owns a part and whose members hold enough hands messages to members of another
//! connection. The verdict comes back to the owner, who alone writes it down.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{HeaderMap, Message};
use cqrs_core::{Timestamp, Verdict};
use serde::{Deserialize, Serialize};

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
    headers.insert(SUBJECT, raw.subject.as_str());
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
            subject: text(SUBJECT)?.to_owned(),
            headers: own,
            body: message.payload.clone(),
            // The owner looks at its age.
            stored_at: Timestamp::UNIX_EPOCH,
        },
    })
}

/// What the borrower of a message tells its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    Ack,
    /// In so many microseconds.
    Retry(u64),
    Park(String),
    /// Nobody settles it; and whether anybody has seen it.
    Back(bool),
    Extend,
}

impl From<Verdict> for Word {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ack => Self::Ack,
            Verdict::Retry(after) => {
                Self::Retry(u64::try_from(after.as_micros()).unwrap_or(u64::MAX))
            }
            Verdict::Park(cause) => Self::Park(cause),
        }
    }
}

impl Word {
    /// As a verdict, if it is one.
    pub(crate) fn verdict(self) -> Result<Verdict, Self> {
        match self {
            Self::Ack => Ok(Verdict::Ack),
            Self::Retry(after) => Ok(Verdict::Retry(Duration::from_micros(after))),
            Self::Park(cause) => Ok(Verdict::Park(cause)),
            Self::Back(_) | Self::Extend => Err(self),
        }
    }
}

/// A word about one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) token: u64,
    pub(crate) word: Word,
}

/// Tells the owner, and waits until it has noted it. `false`: it has not.
pub(crate) async fn tell(link: &Link, group: &str, owner: &str, said: &Said) -> bool {
    let Ok(text) = serde_json::to_vec(said) else { return false };
    let subject = link.subjects.returns(owner, group);
    let request = async_nats::client::Request::new()
        .payload(text.into())
        .timeout(Some(link.settings.patience));
    let answer = link.client.send_request(subject, request).await;
    answer.is_ok_and(|answer| answer.payload.as_ref() == b"yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_come_back_as_they_were() {
        let verdicts =
            [Verdict::Ack, Verdict::Retry(Duration::from_millis(5)), Verdict::Park("no".into())];
        for verdict in verdicts {
            let said = Said { token: 7, word: verdict.clone().into() };
            let text = serde_json::to_string(&said).unwrap();
            let back: Said = serde_json::from_str(&text).unwrap();
            assert_eq!(back.word.verdict(), Ok(verdict));
        }
        assert_eq!(Word::Back(true).verdict(), Err(Word::Back(true)));
    }
}
