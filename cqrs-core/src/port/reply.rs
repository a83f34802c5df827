//! What a request over a bus is answered, and its form on the wire.

use std::fmt;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::port::Position;
use crate::port::bus::BusLimits;
use crate::port::check::{text, within};
use crate::port::cloud_event::{Event, SEQUENCE, parsed};
use crate::port::delivery::InboundMessage;

/// Bytes of a text for people in an answer; what is more is cut off.
const DETAIL: usize = 1_000;

/// Bytes of a code or of the name of a field; what is more is cut off.
const NAME: usize = 200;

/// What a request is answered. See [`Requester`](crate::Requester) for an example.
///
/// On the wire it is a CloudEvent in binary mode, as a message is, with these attributes beside `id`, `source`,
/// `time` and `datacontenttype`:
///
/// | attribute | from |
/// |---|---|
/// | `type` | name of the request, with `.reply` behind it |
/// | `kind` | `reply` |
/// | `causationid` | id of the request |
/// | `correlationid`, `tenant`, `traceparent` | those of the request; its id where it has no correlation |
/// | `status` | `done`, `rejected` or `failed` |
/// | `code`, `field`, `detail` | of a [`No`], unless it was done |
/// | `sequence` | [`position`](Self::position), in 20 digits |
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyMessage {
    /// What came of the request.
    pub status: ReplyStatus,
    /// Position of the commit behind it, in the log of the service that answers.
    pub position: Option<Position>,
    /// Media type of the body.
    pub content_type: String,
    /// The output, or the rejection, in its wire form; empty when it failed.
    pub body: Bytes,
}

/// What came of a request. See [`ReplyMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyStatus {
    /// It was done; the body is the output.
    Done,
    /// The domain said no; the body is the rejection.
    Rejected(No),
    /// The machinery broke, or was handed something it cannot take. The code is
    /// [`ErrorKind::name`], or `unsendable`: the answer is one that the bus does not take.
    Failed(No),
}

/// Why not. See [`ReplyMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct No {
    /// For programs.
    pub code: String,
    /// The field to blame, where one is known.
    pub field: Option<String>,
    /// For people.
    pub detail: String,
}

impl No {
    /// A no with its code and its text, which are cut where they are too long for a header.
    pub fn new(code: impl Into<String>, field: Option<String>, detail: impl Into<String>) -> Self {
        let field = field.map(|field| cut(field, NAME));
        Self { code: cut(code.into(), NAME), field, detail: cut(detail.into(), DETAIL) }
    }
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

impl ReplyMessage {
    /// It was done, with this output as JSON.
    pub fn done(body: impl Into<Bytes>) -> Self {
        Self::of(ReplyStatus::Done, body)
    }

    /// The domain said no, with this rejection as JSON.
    pub fn rejected(no: No, body: impl Into<Bytes>) -> Self {
        Self::of(ReplyStatus::Rejected(no), body)
    }

    /// It failed.
    pub fn failed(error: &Error) -> Self {
        let field = match error.kind() {
            ErrorKind::Decode { field, .. } | ErrorKind::Invalid { field } => field.clone(),
            _ => None,
        };
        let no = No::new(error.kind().name(), field, error.to_string());
        Self::of(ReplyStatus::Failed(no), Bytes::new())
    }

    /// The answer is one that the bus does not take. What was asked for is done: whoever asked is not to
    /// blame, and to ask for the same again is of no use.
    pub fn unsendable(error: &Error) -> Self {
        let no = No::new("unsendable", None, error.to_string());
        Self::of(ReplyStatus::Failed(no), Bytes::new())
    }

    fn of(status: ReplyStatus, body: impl Into<Bytes>) -> Self {
        let content_type = "application/json".to_owned();
        Self { status, position: None, content_type, body: body.into() }
    }

    /// Checks it against what a bus takes. Every adapter calls it before it answers, and answers that it is
    /// [unsendable](Self::unsendable) when there is an error.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) or [`TooLarge`](ErrorKind::TooLarge), naming what is to blame.
    pub fn check(&self, to: &InboundMessage, limits: &BusLimits) -> Result<()> {
        text("content_type", &self.content_type, limits.name)?;
        within(|| format!("the answer to {}", to.name), self.body.len(), limits.body)
    }

