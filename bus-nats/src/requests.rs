//! Requests and their answers: plain messages of NATS, which no stream keeps.
//!
//! Those who answer a name subscribe to its subject as one queue group, so that each request goes to one of
//! them. Who gives a request up tells all who answer, because it does not know who has it.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::{Message, StatusCode, Subject};
use async_trait::async_trait;
use cqrs_core::{
    BoxError, Error, ErrorKind, InHand, InboundMessage, InboundRequest, OutboundRequest,
    ReplyMessage, Requests, Respond, Result, Underway,
};
use futures_util::stream::{self, SelectAll, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
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

/// Nobody waits for longer, whatever they say.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Those who wait for an answer, by the number of their request.
type Askers = Arc<Mutex<HashMap<u64, oneshot::Sender<Message>>>>;

/// Where the answers to this connection come in.
pub(crate) struct Answers {
    inbox: String,
    askers: Askers,
}

impl Answers {
    /// Subscribes to them, until the link is gone. The client's own way of asking keeps each request in memory that
    /// nobody answers.
    async fn open(link: &Link) -> Result<Self> {
        let inbox = link.client.new_inbox();
        let answers = link.client.subscribe(format!("{inbox}.*")).await;
        let mut answers = answers.map_err(|error| unavailable("subscribing to answers", error))?;
        let (askers, mut closed) = (Askers::default(), link.closed.subscribe());
        let waiting = askers.clone();
        tokio::spawn(async move {
            loop {
                let answer = tokio::select! {
                    answer = answers.next() => answer,
                    _ = closed.wait_for(|closed| *closed) => return,
                };
                let Some(answer) = answer else { return };
                let number = answer.subject.rsplit('.').next().and_then(|n| n.parse().ok());
                if let Some(asker) = number.and_then(|number: u64| lock(&waiting).remove(&number)) {
                    // Nobody may wait any more.
                    let _ = asker.send(answer);
                }
            }
        });
        Ok(Self { inbox, askers })
    }
}

/// Asks, and waits for the answer.
pub(crate) async fn request(link: &Link, request: OutboundRequest) -> Result<ReplyMessage> {
    request.check(&link.limits)?;
    let timeout = request.timeout.min(LONGEST);
    let begun = Instant::now();
    let mut is_closed = link.closed.subscribe();
    tokio::select! {
        biased;
        _ = is_closed.wait_for(|closed| *closed) => return Err(closed()),
        // The rest is for the answer; and who waits as long as this hears that nothing was sent.
        connected = timeout_at(begun + timeout * 9 / 10, link.connected()) => {
            if let Err(elapsed) = connected {
                let doing = format_args!("`{}` was not sent", request.name);
                return Err(unavailable(doing, elapsed));
            }
        }
    }
    let answers = link.answers.get_or_try_init(|| Answers::open(link)).await?;
    let number = link.next();
    let (sender, answer) = oneshot::channel();
    lock(&answers.askers).insert(number, sender);
    // From here on it tells whoever answers, when it is dropped with no answer.
    let mut asking = Asking { link, askers: &answers.askers, number, is_over: false };
    let mut headers = headers::of_attributes(request.attributes(&link.settings.name));
    headers.insert(REQUEST_ID, asking.id().as_str());
    let way_back = format!("{}.{number}", answers.inbox);
    let (subject, body) = (link.subjects.request(&request.name), request.body.clone());
    let sent = link.client.publish_with_reply_and_headers(subject, way_back, headers, body).await;
    if let Err(error) = sent {
        asking.is_over = true;
        return Err(match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => {
                let (size, limit) = (request.body.len(), link.client.max_payload());
                let context = format!("{error}: the server takes {limit}, headers included");
                Error::new(ErrorKind::TooLarge { what: request.name, size, limit }, context)
            }
            _ => unavailable(format_args!("`{}` was not sent", request.name), error),
        });
    }
    let answer = tokio::select! {
        answer = timeout_at(begun + timeout, answer) => answer,
        _ = is_closed.wait_for(|closed| *closed) => return Err(request.abandoned()),
    };
    let answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => return Err(request.abandoned()),
        Err(_) => return Err(request.unanswered()),
    };
    asking.is_over = true;
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(request.unroutable());
    }
    let headers = answer.headers.unwrap_or_default();
    let reply = headers::attributes(&headers).and_then(|attributes| {
        let attributes = attributes.iter().map(|(name, value)| (&**name, &**value));
        ReplyMessage::of_attributes(attributes, answer.payload)
    });
    reply.map_err(|error| request.misunderstood(error))
}

/// A request on its way. Unless it is over, whoever answers is told that nobody waits any more.
struct Asking<'a> {
    link: &'a Link,
    askers: &'a Askers,
    number: u64,
    is_over: bool,
}

