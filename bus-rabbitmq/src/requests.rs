//! Requests and their answers. Those who answer a name share a queue, which goes with the last of them; answers come
//! straight to the channel of whoever asked ([direct reply-to](https://www.rabbitmq.com/docs/direct-reply-to)).
//! Who gives a request up tells all who answer, because it does not know who has it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cqrs_core::{
    Error, ErrorKind, InHand, InboundMessage, InboundRequest, Metadata, OutboundRequest,
    ReplyMessage, Requests, Respond, Result,
};
use futures_util::stream::{self, SelectAll, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Consumer};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::error::{closed, of, unavailable};
use crate::headers;
use crate::link::{Link, lock};
use crate::names::{Names, short};
use crate::post;
use crate::session::{ANSWER, Session, at_once};
use crate::topology;

/// Requests that wait to be taken at most: in the queue of a name, and with one who answers. More than that are
/// dropped there, and refused here.
const WAITING: i32 = 10_000;

/// When it is looked first whether a request has come back.
const LOOKS_BACK: Duration = Duration::from_millis(5);

/// Nobody waits for longer, whatever they say.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Requests that wait for their answers.
#[derive(Debug, Default)]
pub(crate) struct Askers {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Heard>>>,
    /// Names that somebody has answered.
    answered: Mutex<HashSet<String>>,
}

/// What is heard of a request.
#[derive(Debug)]
enum Heard {
    Answer(Box<Delivery>),
    /// Nobody takes it.
    Returned,
}

impl Askers {
    fn tell(&self, number: u64, heard: Heard) {
        if let Some(asker) = lock(&self.waiting).remove(&number) {
            // Nobody may wait any more.
            let _ = asker.send(heard);
        }
    }
}

/// The number of a request, from the [id](Asking::id) that its answer has too.
fn number_of(properties: &BasicProperties) -> Option<u64> {
    let (_, number) = properties.correlation_id().as_ref()?.as_str().rsplit_once('.')?;
    number.parse().ok()
}

/// Hears the answers to the requests of this connection.
pub(crate) async fn hear_answers(link: Weak<Link>, session: Arc<Session>, mut replies: Consumer) {
    while let Some(Ok(answer)) = replies.next().await {
        let Some(link) = link.upgrade() else { return };
        if let Some(number) = number_of(&answer.properties) {
            link.askers.tell(number, Heard::Answer(Box::new(answer)));
        }
    }
    session.fail();
}

/// Tells who asks of requests that have come back, his own or those of others. The client says so only when it is
/// asked, so it is asked more and more seldom; most are answered before.
async fn look_back(link: &Link, session: &Session) -> Infallible {
    let mut pause = LOOKS_BACK;
    loop {
        tokio::time::sleep(pause).await;
        for returned in session.come_back().await {
            if let Some(number) = number_of(&returned.delivery.properties) {
                link.askers.tell(number, Heard::Returned);
            }
        }
        pause = (pause * 2).min(ANSWER);
    }
}