    /// Its attributes as a CloudEvent, `source` being who answers: for adapters.
    ///
    /// ```
    /// use cqrs_core::{InboundMessage, Metadata, ReplyMessage};
    ///
    /// let asked = InboundMessage {
    ///     metadata: Metadata::default(),
    ///     name: "double".into(),
    ///     content_type: "application/json".into(),
    ///     body: "4".into(),
    ///     attempt: 1,
    /// };
    /// let reply = ReplyMessage::done("8");
    /// let attributes = reply.attributes(&asked, "calculator");
    /// assert!(attributes.contains(&("type", "double.reply".into())));
    ///
    /// let attributes = attributes.iter().map(|(name, value)| (*name, &**value));
    /// assert_eq!(ReplyMessage::of_attributes(attributes, reply.body.clone())?, reply);
    /// # Ok::<_, cqrs_core::Error>(())
    /// ```
    pub fn attributes(&self, to: &InboundMessage, source: &str) -> Vec<(&'static str, String)> {
        let Self { status, position, content_type, body: _ } = self;
        let asked = &to.metadata;
        let id = asked.id();
        let mut metadata = Metadata::of(MessageId::fresh()).with_causation(id);
        metadata = match asked.correlation() {
            Some(correlation) => metadata.with_correlation(correlation),
            None => metadata.with_correlation(id.to_string()),
        };
        if let Some(tenant) = asked.tenant() {
            metadata = metadata.with_tenant(tenant);
        }
        if let Some(trace) = asked.traceparent() {
            metadata = metadata.with_traceparent(trace);
        }
        let name = format!("{}.reply", to.name);
        let event = Event {
            metadata: &metadata,
            kind: "reply",
            name: &name,
            key: None,
            content_type,
            position: *position,
        };
        let (status, no) = match status {
            ReplyStatus::Done => ("done", None),
            ReplyStatus::Rejected(no) => ("rejected", Some(no)),
            ReplyStatus::Failed(no) => ("failed", Some(no)),
        };
        let mut attributes: Vec<(&str, String)> =
            event.named(source).map(|(name, value)| (name, value.into_owned())).collect();
        attributes.push(("status", status.to_owned()));
        if let Some(No { code, field, detail }) = no {
            let texts = [("code", Some(code)), ("field", field.as_ref()), ("detail", Some(detail))];
            let given = texts.into_iter().filter_map(|(name, text)| Some((name, text?)));
            // Not every binding tells an empty one from none.
            let given = given.filter(|(_, text)| !text.is_empty());
            attributes.extend(given.map(|(name, text)| (name, text.clone())));
        }
        attributes
    }

    /// The answer with these attributes, in any order: for adapters. A CloudEvent without a `status` is
    /// taken for one that was done: an answer of others, who need not know this suite.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), naming the attribute, as [`InboundMessage::of_attributes`].
    pub fn of_attributes<'a>(
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: Bytes,
    ) -> Result<Self> {
        let mut position = None;
        let attributes: Vec<_> = attributes.into_iter().collect();
        if let Some((_, value)) = attributes.iter().find(|(name, _)| *name == SEQUENCE) {
            position = Some(parsed(SEQUENCE, value)?);
        }
        let message = InboundMessage::of_attributes(attributes, body, 1)?;
        let text = |name| message.metadata.extension(name);
        let no = || {
            let code = text("code").unwrap_or_default();
            No::new(code, text("field").map(str::to_owned), text("detail").unwrap_or_default())
        };
        let status = match text("status") {
            None | Some("done") => ReplyStatus::Done,
            Some("rejected") => ReplyStatus::Rejected(no()),
            Some("failed") => ReplyStatus::Failed(no()),
            Some(other) => {
                let other: String = other.chars().take(40).collect();
                let context = format!(
                    "the attribute `status` is {other:?}: `done`, `rejected` or `failed` is one"
                );
                return Err(Error::invalid_field("status", context));
            }
        };
        Ok(Self { status, position, content_type: message.content_type, body: message.body })
    }
}