impl Asking<'_> {
    /// By which those who answer know it.
    fn id(&self) -> String {
        format!("{}.{}", self.link.id, self.number)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        lock(self.askers).remove(&self.number);
        let Ok(runtime) = Handle::try_current() else { return };
        if self.is_over {
            return;
        }
        let (client, subject) = (self.link.client.clone(), self.link.subjects.given_up());
        let id = self.id();
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
        underway: Underway::default(),
        closing: Some(closing),
    };
    let task = tokio::spawn(taking.run(sender));
    let requests =
        stream::unfold(requests, |mut requests| async { Some((requests.recv().await?, requests)) });
    Ok((Requests::new(requests.boxed(), move || drop(close)), task))
}

/// Completes when the bus is closed, or dropped.
async fn closed_of(is_closed: &mut watch::Receiver<bool>) {
    drop(is_closed.wait_for(|closed| *closed).await);
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is locked.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes requests in, and hands them on.
struct Taking {
    link: Arc<Link>,
    subscribers: SelectAll<async_nats::Subscriber>,
    given_up: async_nats::Subscriber,
    underway: Underway,
    /// Ends when no more are wanted.
    closing: Option<oneshot::Receiver<()>>,
}

impl Taking {
    async fn run(mut self, sender: mpsc::Sender<InboundRequest>) {
        let mut is_closed = self.link.closed.subscribe();
        // One is taken when there is room for it; what is given up is heard of all the time.
        let mut room = None;
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
                () = closed_of(&mut is_closed) => break,
                () = sender.closed() => break,
                () = closing => {
                    self.closing = None;
                    if !self.link.is_up() {
                        break;
                    }
                    for subscriber in &mut self.subscribers {
                        let _ = subscriber.drain().await;
                    }
                }
                permit = sender.reserve(), if room.is_none() => room = permit.ok(),
                message = self.subscribers.next(), if room.is_some() => {
                    let Some(message) = message else { break };
                    if let Some(request) = self.read(message).await
                        && let Some(room) = room.take()
                    {
                        room.send(request);
                    }
                }
                message = self.given_up.next() => match message {
                    Some(message) => self.tell(&message),
                    None => break,
                },
            }
        }
        drop(room);
        drop(sender);
        for subscriber in &mut self.subscribers {
            let _ = subscriber.unsubscribe().await;
        }
        // Who has one in hand still hears of it.
        while !self.link.is_closed() && !self.underway.is_empty() {
            tokio::select! {
                message = self.given_up.next() => match message {
                    Some(message) => self.tell(&message),
                    None => return,
                },
                () = self.underway.left() => {}
                () = closed_of(&mut is_closed) => {}
            }
        }
    }

    /// Tells whoever has it in hand that a request was given up.
    fn tell(&self, message: &Message) {
        if let Ok(id) = std::str::from_utf8(&message.payload) {
            self.underway.give_up(id);
        }
    }

    /// A request. One that cannot be read is answered at once.
    async fn read(&self, message: Message) -> Option<InboundRequest> {
        let Some(reply) = message.reply else {
            tracing::debug!(subject = %message.subject, "a request without a way back: left alone");
            return None;
        };
        if self.link.subjects.is_ours(&reply) {
            // It would have this service publish where whoever asks may not.
            tracing::warn!(subject = %message.subject, "a request with a way back among our subjects");
            return None;
        }
        let given = message.headers.unwrap_or_default();
        let id = given.get(REQUEST_ID).map(|id| id.as_str().to_owned());
        let id = id.filter(|id| id.len() <= LONGEST_ID);
        let way_back = |in_hand| WayBack { link: self.link.clone(), reply, in_hand };
        let asked = headers::read(&given, message.payload, 1).and_then(|asked| {
            // What somebody may ask for is a matter of the subjects that the server lets them use.
            if *message.subject == *self.link.subjects.request(&asked.name) {
                return Ok(asked);
            }
            let context = format!("a request for another name came to `{}`", message.subject);
            Err(Error::invalid_field("type", context))
        });
        match asked {
            Ok(message) => {
                let in_hand = id.map(|id| self.underway.enter(id)).unwrap_or_default();
                Some(InboundRequest::new(message, way_back(in_hand)))
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
                if let Err(error) = way_back(InHand::default()).send(&nobody, &answer).await {
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
    in_hand: InHand,
}

impl WayBack {
    async fn send(&self, to: &InboundMessage, reply: &ReplyMessage) -> Result<()> {
        if self.link.is_closed() {
            return Err(closed());
        }
        let attributes = reply.attributes(to, &self.link.settings.name);
        let attributes = attributes.into_iter().map(|(name, value)| (name, value.into()));
        let headers = headers::of_attributes(attributes);
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
            self.send(&to, &ReplyMessage::unsendable(&error)).await?;
            return Err(error);
        }
        self.send(&to, &reply).await
    }

    async fn given_up(&mut self) {
        self.in_hand.given_up().await;
    }
}
