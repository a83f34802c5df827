//! Buses that carry requests and answers wrongly.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::memory::MemoryBus;
use cqrs_core::{
    ErrorKind, InboundMessage, InboundRequest, MessageId, Metadata, OutboundRequest, ReplyMessage,
    ReplyStatus, Requester, Requests, Respond, Responder, Result,
};
use futures_util::StreamExt;

use crate::base::Fault;

/// Declares a fault that asks otherwise.
macro_rules! request_fault {
    ($(#[$doc:meta])* $name:ident, |$bus:ident, $request:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        #[async_trait]
        impl Fault for $name {
            async fn request(
                &self,
                $bus: &MemoryBus,
                $request: OutboundRequest,
            ) -> Result<ReplyMessage> {
                $body
            }
        }
    };
}

/// Declares a fault that answers otherwise.
macro_rules! respond_fault {
    ($(#[$doc:meta])* $name:ident, |$requests:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        #[async_trait]
        impl Fault for $name {
            async fn respond(&self, bus: &MemoryBus, names: Vec<String>) -> Result<Requests> {
                let $requests = bus.respond(names).await?;
                Ok($body)
            }
        }
    };
}

request_fault! {
    /// Does not tell that nobody answers.
    WaitsForNobody, |bus, request| {
        let timeout = request.timeout;
        let answer = bus.request(request).await;
        if answer.as_ref().is_err_and(|error| *error.kind() == ErrorKind::Unroutable) {
            tokio::time::sleep(timeout).await;
        }
        answer.map_err(|error| match error.kind() {
            ErrorKind::Unroutable => cqrs_core::Error::new(ErrorKind::DeadlineExceeded, "nobody"),
            _ => error,
        })
    }
}

request_fault! {
    /// Looks at no time-out.
    WaitsWithoutEnd, |bus, request| {
        bus.request(OutboundRequest { timeout: Duration::from_secs(3600), ..request }).await
    }
}

request_fault! {
    /// Knows no positions.
    LosesPositions, |bus, request| {
        Ok(ReplyMessage { position: None, ..bus.request(request).await? })
    }
}

request_fault! {
    /// Takes a no for an answer like any other.
    TakesANoForAYes, |bus, request| {
        Ok(ReplyMessage { status: ReplyStatus::Done, ..bus.request(request).await? })
    }
}

request_fault! {
    /// Forgets which field is to blame.
    LosesFields, |bus, request| {
        let mut reply = bus.request(request).await?;
        if let ReplyStatus::Rejected(no) | ReplyStatus::Failed(no) = &mut reply.status {
            no.field = None;
        }
        Ok(reply)
    }
}

request_fault! {
    /// Gives each request an id of its own.
    ForgetsIds, |bus, request| {
        let metadata = request.metadata.clone().with_id(MessageId::fresh());
        bus.request(request.with_metadata(metadata)).await
    }
}

request_fault! {
    /// Carries the id, and nothing else that is known of a request.
    LosesMetadata, |bus, request| {
        let metadata = Metadata::of(request.metadata.id());
        bus.request(request.with_metadata(metadata)).await
    }
}

/// Gives each the answer of the one before.
#[derive(Debug, Default)]
pub(crate) struct MixesUpAnswers(Mutex<Option<ReplyMessage>>);

#[async_trait]
impl Fault for MixesUpAnswers {
    async fn request(&self, bus: &MemoryBus, request: OutboundRequest) -> Result<ReplyMessage> {
        let reply = bus.request(request).await?;
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(reply.clone());
        Ok(before.unwrap_or(reply))
    }
}

/// Only the first one who answers gets any.
#[derive(Debug, Default)]
pub(crate) struct KnowsOneResponder(AtomicBool);

#[async_trait]
impl Fault for KnowsOneResponder {
    async fn respond(&self, bus: &MemoryBus, names: Vec<String>) -> Result<Requests> {
        if self.0.swap(true, Ordering::Relaxed) {
            return Ok(Requests::new(futures_util::stream::pending().boxed(), || {}));
        }
        bus.respond(names).await
    }
}

respond_fault! {
    /// Throws away what has come when it is closed.
    LosesWhatHasCome, |requests| {
        let (close, mut closed) = tokio::sync::oneshot::channel::<()>();
        let requests = requests.take_until(async move { drop((&mut closed).await) });
        Requests::new(requests.boxed(), move || drop(close))
    }
}

/// Says of no request that it was given up.
struct Untold(InboundRequest);

#[async_trait]
impl Respond for Untold {
    async fn reply(self: Box<Self>, _: InboundMessage, reply: ReplyMessage) -> Result<()> {
        self.0.reply(reply).await
    }

    async fn given_up(&mut self) {
        std::future::pending::<()>().await;
    }
}

respond_fault! {
    /// Tells nobody that a request was given up.
    TellsNobody, |requests| {
        let untold = |request: InboundRequest| {
            InboundRequest::new(request.message().clone(), Untold(request))
        };
        Requests::new(requests.map(untold).boxed(), || {})
    }
}
