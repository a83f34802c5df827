//! How a message is carried to who it is for: a handler, a saga, or a bus.

use std::sync::Arc;

use crate::app::App;
use crate::domain::saga::outcome::Outcome;
use crate::error::{Error, ErrorKind, Failure};
use crate::handler::BoxFuture;
use crate::port::bus::Bus;
use crate::port::outgoing::{AnswerTo, Outgoing, OutgoingKind, PendingMessage};
use crate::runtime::outbound;
use crate::runtime::relay::{NAME, Relay};
use crate::runtime::saga::AnySaga;
use crate::{RawAnswer, RawReply};

/// How a message is carried.
pub(super) enum Way {
    Command(BoxFuture<'static, RawAnswer>),
    Publish(Arc<dyn Bus>),
    /// The saga itself takes it in.
    Timer,
}

/// Who is told what came of a message.
pub(super) struct Told {
    pub(super) saga: Arc<dyn AnySaga>,
    pub(super) answer_to: AnswerTo,
}

/// What came of a message.
pub(super) enum Carried {
    /// A command was answered. The text: why it was rejected.
    Answered(Outcome, Option<String>),
    /// That was all.
    Done,
    Failed(Error),
}

/// Why a message waits without being tried.
pub(super) enum NoWay {
    /// Nobody here knows this name.
    Unknown(&'static str, String),
    Failed(Error),
}

impl Relay {
    /// Who is told what came of a message.
    pub(super) fn told(&self, message: &Outgoing) -> Result<Option<Told>, NoWay> {
        let Some(answer_to) = message.answer_to.clone() else { return Ok(None) };
        match self.sagas.get(&*answer_to.saga) {
            Some(saga) => Ok(Some(Told { saga: saga.clone(), answer_to })),
            None => Err(NoWay::Unknown("saga", answer_to.saga)),
        }
    }

    /// Finds the way of a message. Nothing happens before it is taken.
    pub(super) fn way(&self, message: &Outgoing, told: Option<&Told>) -> Result<Way, NoWay> {
        let unknown = |what| NoWay::Unknown(what, message.name.clone().into_owned());
        match message.kind {
            OutgoingKind::Message => match &self.bus {
                Some(bus) => Ok(Way::Publish(bus.clone())),
                // Another process may have one: nothing is lost.
                None => Err(unknown("bus")),
            },
            OutgoingKind::Timer if told.is_some() => Ok(Way::Timer),
            OutgoingKind::Timer => Err(NoWay::Failed(invalid("a timer is for nobody"))),
            OutgoingKind::Command => {
                let gone = || NoWay::Failed(Error::new(ErrorKind::Unavailable, "the app is gone"));
                let app = self.app.upgrade().map(App).ok_or_else(gone)?;
                let answering = app.relay(NAME, message).ok_or_else(|| unknown("handler"))?;
                Ok(Way::Command(answering))
            }
        }
    }
}

impl Way {
    /// Takes it. Cancel safety: what was begun may take effect all the same.
    pub(super) async fn take(self, pending: &PendingMessage) -> Carried {
        match self {
            Self::Timer => Carried::Done,
            Self::Publish(bus) => match outbound::publish(&*bus, pending).await {
                Ok(()) => Carried::Done,
                Err(error) => Carried::Failed(error),
            },
            Self::Command(answering) => match answering.await {
                Ok(RawReply { body, .. }) => Carried::Answered(Outcome::Done(body), None),
                Err(Failure::Rejected(no)) => {
                    let text = format!("rejected: {}: {}", no.code, no.detail);
                    let (code, body) = (no.code.to_owned(), no.body);
                    Carried::Answered(Outcome::Rejected { code, body }, Some(text))
                }
                Err(Failure::Failed(error)) => Carried::Failed(error),
            },
        }
    }
}

fn invalid(context: &str) -> Error {
    Error::new(ErrorKind::Invalid { field: None }, context)
}
