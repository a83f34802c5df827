//! Requests and their answers: plain messages of NATS, which no stream keeps.
//!
//! Those who answer a name subscribe to its subject as one queue group, so that each request goes to one of
//! them. Who gives a request up tells all who answer, because it does not know who has it.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Message, Request, Subject};
use async_trait::async_trait;
use cqrs_core::{
    BoxError, Error, ErrorKind, InboundMessage, InboundRequest, OutboundRequest, ReplyMessage,
    Requests, Respond, Result,
};
use futures_util::stream::{self, SelectAll, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::error::{closed, unavailable};
use crate::headers;
use crate::link::Link;

/// The queue group of those who answer a name.
const RESPONDERS: &str = "responders";

/// By which a request is known that is given up: the id of a message does not tell two attempts apart.
const REQUEST_ID: &str = "Request-Id";

/// Bytes of such an id.
const LONGEST_ID: usize = 200;

/// Asks, and waits for the answer.
pub(crate) async fn request(link: &Link, request: OutboundRequest) -> Result<ReplyMessage> {
    request.check(&link.limits)?;
    if link.is_closed() {
        return Err(closed());
    }
    let deadline = Instant::now() + request.timeout;
    let name = &request.name;
    if let Err(elapsed) = timeout_at(deadline, link.connected()).await {
        return Err(unavailable(format_args!("`{name}` was not sent"), elapsed));
    }
    let id = format!("{}.{}", link.id, link.next());
    let mut headers = headers::of_attributes(request.attributes(&link.settings.name));
    headers.insert(REQUEST_ID, id.as_str());
    let left = deadline.saturating_duration_since(Instant::now());
    let sent = Request::new().headers(headers).payload(request.body.clone()).timeout(Some(left));
    let mut given_up = GivenUp { client: &link.client, subject: link.subjects.given_up(), id };
    let mut is_closed = link.closed.subscribe();
    let answer = tokio::select! {
        answer = link.client.send_request(link.subjects.request(name), sent) => answer,
        _ = is_closed.wait_for(|closed| *closed) => {
            let context =
                format!("the bus was closed before `{name}` was answered: it may still take effect");
            return Err(Error::new(ErrorKind::OutcomeUnknown, context));
        }
    };
    let answer = answer.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => {
            given_up.disarm();
            let context = format!("nobody answers `{name}` on this bus now");
            Error::new(ErrorKind::Unroutable, context)
        }
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
            given_up.disarm();
            let context = format!("NATS takes no request `{name}`: {error}");
            Error::new(ErrorKind::Invalid { field: None }, context)
        }
        _ => {
            let timeout = request.timeout;
            let context =
                format!("`{name}` was not answered within {timeout:?}; it may still take effect");
            Error::new(ErrorKind::DeadlineExceeded, context).with_source(error)
        }
    })?;
    given_up.disarm();
    let attributes = headers::attributes(&answer.headers.unwrap_or_default())?;
    let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ReplyMessage::of_attributes(attributes, answer.payload)
}

/// Tells whoever answers that nobody waits any more, when it is dropped with an id.
struct GivenUp<'a> {
    client: &'a Client,
    subject: String,
    id: String,
}

impl GivenUp<'_> {
    /// There is nobody to tell, or nothing to tell of.
    fn disarm(&mut self) {
        self.id.clear();
    }
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.id.is_empty() {
            return;
        }
        let (client, subject) = (self.client.clone(), std::mem::take(&mut self.subject));
        let id = std::mem::take(&mut self.id);
        runtime.spawn(async move {
            // Whoever answers goes on for nobody when it is lost.
            let _ = client.publish(subject, id.into()).await;
        });
    }
}

/// Takes requests of these names. With the task that does, which ends when the bus is closed.
pub(crate) async fn respond(
    link: &Arc<Link>,
    names: Vec<String>,
) -> Result<(Requests, JoinHandle<()>)> {
    Requests::check_names(&names, &link.limits)?;
    if link.is_closed() {
        return Err(closed());
    }
    timeout_at(link.deadline(), link.connected())
        .await
        .map_err(|elapsed| unavailable("connecting", elapsed))?;
    let client = &link.client;
    let given_up = client.subscribe(link.subjects.given_up()).await;
    let given_up = given_up.map_err(|error| unavailable("subscribing", error))?;
    let mut subscribers = SelectAll::new();
    for name in names {
        let subject = link.subjects.request(&name);
        let subscriber = client.queue_subscribe(subject, RESPONDERS.to_owned()).await;
        subscribers.push(subscriber.map_err(|error| unavailable("subscribing", error))?);
    }
    // From now on they come here; or once the server is back, where it is gone again.
    if let Err(error) = link.round_trip(link.deadline()).await {
        tracing::debug!(%error, "requests come once the server is back");
    }
    let (sender, requests) = mpsc::channel(1);
    let (close, closing) = oneshot::channel();
    let taking = Taking {
        link: link.clone(),
        subscribers,
        given_up,
        waiting: Arc::default(),
        sender,
        closing: Some(closing),
    };
    let task = tokio::spawn(taking.run());
    let requests =
        stream::unfold(requests, |mut requests| async { Some((requests.recv().await?, requests)) });
    Ok((Requests::new(requests.boxed(), move || drop(close)), task))
}

