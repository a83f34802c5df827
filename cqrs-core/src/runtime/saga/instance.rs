//! The durable record of one instance of a saga: a document, so that any node goes on with it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::message::id::MessageId;
use crate::message::payload::{Json, Payload};
use crate::message::timestamp::Timestamp;
use crate::runtime::saga::hex;
use crate::schema::entity::Entity;

/// Entries of the history that are kept.
const HISTORY: usize = 64;

/// Steps that are kept: the oldest answered ones that nothing takes back go first.
const STEPS: usize = 256;

/// Characters of a reason that are kept.
const REASON: usize = 500;

/// How an instance of a saga stands. See [`Sagas`](crate::Sagas) for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SagaStatus {
    /// It goes on.
    Running,
    /// What it did is being taken back.
    Compensating,
    /// It has ended, and well.
    Completed,
    /// It has ended, and not well.
    Failed,
    /// It has ended because somebody wanted it to.
    Cancelled,
}

impl SagaStatus {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Compensating, Self::Completed, Self::Failed, Self::Cancelled];

    /// Its name in stores and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether it has not ended.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Compensating)
    }
}

impl fmt::Display for SagaStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One instance of a saga, as it is stored. See [`Sagas`](crate::Sagas) for an example.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SagaInstance {
    /// The saga.
    pub saga: String,
    /// Which instance of it.
    pub key: String,
    /// Whose data it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Version of the form of its state.
    pub schema_version: u16,
    /// How it stands.
    pub status: SagaStatus,
    /// Both in one field, to find it by.
    pub(crate) saga_status: String,
    /// Whether it has not ended, to find it by.
    pub(crate) open: bool,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it last reacted to something.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// By when it should have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Why it is compensated, failed or was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What last went wrong with one of its steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The commands that it sent, the oldest first. Long after they were answered, those that nothing
    /// takes back are left out.
    pub steps: Vec<SagaStep>,
    /// The timers that are set, by their JSON.
    pub timers: BTreeMap<String, SagaTimer>,
    /// What it reacted to, and how: the last 64 entries, the oldest first.
    pub history: Vec<SagaHistory>,
    /// The conversation that it belongs to.
    pub correlation: String,
    /// Counts the settings of its timers.
    pub(crate) generation: u64,
    /// Somebody wants it to end: that is how it ends once it is compensated.
    #[serde(default)]
    pub(crate) cancelling: bool,
    /// How it ends once it is compensated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ending: Option<SagaStatus>,
    pub(crate) state: Box<RawValue>,
}

/// A command that a saga sent. See [`SagaInstance::steps`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SagaStep {
    /// The step's name.
    pub name: String,
    /// Name of the command.
    pub message: String,
    /// Id of the command.
    pub id: MessageId,
    /// How it stands.
    pub state: SagaStepState,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// What went wrong with it, or with taking it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compensation: Option<Compensation>,
}

/// How a step of a saga stands. See [`SagaInstance::steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SagaStepState {
    /// It is not answered yet.
    Sent,
    /// It was handled.
    Done,
    /// The domain said no.
    Rejected,
    /// It could not be handled.
    Failed,
    /// The command that takes it back is not answered yet.
    Compensating,
    /// It was taken back.
    Compensated,
}

/// A timer of a saga. See [`SagaInstance::timers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaTimer {
    /// When it is due.
    pub due: Timestamp,
    /// Which setting of the instance's timers it is.
    pub generation: u64,
}

/// What a saga reacted to, and how. See [`SagaInstance::history`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaHistory {
    /// When.
    pub at: Timestamp,
    /// What happened: an event, an answer, a timer.
    pub what: String,
    /// What was done about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
}

/// The command that takes a step back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Compensation {
    pub(crate) name: String,
    pub(crate) version: u16,
    /// JSON as text: a body of `null` is one, too. Of another codec: hexadecimal.
    body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Its id, once it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<MessageId>,
}

impl Compensation {
    pub(crate) fn new(name: &str, version: u16, body: &Payload) -> Self {
        let (body, content_type) = match body {
            Payload::Json(json) => (json.as_str().to_owned(), None),
            Payload::Binary { content_type, bytes } => {
                (hex::encode(bytes), Some(content_type.clone().into_owned()))
            }
            // Nobody encodes a command as this.
            Payload::Erased => ("null".to_owned(), None),
        };
        Self { name: name.to_owned(), version, body, content_type, id: None }
    }