/// Asks, and waits for the answer.
pub(crate) async fn request(link: &Arc<Link>, request: OutboundRequest) -> Result<ReplyMessage> {
    request.check(&link.limits)?;
    let wait = request.timeout.min(LONGEST);
    let begun = Instant::now();
    // The rest is for the answer; and who waits as long as this hears that nothing was sent.
    let doing = format!("`{}` was not sent", request.name);
    let session = link.open_until(&doing, begun + wait * 9 / 10).await?;
    let queue = link.names.request(&request.name);
    let is_known = lock(&link.askers.answered).contains(&request.name);
    if !is_known {
        // The client would log what comes back: so it is looked first whether anybody answers.
        let looked = timeout_at(begun + wait, topology::exists(&session.connection, queue.clone()));
        match looked.await {
            Ok(Ok(true)) => drop(lock(&link.askers.answered).insert(request.name.clone())),
            Ok(Ok(false)) => return Err(request.unroutable()),
            Ok(Err(error)) => return Err(of(doing, error)),
            Err(elapsed) => return Err(unavailable(doing, elapsed)),
        }
    }
    let number = link.next();
    let (sender, mut heard) = oneshot::channel();
    lock(&link.askers.waiting).insert(number, sender);
    // From here on it tells whoever answers, when it is dropped with no answer.
    let mut asking = Asking { link, session: &session, number, is_over: false };
    let expires = wait.as_millis().clamp(1, u128::from(u32::MAX)).to_string();
    let properties = headers::of_attributes(request.attributes(&link.settings.name))
        .with_correlation_id(short(asking.id()))
        .with_expiration(short(expires));
    let sent = session.ask(queue, properties, &request.body);
    sent.map_err(|error| lost(&request, &error.to_string()))?;
    let mut is_closed = link.closed.subscribe();
    let heard = tokio::select! {
        biased;
        heard = &mut heard => heard.map_err(|_| request.abandoned())?,
        never = look_back(link, &session) => match never {},
        () = session.over() => return Err(lost(&request, "the connection is lost")),
        _ = is_closed.wait_for(|closed| *closed) => return Err(request.abandoned()),
        () = tokio::time::sleep_until(begun + wait) => return Err(request.unanswered()),
    };
    asking.is_over = true;
    let answer = match heard {
        Heard::Answer(answer) => answer,
        Heard::Returned => {
            lock(&link.askers.answered).remove(&request.name);
            return Err(request.unroutable());
        }
    };
    let attributes = headers::attributes(&answer.properties);
    let attributes = attributes.iter().map(|(name, value)| (name.as_str(), &**value));
    let reply = ReplyMessage::of_attributes(attributes, Bytes::from(answer.data));
    reply.map_err(|error| request.misunderstood(error))
}

/// No answer comes any more.
fn lost(request: &OutboundRequest, why: &str) -> Error {
    let context = format!("`{}` is not answered ({why}): it may still take effect", request.name);
    Error::new(ErrorKind::OutcomeUnknown, context)
}

/// A request on its way. Unless it is over, whoever answers is told that nobody waits any more.
struct Asking<'a> {
    link: &'a Arc<Link>,
    session: &'a Arc<Session>,
    number: u64,
    is_over: bool,
}

impl Asking<'_> {
    /// By which those who answer know it, and who asked knows the answer: the id of a message does not tell two
    /// attempts apart.
    fn id(&self) -> String {
        format!("{}.{}", self.session.id, self.number)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        lock(&self.link.askers.waiting).remove(&self.number);
        if !self.is_over {
            // Whoever answers goes on for nobody when this is lost.
            post::give_up(self.session, &self.link.names, &self.id());
        }
    }
}

/// Takes requests of these names. With the task that does, which ends when the bus is closed.
pub(crate) async fn respond(
    link: &Arc<Link>,
    names: Vec<String>,
) -> Result<(Requests, JoinHandle<()>)> {
    Requests::check_names(&names, &link.limits)?;
    let doing = "taking requests";
    let answering =
        link.call(doing, link.deadline(), |session| Answering::begin(link, session, &names));
    let answering = answering.await?;
    let (sender, requests) = mpsc::channel(1);
    let (close, closing) = oneshot::channel();
    let taking =
        Taking { link: link.clone(), names, waiting: VecDeque::new(), closing: Some(closing) };
    let task = tokio::spawn(taking.run(answering, sender));
    let requests =
        stream::unfold(requests, |mut requests| async { Some((requests.recv().await?, requests)) });
    Ok((Requests::new(requests.boxed(), move || drop(close)), task))
}

/// Completes when the bus is closed, or dropped.
async fn closed_of(is_closed: &mut watch::Receiver<bool>) {
    drop(is_closed.wait_for(|closed| *closed).await);
}