/// Those who wait to hear that their request was given up, by its id.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>;

fn lock(waiting: &Waiting) -> MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
    // Nothing panics while it is locked.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes requests in, and hands them on.
struct Taking {
    link: Arc<Link>,
    subscribers: SelectAll<async_nats::Subscriber>,
    given_up: async_nats::Subscriber,
    waiting: Waiting,
    sender: mpsc::Sender<InboundRequest>,
    /// Ends when no more are wanted.
    closing: Option<oneshot::Receiver<()>>,
}

impl Taking {
    async fn run(mut self) {
        let mut closed = self.link.closed.subscribe();
        loop {
            let closing = async {
                match &mut self.closing {
                    Some(closing) => drop(closing.await),
                    None => pending().await,
                }
            };
            tokio::select! {
                // What is given up came after its request: that is known first.
                biased;
                () = async { drop(closed.wait_for(|closed| *closed).await) } => break,
                () = self.sender.closed() => break,
                () = closing => {
                    self.closing = None;
                    for subscriber in &mut self.subscribers {
                        let _ = subscriber.drain().await;
                    }
                }
                message = self.subscribers.next() => {
                    let Some(message) = message else { break };
                    if let Some(request) = self.read(message).await {
                        // Whoever takes them has room, or says that it has none.
                        let _ = self.sender.send(request).await;
                    }
                }
                message = self.given_up.next() => {
                    let Some(message) = message else { break };
                    if let Ok(id) = std::str::from_utf8(&message.payload)
                        && let Some(waiting) = lock(&self.waiting).remove(id)
                    {
                        let _ = waiting.send(());
                    }
                }
            }
        }
        for subscriber in &mut self.subscribers {
            let _ = subscriber.unsubscribe().await;
        }
    }

    /// A request. One that cannot be read is answered at once.
    async fn read(&self, message: Message) -> Option<InboundRequest> {
        let Some(reply) = message.reply else {
            tracing::debug!(subject = %message.subject, "a request without a way back: left alone");
            return None;
        };
        let given = message.headers.unwrap_or_default();
        let id = given.get(REQUEST_ID).map(|id| id.as_str().to_owned());
        let id = id.filter(|id| id.len() <= LONGEST_ID);
        let way_back = |id, given_up| WayBack {
            link: self.link.clone(),
            reply,
            id,
            given_up,
            waiting: self.waiting.clone(),
        };
        match headers::read(&given, message.payload, 1) {
            Ok(message) => {
                let given_up = id.as_ref().map(|id| {
                    let (sender, given_up) = oneshot::channel();
                    lock(&self.waiting).insert(id.clone(), sender);
                    given_up
                });
                Some(InboundRequest::new(message, way_back(id, given_up)))
            }
            Err(error) => {
                let nobody = InboundMessage {
                    metadata: cqrs_core::Metadata::default(),
                    name: "unreadable".to_owned(),
                    content_type: String::new(),
                    body: bytes::Bytes::new(),
                    attempt: 1,
                };
                let answer = ReplyMessage::failed(&error);
                if let Err(error) = way_back(None, None).send(&nobody, &answer).await {
                    tracing::debug!(%error, "a request that cannot be read is not answered");
                }
                None
            }
        }
    }
}

/// The way back of one request.
struct WayBack {
    link: Arc<Link>,
    reply: Subject,
    id: Option<String>,
    given_up: Option<oneshot::Receiver<()>>,
    waiting: Waiting,
}

impl WayBack {
    async fn send(&self, to: &InboundMessage, reply: &ReplyMessage) -> Result<()> {
        if self.link.is_closed() {
            return Err(closed());
        }
        let headers = headers::of_attributes(reply.attributes(to, &self.link.settings.name));
        let sent =
            self.link.client.publish_with_headers(self.reply.clone(), headers, reply.body.clone());
        let failed = |error: BoxError| unavailable(format_args!("answering `{}`", to.name), error);
        sent.await.map_err(|error| failed(error.into()))?;
        // Who stops after its last answer takes the connection with it: the answer is out before.
        self.link.client.flush().await.map_err(|error| failed(error.into()))
    }
}

#[async_trait]
impl Respond for WayBack {
    async fn reply(self: Box<Self>, to: InboundMessage, reply: ReplyMessage) -> Result<()> {
        if let Err(error) = reply.check(&to, &self.link.limits) {
            self.send(&to, &ReplyMessage::failed(&error)).await?;
            return Err(error);
        }
        self.send(&to, &reply).await
    }

    async fn given_up(&mut self) {
        match &mut self.given_up {
            Some(given_up) => {
                let told = given_up.await;
                self.given_up = None;
                if told.is_err() {
                    pending::<()>().await;
                }
            }
            None => pending().await,
        }
    }
}

impl Drop for WayBack {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            lock(&self.waiting).remove(id);
        }
    }
}
