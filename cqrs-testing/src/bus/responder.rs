//! Whoever answers requests, as the cases watch it.

use std::time::Duration;

use cqrs_core::{Error, InboundRequest, OutboundRequest, ReplyMessage, RequestKind, Requests};
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::bus::make::{BOUND, QUIET};
use crate::bus::probe::Connection;

/// The request that most cases are about.
pub(crate) const DOUBLE: &str = "numbers.double";

/// Longer than an answer takes.
const PATIENCE: Duration = Duration::from_secs(15);

/// A query.
#[expect(clippy::needless_pass_by_value, reason = "a case says `asks(DOUBLE, 1)`")]
pub(crate) fn asks(name: &str, body: impl ToString) -> OutboundRequest {
    OutboundRequest::new(RequestKind::Query, name, body.to_string(), PATIENCE)
}

/// The same, with little patience.
pub(crate) fn asks_briefly(name: &str, body: impl ToString) -> OutboundRequest {
    OutboundRequest { timeout: QUIET, ..asks(name, body) }
}

/// Somebody who answers requests, one by one as the case has it.
pub(crate) struct Answerer(Requests);

impl Connection {
    /// Answers requests of these names.
    pub(crate) async fn answers(&self, names: &[&str]) -> Answerer {
        match self.respond(names.iter().map(|name| (*name).to_owned()).collect()).await {
            Ok(requests) => Answerer(requests),
            Err(error) => panic!("{names:?} must be taken: {error:?}"),
        }
    }

    /// An answer, which must come.
    pub(crate) async fn answer(&self, request: OutboundRequest) -> ReplyMessage {
        match self.request(request.clone()).await {
            Ok(reply) => reply,
            Err(error) => panic!("{request:?} must be answered: {error:?}"),
        }
    }

    /// Why there is no answer.
    pub(crate) async fn no_answer(&self, request: OutboundRequest) -> Error {
        match self.request(request.clone()).await {
            Ok(reply) => panic!("{request:?} must not be answered: {reply:?}"),
            Err(error) => error,
        }
    }

    /// The same, with a request on its way.
    pub(crate) fn asking(
        &self,
        request: OutboundRequest,
    ) -> JoinHandle<cqrs_core::Result<ReplyMessage>> {
        let connection = self.clone();
        tokio::spawn(async move { connection.request(request).await })
    }
}

impl Answerer {
    /// The next request; `None`: they have ended.
    pub(crate) async fn request(&mut self) -> Option<InboundRequest> {
        match tokio::time::timeout(BOUND, self.0.next()).await {
            Ok(request) => request,
            Err(_) => panic!("no request came within {BOUND:?}"),
        }
    }

    /// The next request, which must come.
    pub(crate) async fn next(&mut self) -> InboundRequest {
        match self.request().await {
            Some(request) => request,
            None => panic!("the requests ended"),
        }
    }

    /// Nothing comes for a while.
    pub(crate) async fn is_quiet(&mut self) {
        if let Ok(request) = tokio::time::timeout(QUIET, self.0.next()).await {
            panic!("no request must come, and this did: {request:?}");
        }
    }

    /// Takes no more, and gives what has come.
    pub(crate) fn close(&mut self) {
        self.0.close();
    }

    /// Answers all that comes with twice the number, and counts them, until they end.
    pub(crate) fn doubles(mut self) -> JoinHandle<u64> {
        tokio::spawn(async move {
            let mut count = 0;
            while let Some(request) = self.0.next().await {
                count += 1;
                let doubled = number(&request.message().body) * 2;
                replied(request, ReplyMessage::done(doubled.to_string())).await;
            }
            count
        })
    }
}

/// Answers.
pub(crate) async fn replied(request: InboundRequest, reply: ReplyMessage) {
    if let Err(error) = request.reply(reply).await {
        panic!("it must be answered: {error:?}");
    }
}

/// What it says.
pub(crate) fn number(body: &[u8]) -> u64 {
    match std::str::from_utf8(body).map(str::parse) {
        Ok(Ok(number)) => number,
        _ => panic!("{body:?} is no number"),
    }
}
