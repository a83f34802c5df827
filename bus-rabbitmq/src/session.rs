//! One connection to the server, from its beginning to its end; another one comes after it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cqrs_core::Result;
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::message::BasicReturnMessage;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, Consumer, Event, PublisherConfirm,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::error::{of, refusal, unavailable};
use crate::names::Names;
use crate::topology;

/// How long one call of the server may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// How often it is looked whether the connection is gone while an answer is waited for.
const GONE: Duration = Duration::from_millis(20);

/// Why nothing is sent that would be.
pub(crate) const BLOCKED: &str = "RabbitMQ takes no messages: it is short of memory or disk";

/// Where an answer to a request comes without a queue of its own.
const REPLIES: &str = "amq.rabbitmq.reply-to";

/// Messages that are sent before it is looked at what became of others.
const AT_ONCE: usize = 256;

/// A connection that works, or did.
pub(crate) struct Session {
    /// Of this connection alone: another connection of the same process has another one.
    pub(crate) id: String,
    pub(crate) connection: Connection,
    /// Where others say something to this connection.
    pub(crate) queue: ShortString,
    /// Where what need not be confirmed is published.
    post: Channel,
    /// Where requests are published.
    asks: Channel,
    sends: mpsc::UnboundedSender<Sending>,
    /// The server takes no messages: it is short of memory or disk.
    blocked: watch::Sender<bool>,
    over: watch::Sender<bool>,
}

/// The server does not answer, or the connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {ANSWER:?}, or the connection is lost")]
pub(crate) struct NoAnswer;

/// What comes in on a connection that is not for a group.
pub(crate) struct Inlets {
    /// What other connections say.
    pub(crate) post: Consumer,
    /// Answers to requests.
    pub(crate) replies: Consumer,
}

/// A message on its way to the server.
struct Sending {
    exchange: ShortString,
    key: ShortString,
    is_mandatory: bool,
    properties: BasicProperties,
    body: Bytes,
    answer: oneshot::Sender<Sent>,
}

/// What became of a message that was sent.
#[derive(Debug)]
pub(crate) enum Sent {
    /// The server has stored it, for everybody who gets it.
    Stored,
    /// Nobody gets it.
    Returned,
    /// A queue has no room for it.
    Refused,
    /// It is not known.
    Unknown(String),
}

