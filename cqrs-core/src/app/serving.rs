//! An app that answers over a bus: the requests of others, by the same handlers that answer its own.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::app::dispatch::Caller;
use crate::app::{App, RawAnswer, RawRejection, RawReply, RawRequest};
use crate::error::{Error, ErrorKind, Failure, Result};
use crate::handler::BoxFuture;
use crate::port::bus::{Bus, BusState};
use crate::port::delivery::InboundMessage;
use crate::port::reply::{No, ReplyMessage, ReplyStatus};
use crate::port::request::{InboundRequest, Requests};
use crate::runtime::backoff;

/// The inbox that answers the repeats of requests over a bus.
const INBOX: &str = "bus";

/// A broker that is out of reach holds up the start of a service for no longer.
const AT_START: Duration = Duration::from_secs(2);

/// Requests at once, unless it is said otherwise.
const AT_ONCE: usize = 1_024;

impl App {
    /// Answers requests that others send over a bus: all that have a wire form and are not
    /// [internal](crate::Visibility::Internal), and are handled here, by no [`Remote`](crate::Remote). Await it: from
    /// then on they are answered.
    ///
    /// The same handlers answer, through the same layers, as when the request comes
    /// [by name](Self::dispatch) from elsewhere. Instances of a service that serve the same requests share
    /// them. A command whose handler answers repeats is applied once for each id, for as long as the inbox of
    /// the store keeps it (P22). Requests run side by side, in no order. One whose deadline has passed is not
    /// begun; one whose asker has given up, or whose deadline passes, is dropped: a commit that is on its
    /// way may still be applied.
    ///
    /// Tenant and actor are taken for what they are said to be: who may publish on the bus is a matter of
    /// the broker's permissions, and of an [`Authorizer`](crate::layer::Authorizer) here.
    ///
    /// See [`ServiceClient`](crate::ServiceClient) for the other side, and an example.
    ///
    /// # Errors
    /// When it is awaited: [`Invalid`](ErrorKind::Invalid) when there is no such request, or its name is
    /// none on a bus. A broker that is out of reach is no error: it is tried again.
    pub fn serve(&self, bus: Arc<dyn Bus>) -> Serve {
        Serve { app: self.clone(), bus, at_once: AT_ONCE }
    }
}

/// Settings of what an app serves. See [`App::serve`].
#[must_use = "nothing is served until this is awaited"]
pub struct Serve {
    app: App,
    bus: Arc<dyn Bus>,
    at_once: usize,
}

/// Requests are answered for as long as this lives, or until it is [stopped](Self::stop). See
/// [`App::serve`].
#[must_use = "nothing is served any more when this is dropped"]
pub struct Serving {
    stopping: watch::Sender<Stopping>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stopping {
    No,
    /// Nothing new is taken.
    Draining,
    /// What is in hand is given up.
    Abandoning,
}

impl Serve {
    /// Answers so many requests at once; more are refused at once, as
    /// [`Overloaded`](ErrorKind::Overloaded). Default: 1,024.
    pub fn at_once(mut self, requests: usize) -> Self {
        self.at_once = requests.max(1);
        self
    }

    async fn start(self) -> Result<Serving> {
        let names = self.app.0.registry.served();
        Requests::check_names(&names, &self.bus.capabilities().limits)?;
        let requests = match timeout(AT_START, self.bus.respond(names.clone())).await {
            Ok(Ok(requests)) => Some(requests),
            Ok(Err(error)) if !error.is_retryable() => return Err(error),
            Ok(Err(error)) => {
                tracing::warn!(%error, "no bus yet to serve; trying again");
                None
            }
            Err(_) => {
                tracing::warn!("no bus yet to serve; trying again");
                None
            }
        };
        let stopping = watch::Sender::new(Stopping::No);
        let task = tokio::spawn(self.run(names, requests, stopping.subscribe()));
        Ok(Serving { stopping, task })
    }

    async fn run(
        self,
        names: Vec<String>,
        mut requests: Option<Requests>,
        mut stopping: watch::Receiver<Stopping>,
    ) {
        let mut handling = JoinSet::new();
        let mut failures = 0;
        while *stopping.borrow() == Stopping::No {
            let next = match requests.take() {
                Some(requests) => Ok(requests),
                None => tokio::select! {
                    next = self.bus.respond(names.clone()) => next,
                    () = reached(&mut stopping, Stopping::Draining) => break,
                },
            };
            match next {
                Ok(mut requests) => {
                    failures = 0;
                    self.take(&mut requests, &mut handling, &mut stopping).await;
                }
                Err(error) => tracing::warn!(%error, "the bus cannot be served"),
            }
            if self.bus.health().await.state == BusState::Closed {
                tracing::debug!("the bus was closed: it is not served any more");
                break;
            }
            failures += 1;
            tokio::select! {
                () = tokio::time::sleep(backoff(failures)) => {}
                () = reached(&mut stopping, Stopping::Draining) => {}
            }
        }
        while let Some(ended) = handling.join_next().await {
            report(ended);
        }
    }

