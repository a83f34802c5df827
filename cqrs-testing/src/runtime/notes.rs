//! What the cases write and handle: notes, commands that make them, and what handlers keep of them.

use cqrs_core::{
    Aggregate, Append, Batch, Command, Commit, Context, Decide, Decision, Entity, Event, EventType,
    Expected, HandlerError, Never, NewEvent, Payload, Request, RequestKind, Res, StreamId, Work,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::runtime::hand::Hand;
use crate::store::make::body;

/// The category of the streams of notes.
pub(crate) const NOTE: &str = "note";

/// The type of the event.
pub(crate) const NOTED: &str = "notes.noted";

/// Something was noted under a key: the event that the handlers and the sinks of the runtime suite
/// take. See [`SinkUnderTest`](crate::SinkUnderTest) for an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noted {
    /// The key: there is a stream for each.
    pub key: String,
    /// What was noted.
    pub n: u32,
}

impl Event for Noted {
    const TYPES: &'static [EventType] = &[EventType::new(NOTED, "Noted")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// Something that most handlers do not take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Crossed {
    pub(crate) key: String,
}

impl Event for Crossed {
    const TYPES: &'static [EventType] = &[EventType::new("notes.crossed", "Crossed")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// A note as an event.
pub(crate) fn noted(key: &str, n: u32) -> NewEvent {
    NewEvent::new(NOTED, Payload::Json(body(&json!({ "key": key, "n": n }))))
}

/// An event of the other type.
pub(crate) fn crossed(key: &str) -> NewEvent {
    NewEvent::new("notes.crossed", Payload::Json(body(&json!({ "key": key }))))
}

/// A note that no handler can read.
pub(crate) fn garbled() -> NewEvent {
    NewEvent::new(NOTED, Payload::Json(body(&json!({ "what": "is this" }))))
}

/// A commit of events for the stream of a key.
pub(crate) fn to_stream(key: &str, events: Vec<NewEvent>) -> Commit {
    let append = Append { stream: StreamId::new(NOTE, key), expected: Expected::Any, events };
    Commit { appends: vec![append], ..Commit::default() }
}

/// What was noted under a key, as a handler with a `Work` keeps it: one entry for each time that its
/// effect was committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) key: String,
    pub(crate) notes: Vec<u32>,
}

impl Entity for Tally {
    const COLLECTION: &'static str = "notes.tally";

    fn id(&self) -> String {
        self.key.clone()
    }
}

/// A handler with effects elsewhere.
pub(crate) async fn hear(note: Noted, Res(hand): Res<Hand>) -> Result<(), HandlerError> {
    hand.take(&note).await
}

/// The same, of the other type.
pub(crate) async fn hear_crossed(event: Crossed, Res(hand): Res<Hand>) -> Result<(), HandlerError> {
    hand.take(&Noted { key: event.key, n: 0 }).await
}

/// A handler whose effect is committed with its checkpoint.
pub(crate) async fn tally(
    note: Noted,
    Res(hand): Res<Hand>,
    work: Work,
) -> Result<(), HandlerError> {
    add(&work, &note.key, [note.n]).await?;
    // Afterwards: what it gathered is at stake when it fails or the process dies.
    hand.take(&note).await
}

/// A handler of several events whose effect is committed with its checkpoint.
pub(crate) async fn tally_many(
    notes: Batch<Noted>,
    Res(hand): Res<Hand>,
    work: Work,
) -> Result<(), HandlerError> {
    let mut keys: Vec<&str> = notes.iter().map(|note| &*note.message.key).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let of_key = notes.iter().filter(|note| note.message.key == key);
        add(&work, key, of_key.map(|note| note.message.n)).await?;
    }
    let notes: Vec<Noted> = notes.into_iter().map(|note| note.message).collect();
    hand.take_all(&notes).await
}

pub(crate) async fn add(
    work: &Work,
    key: &str,
    notes: impl IntoIterator<Item = u32>,
) -> Result<(), HandlerError> {
    match work.get::<Tally>(key).await? {
        Some(mut tally) => {
            tally.notes.extend(notes);
            work.save(&tally)?;
        }
        None => {
            work.insert(&Tally { key: key.to_owned(), notes: notes.into_iter().collect() })?;
        }
    }
    Ok(())
}

/// Notes something.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) key: String,
    pub(crate) n: u32,
}

impl Request for Note {
    const NAME: &'static str = "notes.note";
    const KIND: RequestKind = RequestKind::Command;
    type Output = ();
    type Error = Never;

    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Command for Note {}

/// The notes of a key.
#[derive(Debug, Default)]
pub(crate) struct Notebook;

impl Aggregate for Notebook {
    const CATEGORY: &'static str = NOTE;
    type Id = String;
    type Event = Noted;

    fn apply(&mut self, _: &Noted) {}
}

impl Decide<Note> for Notebook {
    fn target(command: &Note) -> String {
        command.key.clone()
    }

    fn decide(&self, command: &Note, _: &Context<'_>) -> Result<Decision<Noted>, Never> {
        Ok(Decision::event(Noted { key: command.key.clone(), n: command.n }))
    }
}