/// Requests that come over one session.
struct Answering {
    session: Arc<Session>,
    channel: Channel,
    consumers: SelectAll<stream::BoxStream<'static, lapin::Result<Delivery>>>,
    tags: Vec<ShortString>,
}

impl Answering {
    async fn begin(link: &Link, session: Arc<Session>, names: &[String]) -> lapin::Result<Self> {
        session.hears(&link.names, Names::given_up()).await?;
        let channel = session.channel().await?;
        let (mut consumers, mut tags) = (SelectAll::new(), Vec::new());
        for name in names {
            let queue = link.names.request(name);
            channel.queue_declare(queue.clone(), shared(), waiting_room()).await?;
            let tag = short(format!("answers-{}", tags.len()));
            // It is handed over once at most.
            let options = BasicConsumeOptions { no_ack: true, ..at_once() };
            let consumer =
                channel.basic_consume(queue, tag.clone(), options, FieldTable::default()).await?;
            consumers.push(consumer.boxed());
            tags.push(tag);
        }
        // The server knows all of them when it answers this.
        channel.basic_qos(0, BasicQosOptions::default()).await?;
        Ok(Self { session, channel, consumers, tags })
    }

    /// No more come; those that have come stay. None waits in a queue: all come as soon as they are there.
    async fn stop(&mut self) {
        for tag in std::mem::take(&mut self.tags) {
            let cancel = self.channel.basic_cancel(tag, BasicCancelOptions::default());
            if !matches!(self.session.answer(cancel).await, Ok(Ok(()))) {
                return self.session.fail();
            }
        }
    }
}

/// A queue that goes with its last consumer.
fn shared() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, auto_delete: true, ..QueueDeclareOptions::default() }
}

/// How many requests may wait in it.
fn waiting_room() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(WAITING));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments
}

/// Takes requests in, and hands them on.
struct Taking {
    link: Arc<Link>,
    names: Vec<String>,
    /// What has come and is not taken.
    waiting: VecDeque<InboundRequest>,
    /// Ends when no more are wanted.
    closing: Option<oneshot::Receiver<()>>,
}

/// Why one session is not taken from any more.
enum Over {
    Lost,
    All,
}

impl Taking {
    async fn run(mut self, mut answering: Answering, sender: mpsc::Sender<InboundRequest>) {
        loop {
            match self.take(&mut answering, &sender).await {
                // What has come and was not taken goes to others.
                Over::All => {
                    let closing = answering.channel.close(200, "done".into());
                    drop(answering.session.answer(closing).await);
                    return;
                }
                // What has come before it was closed is still given.
                Over::Lost if self.closing.is_none() => {
                    while let Some(request) = self.waiting.pop_front()
                        && sender.send(request).await.is_ok()
                    {}
                    return;
                }
                Over::Lost => {}
            }
            answering = loop {
                let again = async {
                    let session = self.link.session().await?;
                    let begin = Answering::begin(&self.link, session.clone(), &self.names);
                    let begun = session.answer(begin).await;
                    Some((session, begun))
                };
                let again = tokio::select! {
                    again = again => again,
                    () = sender.closed() => return,
                };
                match again {
                    None => return,
                    Some((_, Ok(Ok(answering)))) => break answering,
                    Some((session, failed)) => {
                        if let Ok(Err(error)) = failed {
                            tracing::warn!(%error, "no requests can be taken; it is tried again");
                        }
                        session.fail();
                        self.link.pause().await;
                    }
                }
            };
        }
    }