    /// Takes requests until they end, or until it is told to stop.
    async fn take(
        &self,
        requests: &mut Requests,
        handling: &mut JoinSet<()>,
        stopping: &mut watch::Receiver<Stopping>,
    ) {
        let mut goes_on = true;
        let told = stopping.clone();
        loop {
            tokio::select! {
                // Room is made before more is taken.
                biased;
                Some(ended) = handling.join_next(), if !handling.is_empty() => report(ended),
                () = reached(stopping, Stopping::Draining), if goes_on => {
                    goes_on = false;
                    requests.close();
                }
                next = requests.next() => match next {
                    Some(request) if handling.len() < self.at_once => {
                        handling.spawn(answer(self.app.clone(), request, told.clone()));
                    }
                    Some(request) => {
                        let at_once = self.at_once;
                        let context = format!("{at_once} requests are being handled: try again later");
                        let full = Error::new(ErrorKind::Overloaded, context);
                        let refusing = reply(request, ReplyMessage::failed(&full));
                        tokio::select! {
                            () = refusing => {}
                            () = reached(stopping, Stopping::Abandoning) => {}
                        }
                    }
                    None => return,
                },
            }
        }
    }
}

impl IntoFuture for Serve {
    type Output = Result<Serving>;
    type IntoFuture = BoxFuture<'static, Result<Serving>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl Serving {
    /// Stops: takes nothing new, and answers what has come. What is not answered within the bound is given
    /// up as [`Unavailable`](ErrorKind::Unavailable); a commit that is on its way may still be applied.
    pub async fn stop(mut self, bound: Duration) {
        self.stopping.send_replace(Stopping::Draining);
        if timeout(bound, &mut self.task).await.is_err() {
            tracing::warn!(?bound, "not every request was answered; giving up the rest");
            self.stopping.send_replace(Stopping::Abandoning);
            let _ = timeout(Duration::from_secs(1), &mut self.task).await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until the stop has come so far, or nobody can stop it any more.
async fn reached(stopping: &mut watch::Receiver<Stopping>, so_far: Stopping) {
    drop(stopping.wait_for(|stopping| *stopping >= so_far).await);
}

/// Handles one request, and answers.
async fn answer(app: App, mut request: InboundRequest, mut stopping: watch::Receiver<Stopping>) {
    let (message, clock) = (request.message(), &app.0.clock);
    let left = message.metadata.deadline().map(|deadline| deadline.duration_since(clock.now()));
    let name = message.name.clone();
    let late = || {
        let context = format!("`{name}` was not answered before its deadline");
        Error::new(ErrorKind::DeadlineExceeded, context)
    };
    let handled = app.serve_one(message);
    let in_time = async {
        match left {
            Some(left) if left.is_zero() => {}
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    };
    let answered = tokio::select! {
        biased;
        () = in_time => ReplyMessage::failed(&late()),
        answer = handled => message_of(&name, answer),
        () = request.given_up() => return,
        () = reached(&mut stopping, Stopping::Abandoning) => {
            let context = "the service stops before it has answered: send it again";
            ReplyMessage::failed(&Error::new(ErrorKind::Unavailable, context))
        }
    };
    reply(request, answered).await;
}

async fn reply(request: InboundRequest, reply: ReplyMessage) {
    let name = request.message().name.clone();
    if let Err(error) = request.reply(reply).await {
        tracing::warn!(request = name, %error, "an answer could not be sent");
    }
}

/// An answer as a bus carries it.
fn message_of(name: &str, answer: RawAnswer) -> ReplyMessage {
    match answer {
        Ok(RawReply { position, content_type, body }) => ReplyMessage {
            status: ReplyStatus::Done,
            position,
            content_type: content_type.to_owned(),
            body,
        },
        Err(Failure::Rejected(RawRejection { code, field, detail, content_type, body })) => {
            ReplyMessage {
                status: ReplyStatus::Rejected(No::new(code, field, detail)),
                position: None,
                content_type: content_type.to_owned(),
                body,
            }
        }
        Err(Failure::Failed(error)) => match error.kind() {
            // Something of ours that cannot be read: whoever asked is not to blame.
            ErrorKind::Decode { message, .. } if message != name => {
                let context = error.to_string();
                ReplyMessage::failed(&Error::new(ErrorKind::Internal, context))
            }
            _ => ReplyMessage::failed(&error),
        },
    }
}

impl App {
    /// Handles a request that came over a bus.
    fn serve_one(&self, message: &InboundMessage) -> impl Future<Output = RawAnswer> + use<> {
        let InboundMessage { metadata, name, body, .. } = message;
        let mut metadata = metadata.clone();
        if self.keeps_answers_of(name) {
            metadata = metadata.with_inbox(INBOX);
        }
        let version = metadata.schema_version();
        let request =
            RawRequest { name: name.clone(), version, kind: None, metadata, body: body.clone() };
        let app = self.clone();
        async move { app.dispatch_for(Caller::Service, request).await }
    }
}

/// Handlers are guarded each: what panics here is ours.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(%error, "the bus side of the app panicked; whoever asked gets no answer");
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("at_once", &self.at_once).finish_non_exhaustive()
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("ended", &self.task.is_finished()).finish_non_exhaustive()
    }
}