    pub(crate) fn body(&self) -> Result<Payload, crate::BoxError> {
        Ok(match &self.content_type {
            None => Payload::Json(Json::parse(self.body.clone())?),
            Some(content_type) => Payload::Binary {
                content_type: content_type.clone().into(),
                bytes: hex::decode(&self.body).ok_or("the body is not hexadecimal")?.into(),
            },
        })
    }
}

impl Entity for SagaInstance {
    const COLLECTION: &'static str = "cqrs.sagas";
    const INDEXED: &'static [&'static str] = &["saga", "status", "saga_status", "open"];

    fn id(&self) -> String {
        id(&self.saga, &self.key)
    }
}

/// The id of an instance's document.
pub(crate) fn id(saga: &str, key: &str) -> String {
    format!("{saga}/{key}")
}

impl SagaInstance {
    /// An instance that has not reacted to anything yet.
    pub(crate) fn new(
        saga: &str,
        tenant: Option<&str>,
        key: &str,
        correlation: String,
        now: Timestamp,
    ) -> Self {
        let mut new = Self {
            saga: saga.to_owned(),
            key: key.to_owned(),
            tenant: tenant.map(str::to_owned),
            schema_version: 1,
            status: SagaStatus::Running,
            saga_status: String::new(),
            open: true,
            started_at: now,
            updated_at: now,
            completed_at: None,
            deadline: None,
            reason: None,
            last_error: None,
            steps: Vec::new(),
            timers: BTreeMap::new(),
            history: Vec::new(),
            correlation,
            generation: 0,
            cancelling: false,
            ending: None,
            state: RawValue::NULL.to_owned(),
        };
        new.set_status(SagaStatus::Running);
        new
    }

    /// Its state, as JSON.
    pub fn state(&self) -> &str {
        self.state.get()
    }

    /// Whether it should have ended by then.
    pub fn is_overdue(&self, at: Timestamp) -> bool {
        self.open && self.deadline.is_some_and(|deadline| deadline <= at)
    }

    pub(crate) fn set_status(&mut self, status: SagaStatus) {
        self.status = status;
        self.saga_status = saga_status(&self.saga, status);
        self.open = status.is_open();
    }

    /// Whether a step of this name waits for its answer.
    pub(crate) fn awaits(&self, step: &str) -> bool {
        self.steps.iter().any(|s| s.name == step && s.state == SagaStepState::Sent)
    }

    /// The step whose command, or the command that takes it back, has this id.
    pub(crate) fn step_of(&mut self, id: MessageId) -> Option<&mut SagaStep> {
        self.steps.iter_mut().find(|step| step.id == id || step.compensated_by(id))
    }

    pub(crate) fn note_error(&mut self, error: &str) {
        self.last_error = Some(cut(error));
    }

    /// Notes what happened, and forgets what is long past.
    pub(crate) fn note(&mut self, at: Timestamp, what: &str, effects: Vec<String>) {
        self.updated_at = at;
        self.history.push(SagaHistory { at, what: cut(what), effects });
        let old = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..old);
        let mut surplus = self.steps.len().saturating_sub(STEPS);
        self.steps.retain(|step| {
            let keep = surplus == 0 || step.is_wanted();
            surplus -= usize::from(!keep);
            keep
        });
    }
}

impl SagaStep {
    /// Ids of its command, and of the one that takes it back.
    pub(crate) fn ids(&self) -> impl Iterator<Item = MessageId> {
        let compensation = self.compensation.as_ref().and_then(|compensation| compensation.id);
        [self.id].into_iter().chain(compensation)
    }

    fn compensated_by(&self, id: MessageId) -> bool {
        self.compensation.as_ref().is_some_and(|compensation| compensation.id == Some(id))
    }

    /// Whether something is still to come of it.
    fn is_wanted(&self) -> bool {
        match self.state {
            SagaStepState::Sent | SagaStepState::Compensating => true,
            SagaStepState::Done => self.compensation.is_some(),
            SagaStepState::Rejected | SagaStepState::Failed | SagaStepState::Compensated => false,
        }
    }
}

/// What an instance is found by, of one saga in one status.
pub(crate) fn saga_status(saga: &str, status: SagaStatus) -> String {
    format!("{saga} {status}")
}

/// A text for people, not too long.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