    async fn take(
        &mut self,
        answering: &mut Answering,
        sender: &mpsc::Sender<InboundRequest>,
    ) -> Over {
        let mut is_closed = self.link.closed.subscribe();
        let session = answering.session.clone();
        let mut has_ended = false;
        let (over, taken) = (session.over(), sender.closed());
        tokio::pin!(over, taken);
        loop {
            if has_ended && self.waiting.is_empty() {
                return Over::All;
            }
            let closing = async {
                match &mut self.closing {
                    Some(closing) => drop(closing.await),
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = closed_of(&mut is_closed) => return Over::All,
                () = &mut taken => return Over::All,
                () = &mut over => return Over::Lost,
                () = closing => {
                    self.closing = None;
                    answering.stop().await;
                }
                permit = sender.reserve(), if !self.waiting.is_empty() => {
                    if let (Ok(room), Some(request)) = (permit, self.waiting.pop_front()) {
                        room.send(request);
                    }
                }
                delivery = answering.consumers.next(), if !has_ended => match delivery {
                    Some(Ok(delivery)) => self.comes(delivery).await,
                    None if self.closing.is_none() => has_ended = true,
                    Some(Err(_)) | None => {
                        session.fail();
                        return Over::Lost;
                    }
                },
            }
        }
    }

    /// A request waits to be taken; or there are too many.
    async fn comes(&mut self, delivery: Delivery) {
        let Some(request) = self.read(delivery).await else { return };
        if self.waiting.len() < WAITING as usize {
            return self.waiting.push_back(request);
        }
        let error = Error::new(ErrorKind::Overloaded, "too many requests wait for an answer here");
        if let Err(error) = request.reply(ReplyMessage::failed(&error)).await {
            tracing::debug!(%error, "a request that is one too many is not answered");
        }
    }

    /// A request. One that cannot be read is answered at once.
    async fn read(&self, delivery: Delivery) -> Option<InboundRequest> {
        let properties = delivery.properties;
        let queue = delivery.routing_key;
        let Some(reply_to) = properties.reply_to().clone().filter(|to| !to.as_str().is_empty())
        else {
            tracing::debug!(%queue, "a request without a way back: left alone");
            return None;
        };
        if self.link.names.is_ours(reply_to.as_str()) {
            // It would have this service publish where whoever asks may not.
            tracing::warn!(%queue, "a request with a way back among our queues");
            return None;
        }
        let id = properties.correlation_id().as_ref().map(|id| id.as_str().to_owned());
        let way_back = |in_hand| WayBack {
            link: self.link.clone(),
            reply_to,
            correlation: properties.correlation_id().clone(),
            in_hand,
        };
        let asked = headers::read(&properties, Bytes::from(delivery.data), 1).and_then(|asked| {
            // What somebody may ask for is a matter of the queues that the server lets them write to.
            if queue == self.link.names.request(&asked.name) {
                return Ok(asked);
            }
            let context = format!("a request for another name came to `{queue}`");
            Err(Error::invalid_field("type", context))
        });
        match asked {
            Ok(message) => {
                let in_hand = id.map(|id| self.link.underway.enter(id)).unwrap_or_default();
                Some(InboundRequest::new(message, way_back(in_hand)))
            }
            Err(error) => {
                let nobody = InboundMessage {
                    metadata: Metadata::default(),
                    name: "unreadable".to_owned(),
                    content_type: String::new(),
                    body: Bytes::new(),
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
    reply_to: ShortString,
    correlation: Option<ShortString>,
    in_hand: InHand,
}

impl WayBack {
    async fn send(&self, to: &InboundMessage, reply: &ReplyMessage) -> Result<()> {
        if self.link.is_closed() {
            return Err(closed());
        }
        let doing = format!("answering `{}`", to.name);
        let session = self.link.open_until(&doing, self.link.deadline()).await?;
        let attributes = reply.attributes(to, &self.link.settings.name);
        let attributes = attributes.into_iter().map(|(name, value)| (name, value.into()));
        let mut properties = headers::of_attributes(attributes);
        if let Some(correlation) = &self.correlation {
            properties = properties.with_correlation_id(correlation.clone());
        }
        let (exchange, key) = (ShortString::default(), self.reply_to.clone());
        let sent = session.try_say(exchange, key, properties, &reply.body);
        sent.map_err(|error| of(doing, error))
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