impl Session {
    /// Makes all that a connection needs.
    pub(crate) async fn open(
        connection: Connection,
        id: String,
        names: &Names,
        dead_letters_kept: Duration,
    ) -> lapin::Result<(Arc<Self>, Inlets)> {
        let mut events = connection.events_listener().boxed();
        topology::apply(&connection, names, dead_letters_kept).await?;
        let (publishes, asks, post) = (
            connection.create_channel().await?,
            connection.create_channel().await?,
            connection.create_channel().await?,
        );
        publishes.confirm_select(ConfirmSelectOptions::default()).await?;
        let unheard = BasicConsumeOptions { no_ack: true, ..at_once() };
        let replies = asks
            .basic_consume(REPLIES.into(), "replies".into(), unheard, FieldTable::default())
            .await?;
        let queue = names.connection(&id);
        let own = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        post.queue_declare(queue.clone(), own, FieldTable::default()).await?;
        let said = post
            .basic_consume(queue.clone(), "post".into(), unheard, FieldTable::default())
            .await?;
        let (sends, sent) = mpsc::unbounded_channel();
        let (blocked, over) = (watch::Sender::new(false), watch::Sender::new(false));
        tokio::spawn(send_all(publishes, sent, over.subscribe()));
        let session = Arc::new(Self { id, connection, queue, post, asks, sends, blocked, over });
        let watched = Arc::downgrade(&session);
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    // What the server refuses ends a channel, and nothing else.
                    Event::Error(error) if refusal(&error).is_none() => {
                        tracing::debug!(%error, "the connection to RabbitMQ is lost");
                        break;
                    }
                    Event::ConnectionBlocked(why) => {
                        tracing::warn!(why, "RabbitMQ takes no messages");
                        watched.upgrade().inspect(|session| session.block(true));
                    }
                    Event::ConnectionUnblocked => {
                        tracing::info!("RabbitMQ takes messages again");
                        watched.upgrade().inspect(|session| session.block(false));
                    }
                    _ => {}
                }
            }
            if let Some(session) = watched.upgrade() {
                session.fail();
            }
        });
        Ok((session, Inlets { post: said, replies }))
    }

    /// It is of no more use: another one is made.
    pub(crate) fn fail(&self) {
        self.over.send_replace(true);
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    fn block(&self, is_blocked: bool) {
        self.blocked.send_replace(is_blocked);
    }

    /// Whether the server takes no messages: it is short of memory or disk.
    pub(crate) fn is_blocked(&self) -> bool {
        *self.blocked.borrow()
    }

    /// Waits until the server takes messages. `false`: the session is over.
    pub(crate) async fn takes_messages(&self) -> bool {
        if self.is_blocked() {
            let mut blocked = self.blocked.subscribe();
            tokio::select! {
                _ = blocked.wait_for(|blocked| !*blocked) => {}
                () = self.over() => {}
            }
        }
        !self.is_over()
    }

    /// Completes when it is of no more use.
    pub(crate) async fn over(&self) {
        let mut over = self.over.subscribe();
        let _ = over.wait_for(|over| *over).await;
    }

    /// Ends it.
    pub(crate) async fn close(&self) -> lapin::Result<()> {
        self.fail();
        self.answer(self.connection.close(200, "bye".into())).await.unwrap_or(Ok(()))
    }

    /// What comes of a call of the server, within [`ANSWER`] and for as long as there is a connection. The client
    /// does not tell everybody who calls in the moment in which it is lost.
    pub(crate) async fn answer<T>(&self, call: impl Future<Output = T>) -> Result<T, NoAnswer> {
        let gone = async {
            while !self.is_gone() {
                tokio::time::sleep(GONE).await;
            }
        };
        tokio::select! {
            biased;
            answer = timeout(ANSWER, call) => answer.map_err(|_| NoAnswer),
            () = gone => Err(NoAnswer),
        }
    }

    /// One call of the server, of those that are done one after the other; as an error of the port what does not come
    /// of it. Where that is no answer at all, the session is of no more use.
    pub(crate) async fn step<T>(
        &self,
        doing: impl fmt::Display,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T> {
        let error = match self.answer(call).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) if refusal(&error).is_some() => return Err(of(doing, error)),
            Ok(Err(error)) => of(doing, error),
            Err(silent) => unavailable(doing, silent),
        };
        self.fail();
        Err(error)
    }

    /// Whether the connection is lost or closed.
    pub(crate) fn is_gone(&self) -> bool {
        let status = self.connection.status();
        status.closed() || status.errored()
    }

    /// A channel for one purpose: what the server refuses closes it.
    pub(crate) async fn channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    /// Sends a message, and waits until it is known what became of it. It has a message id that tells it from all
    /// others of its key that are on their way.
    pub(crate) async fn send(
        &self,
        exchange: ShortString,
        key: ShortString,
        is_mandatory: bool,
        properties: BasicProperties,
        body: Bytes,
    ) -> Sent {
        let (answer, sent) = oneshot::channel();
        let sending = Sending { exchange, key, is_mandatory, properties, body, answer };
        if self.sends.send(sending).is_err() {
            return Sent::Unknown("the connection is lost".to_owned());
        }
        match timeout(ANSWER, sent).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(_)) => Sent::Unknown("the connection is lost".to_owned()),
            Err(_) if self.is_blocked() => Sent::Unknown(BLOCKED.to_owned()),
            Err(_) => {
                self.fail();
                Sent::Unknown(format!("no answer within {ANSWER:?}"))
            }
        }
    }

    /// Sends a request, whose answer comes to this connection; or it [comes back](Self::come_back). It is not
    /// confirmed: the answer is the confirmation.
    pub(crate) fn ask(
        &self,
        queue: ShortString,
        properties: BasicProperties,
        body: &[u8],
    ) -> lapin::Result<()> {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let properties = properties.with_reply_to(REPLIES.into());
        on_its_way(self.asks.basic_publish("".into(), queue, options, body, properties))
    }

    /// Requests that have come back since this was called last: there was no queue for them.
    pub(crate) async fn come_back(&self) -> Vec<BasicReturnMessage> {
        // There is nothing to wait for where nothing is confirmed.
        self.asks.wait_for_confirms().await.unwrap_or_default()
    }

    /// Says something to another connection, which it may never get.
    pub(crate) fn say(
        &self,
        exchange: ShortString,
        key: ShortString,
        properties: BasicProperties,
        body: &[u8],
    ) {
        if let Err(error) = self.try_say(exchange, key, properties, body) {
            tracing::debug!(%error, "not said to another connection");
        }
    }

    /// Publishes what is not confirmed. It is on its way when this is done.
    pub(crate) fn try_say(
        &self,
        exchange: ShortString,
        key: ShortString,
        properties: BasicProperties,
        body: &[u8],
    ) -> lapin::Result<()> {
        let options = BasicPublishOptions::default();
        on_its_way(self.post.basic_publish(exchange, key, options, body, properties))
    }

    /// Binds the queue of this connection, so that it hears what is said under a key.
    pub(crate) async fn hears(&self, names: &Names, key: ShortString) -> lapin::Result<()> {
        let channel = self.channel().await?;
        channel
            .queue_bind(
                self.queue.clone(),
                names.post(),
                key,
                lapin::options::QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Has the client send a message, and does not wait until it has: then the connection is lost, or the server takes
/// nothing, and nobody is woken to hear that all is well.
fn on_its_way(
    publishing: impl Future<Output = lapin::Result<PublisherConfirm>>,
) -> lapin::Result<()> {
    // The client has it when this is asked once.
    publishing.now_or_never().transpose().map(drop)
}

/// How queues are consumed from: the client knows the consumer before the server does. Servers may hand over the first
/// message before they confirm the consumer, and the client would drop it.
pub(crate) fn at_once() -> BasicConsumeOptions {
    BasicConsumeOptions { nowait: true, ..BasicConsumeOptions::default() }
}

/// By which a message that comes back is known.
fn known_by(key: &ShortString, properties: &BasicProperties) -> (String, String) {
    let id = properties.message_id().as_ref().map(|id| id.as_str().to_owned());
    (key.as_str().to_owned(), id.unwrap_or_default())
}

/// What came of a message in the client: which, and whether one has come back meanwhile.
type Outcome = (u64, lapin::Result<Confirmation>);

/// Sends messages over one channel, and tells what became of each.
///
/// The server says that a message has come back before it confirms that one, and confirms others between the two;
/// the client hands what has come back to whichever is confirmed next. So all that are confirmed are looked at before
/// any of them is told, and which one has come back is told by its id.
async fn send_all(
    channel: Channel,
    mut sends: mpsc::UnboundedReceiver<Sending>,
    mut over: watch::Receiver<bool>,
) {
    let mut on_their_way = FuturesUnordered::new();
    let mut waiting = Waiting::default();
    let mut batch = Vec::new();
    loop {
        let room = on_their_way.len() < 8 * AT_ONCE;
        tokio::select! {
            _ = over.wait_for(|over| *over) => break,
            Some(outcome) = on_their_way.next() => {
                waiting.note(outcome);
                while let Some(Some(outcome)) = on_their_way.next().now_or_never() {
                    waiting.note(outcome);
                }
                waiting.tell();
            }
            count = sends.recv_many(&mut batch, AT_ONCE), if room => {
                if count == 0 {
                    break;
                }
                for sending in batch.drain(..) {
                    let (number, channel) = (waiting.next(), channel.clone());
                    let Sending { exchange, key, is_mandatory, properties, body, answer } = sending;
                    let known_by = is_mandatory.then(|| known_by(&key, &properties));
                    waiting.unknown.insert(number, (known_by, answer));
                    on_their_way.push(async move {
                        let options = BasicPublishOptions { mandatory: is_mandatory, immediate: false };
                        let sent = channel.basic_publish(exchange, key, options, &body, properties).await;
                        let confirmed = match sent {
                            Ok(confirm) => confirm.await,
                            Err(error) => Err(error),
                        };
                        (number, confirmed)
                    });
                }
            }
        }
    }
    // Who waits for what is on its way hears that it is unknown: nobody tells any more.
}

type Answer = (Option<(String, String)>, oneshot::Sender<Sent>);

/// Messages of which it is not told yet what became of them.
#[derive(Default)]
struct Waiting {
    last: u64,
    unknown: HashMap<u64, Answer>,
    confirmed: Vec<Outcome>,
    /// Those that have come back.
    returned: HashMap<(String, String), u32>,
}

impl Waiting {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn note(&mut self, outcome: Outcome) {
        let (number, confirmed) = outcome;
        let confirmed = confirmed.map(|confirmation| match confirmation {
            Confirmation::Ack(returned) => {
                self.comes_back(returned);
                Confirmation::Ack(None)
            }
            Confirmation::Nack(returned) => {
                self.comes_back(returned);
                Confirmation::Nack(None)
            }
            Confirmation::NotRequested => Confirmation::NotRequested,
        });
        self.confirmed.push((number, confirmed));
    }

    fn comes_back(&mut self, returned: Option<BasicReturnMessage>) {
        if let Some(BasicReturnMessage { delivery, .. }) = returned {
            let known_by = known_by(&delivery.routing_key, &delivery.properties);
            *self.returned.entry(known_by).or_default() += 1;
        }
    }

    fn has_come_back(&mut self, known_by: Option<(String, String)>) -> bool {
        let Some(known_by) = known_by else { return false };
        let Some(count) = self.returned.get_mut(&known_by) else { return false };
        *count -= 1;
        if *count == 0 {
            self.returned.remove(&known_by);
        }
        true
    }

    fn tell(&mut self) {
        for (number, confirmed) in std::mem::take(&mut self.confirmed) {
            let Some((known_by, answer)) = self.unknown.remove(&number) else { continue };
            let sent = match confirmed {
                Ok(_) if self.has_come_back(known_by) => Sent::Returned,
                Ok(Confirmation::Ack(_)) => Sent::Stored,
                Ok(Confirmation::Nack(_)) => Sent::Refused,
                Ok(Confirmation::NotRequested) => Sent::Unknown("not confirmed".to_owned()),
                Err(error) => Sent::Unknown(error.to_string()),
            };
            // Nobody may wait any more.
            let _ = answer.send(sent);
        }
    }
}
