//! What a saga wants to be done: data, so that a test compares it.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::BoxError;
use crate::message::event::{Event, EventType};
use crate::message::payload::{Json, Payload};
use crate::message::request::Command;
use crate::port::outgoing::Tries;

/// What a saga wants to be done. See [`Saga`](crate::Saga) for an example.
///
/// What cannot be encoded is told when the effects are carried out: the trigger is parked.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect<T> {
    /// Sends a command once the commit is durable; its answer is a
    /// [`Trigger::Outcome`](crate::Trigger::Outcome).
    Send(SendStep),
    /// Publishes a message, for whoever listens.
    Publish(Message),
    /// Sets a timer, or sets it anew.
    Schedule {
        /// Which one.
        timer: T,
        /// How long from now.
        after: Duration,
    },
    /// Cancels a timer. One that has fired meanwhile is not heard of any more.
    Cancel {
        /// Which one.
        timer: T,
    },
    /// By when it should be done, from now: for the list of those that are not. It has no other
    /// effect.
    Deadline(Duration),
    /// It is done, and well. What comes later is ignored.
    Complete,
    /// It is done, and not well. What comes later is ignored.
    Fail(String),
    /// Takes back what was done: for each step that was answered well and has a compensation, the last
    /// one first, each once the one before is answered; then
    /// [`Trigger::Compensated`](crate::Trigger::Compensated). A step that is answered meanwhile is no
    /// trigger; if it is answered well, it is taken back as well. An ending that is told before
    /// everything is taken back waits for that; without one, it ends as failed.
    Compensate(String),
}

/// A command that a saga sends. See [`Effect::send`].
#[derive(Debug, Clone, PartialEq)]
pub struct SendStep {
    /// The name under which the answer comes: unique among the steps that are not answered.
    pub step: Cow<'static, str>,
    /// What is sent.
    pub message: Message,
    /// What takes it back.
    pub compensation: Option<Message>,
    /// How often it is tried.
    pub tries: Tries,
    /// Not to be sent earlier, from now.
    pub delay: Option<Duration>,
    /// It does not wait for the answers of those before it.
    pub at_once: bool,
}

/// Something with a name, encoded. See [`Effect::send`].
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Version of its form.
    pub version: u16,
    /// Its body, or why there is none.
    pub body: Result<Payload, String>,
}

impl Message {
    fn command<C: Command>(command: &C) -> Self {
        let body = encode(command).map_err(|cause| cause.to_string());
        Self { name: C::NAME.into(), version: C::VERSION, body }
    }
}

/// A command in its wire form.
pub(crate) fn encode<C: Command>(command: &C) -> Result<Payload, BoxError> {
    let Some(wire) = C::wire() else {
        return Err(format!("`{}` has no wire form", C::NAME).into());
    };
    let body = (wire.request.encode)(command)?;
    match wire.content_type {
        "application/json" => {
            let text = String::from_utf8(body.into())?;
            Ok(Payload::Json(Json::parse(text)?))
        }
        content_type => Ok(Payload::Binary { content_type: content_type.into(), bytes: body }),
    }
}

impl<T> Effect<T> {
    /// Sends a command. It needs a [wire form](crate::Request::wire).
    ///
    /// The commands of one instance are sent in order, each once the one before is answered: a slow one
    /// holds up those that come after it, unless they go [at once](Self::at_once).
    pub fn send<C: Command>(step: impl Into<Cow<'static, str>>, command: &C) -> Self {
        Self::Send(SendStep {
            step: step.into(),
            message: Message::command(command),
            compensation: None,
            tries: Tries::Policy,
            delay: None,
            at_once: false,
        })
    }

    /// With a command that takes the one sent back. For [`Effect::send`]; the others stay as they are.
    #[must_use]
    pub fn compensated_by<C: Command>(mut self, command: &C) -> Self {
        if let Self::Send(send) = &mut self {
            send.compensation = Some(Message::command(command));
        }
        self
    }

    /// Tried so often, and then answered with [`Outcome::Failed`](crate::Outcome::Failed). For
    /// [`Effect::send`]; the others stay as they are.
    #[must_use]
    pub fn at_most(mut self, tries: u32) -> Self {
        if let Self::Send(send) = &mut self {
            send.tries = Tries::AtMost(tries);
        }
        self
    }

    /// Tried until there is an answer, and never parked. For [`Effect::send`]; the others stay as they
    /// are.
    #[must_use]
    pub fn until_answered(mut self) -> Self {
        if let Self::Send(send) = &mut self {
            send.tries = Tries::UntilAnswered;
        }
        self
    }

    /// Sent without waiting for the answers of those before it: what a timer or a cancellation asks for
    /// while another command is on its way. For [`Effect::send`]; the others stay as they are.
    #[must_use]
    pub fn at_once(mut self) -> Self {
        if let Self::Send(send) = &mut self {
            send.at_once = true;
        }
        self
    }

    /// Sent after a while. For [`Effect::send`]; the others stay as they are.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        if let Self::Send(send) = &mut self {
            send.delay = Some(delay);
        }
        self
    }

    /// Publishes an event of the contract with others: not one of the domain.
    pub fn publish<E: Event>(event: &E) -> Self {
        let EventType { name, version, .. } = *event.event_type();
        let body = event.encode().map_err(|cause| cause.to_string());
        Self::Publish(Message { name: name.into(), version, body })
    }

    /// Sets a timer, or sets it anew.
    pub fn schedule(timer: T, after: Duration) -> Self {
        Self::Schedule { timer, after }
    }

    /// Cancels a timer.
    pub fn cancel(timer: T) -> Self {
        Self::Cancel { timer }
    }

    /// By when it should be done, from now.
    pub fn deadline(after: Duration) -> Self {
        Self::Deadline(after)
    }

    /// It is done, and well.
    pub fn complete() -> Self {
        Self::Complete
    }

    /// It is done, and not well.
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::Fail(reason.into())
    }

    /// Takes back what was done.
    pub fn compensate(reason: impl Into<String>) -> Self {
        Self::Compensate(reason.into())
    }
}