/// Without what it says.
impl fmt::Debug for ReplyMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, position, body, .. } = self;
        let mut reply = f.debug_struct("ReplyMessage");
        let code = match status {
            ReplyStatus::Done => "done",
            ReplyStatus::Rejected(no) | ReplyStatus::Failed(no) => &no.code,
        };
        reply.field("code", &code).field("position", position).field("bytes", &body.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked() -> InboundMessage {
        InboundMessage {
            metadata: Metadata::of(MessageId::from_u128(7)).with_tenant("acme"),
            name: "bank.open".to_owned(),
            content_type: "application/json".to_owned(),
            body: Bytes::new(),
            attempt: 1,
        }
    }

    fn read(reply: &ReplyMessage) -> Result<ReplyMessage> {
        let attributes = reply.attributes(&asked(), "bank");
        let attributes = attributes.iter().map(|(name, value)| (*name, &**value));
        ReplyMessage::of_attributes(attributes, reply.body.clone())
    }

    #[test]
    fn each_attribute_stands_under_its_name() {
        let no = No::new("bank.closed", Some("account".to_owned()), "the account is closed");
        let reply = ReplyMessage { position: Some(41), ..ReplyMessage::rejected(no, "{}") };
        let mut attributes = reply.attributes(&asked(), "bank");
        attributes.retain(|(name, _)| *name != "id");
        attributes.sort();
        let expected = [
            ("causationid", "00000000-0000-0000-0000-000000000007"),
            ("code", "bank.closed"),
            ("correlationid", "00000000-0000-0000-0000-000000000007"),
            ("datacontenttype", "application/json"),
            ("detail", "the account is closed"),
            ("field", "account"),
            ("kind", "reply"),
            ("sequence", "00000000000000000041"),
            ("source", "bank"),
            ("specversion", "1.0"),
            ("status", "rejected"),
            ("tenant", "acme"),
            ("type", "bank.open.reply"),
        ];
        assert_eq!(attributes, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn what_is_no_answer_is_refused_by_attribute() {
        let least = [("specversion", "1.0"), ("id", "7"), ("source", "/shop"), ("type", "x")];
        let with =
            |more| ReplyMessage::of_attributes(least.into_iter().chain([more]), Bytes::new());
        assert_eq!(with(("status", "done")).unwrap().status, ReplyStatus::Done);
        assert_eq!(with(("note", "no status")).unwrap().status, ReplyStatus::Done);
        for wrong in [("status", "maybe"), ("sequence", "x"), ("deadline", "soon")] {
            let error = with(wrong).unwrap_err();
            let ErrorKind::Invalid { field: Some(field) } = error.kind() else {
                panic!("{error:?}")
            };
            assert_eq!(field, wrong.0);
        }
        assert!(ReplyMessage::of_attributes([], Bytes::new()).is_err());
    }

    #[test]
    fn what_an_error_says_is_cut_between_two_letters() {
        let error = Error::new(ErrorKind::Internal, "ä".repeat(700));
        let ReplyStatus::Failed(no) = ReplyMessage::failed(&error).status else { panic!() };
        assert_eq!((no.code.as_str(), no.detail), ("internal", "ä".repeat(500)));
    }

    proptest! {
        #[test]
        fn whatever_is_answered_comes_back(
            status in 0..3u8,
            code in "[a-z_.]{1,30}",
            field in prop::option::of(".{1,20}"),
            detail in ".{0,30}",
            position in prop::option::of(any::<u64>()),
            body in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let no = No::new(code, field, detail);
            let status = match status {
                0 => ReplyStatus::Done,
                1 => ReplyStatus::Rejected(no),
                _ => ReplyStatus::Failed(no),
            };
            let reply = ReplyMessage {
                status, position, content_type: "text/plain".to_owned(), body: body.into(),
            };
            prop_assert_eq!(read(&reply).unwrap(), reply);
        }
    }
}
