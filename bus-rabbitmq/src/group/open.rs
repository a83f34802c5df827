//! Consuming from the queue of a group: beginning, what comes, and leaving it to others.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{
    BusSubscription, Clock, Error, GroupAnswer, Lane, Lanes, OutboundKind, Result, SystemClock,
};
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Event, Group, Hold};
use crate::claims::{Claims, Prior, Record};
use crate::error::of;
use crate::link::Link;
use crate::names::Names;
use crate::raw::Raw;
use crate::record;
use crate::routes;
use crate::session::{ANSWER, Session, at_once};
use crate::topology;

/// Messages that are taken in at once.
const AT_ONCE: usize = 256;

/// Milliseconds for which the broker lets a message be in hand, where it lets itself be told (from 3.12 on): a week.
const IN_HAND: i64 = 7 * 24 * 60 * 60 * 1_000;

/// What the broker is told, in this order.
enum Tell {
    Ack {
        tag: u64,
        answer: Option<GroupAnswer>,
    },
    /// The channel is closed: all that is not acknowledged goes to others.
    Close {
        events: mpsc::UnboundedSender<Event>,
    },
}

/// A queue that is consumed from.
pub(crate) struct Opened {
    session: Arc<Session>,
    epoch: u64,
    tells: mpsc::UnboundedSender<Tell>,
}

/// What came from the queue.
pub(super) struct Open {
    pub(super) session: Arc<Session>,
    pub(super) epoch: u64,
    tells: mpsc::UnboundedSender<Tell>,
    pub(super) lanes: Lanes<Arc<Raw>>,
    /// What came and is not looked at yet.
    pub(super) came: VecDeque<Raw>,
    /// `None`: nothing has come that came before.
    pub(super) claims: Option<Claims>,
    reading: bool,
    /// What was in somebody's hands when its connection died: maybe of one of them. They come one after the other.
    suspects: VecDeque<(Raw, u32)>,
    /// The one of them that is not settled.
    suspect: Option<u64>,
    /// What comes again, and waits until there are no suspects.
    rest: Vec<(Raw, u32)>,
    /// Tokens that are handed over once it is written that they are.
    pub(super) unwritten: Vec<u64>,
    pub(super) writing: bool,
    /// Messages that are with members, other connections, or the dead letters.
    pub(super) out: usize,
}

impl Open {
    fn new(opened: Opened, deliveries: u32) -> Self {
        let Opened { session, epoch, tells } = opened;
        Self {
            session,
            epoch,
            tells,
            lanes: Lanes::new(deliveries),
            came: VecDeque::new(),
            claims: None,
            reading: false,
            suspects: VecDeque::new(),
            suspect: None,
            rest: Vec::new(),
            unwritten: Vec::new(),
            writing: false,
            out: 0,
        }
    }

    /// Tells the broker that a message is finished.
    pub(super) fn ack(&self, tag: u64, answer: Option<GroupAnswer>) {
        let _ = self.tells.send(Tell::Ack { tag, answer });
    }

    /// Whoever had it is rid of it.
    pub(super) fn let_go(&mut self, raw: &Raw) {
        if self.suspect == Some(raw.tag) {
            self.suspect = None;
        }
    }

    fn add(&mut self, raw: Raw, attempts: u32) {
        // What cannot be read has no key.
        let lane = raw.inbound(0).ok().and_then(|message| Lane::of_inbound(&message));
        self.lanes.add(lane, Arc::new(raw), attempts);
    }

    /// Looks at what came. Whether it must be known first what is known of messages that come again.
    fn take_in(&mut self) -> bool {
        while let Some(raw) = self.came.front() {
            if raw.is_probe() {
                self.ack(raw.tag, None);
                self.came.pop_front();
                continue;
            }
            if raw.comes_again && self.claims.is_none() {
                return true;
            }
            let all_have_come = self.suspects.is_empty() && self.rest.is_empty();
            if !raw.comes_again && !all_have_come {
                break;
            }
            let Some(raw) = self.came.pop_front() else { break };
            match &mut self.claims {
                Some(claims) if raw.comes_again => {
                    let unknown = Prior { attempts: 1, is_suspect: false };
                    let prior = raw.id().map_or(unknown, |id| claims.comes(&id));
                    match prior.is_suspect {
                        true => self.suspects.push_back((raw, prior.attempts)),
                        false => self.rest.push((raw, prior.attempts)),
                    }
                }
                Some(claims) => {
                    claims.all_have_come();
                    self.add(raw, 0);
                }
                None => self.add(raw, 0),
            }
        }
        if self.suspect.is_none() {
            match self.suspects.pop_front() {
                Some((raw, attempts)) => {
                    self.suspect = Some(raw.tag);
                    self.add(raw, attempts);
                }
                None if self.rest.is_empty() => {}
                None => {
                    for (raw, attempts) in std::mem::take(&mut self.rest) {
                        self.add(raw, attempts);
                    }
                    return self.take_in();
                }
            }
        }
        false
    }

    /// How often each message was handed over that is not finished, as far as it is known; but for these, which nobody
    /// has looked at.
    fn attempts(&self, unseen: &HashSet<u64>) -> BTreeMap<String, u32> {
        let in_lanes = self.lanes.unfinished().map(|(raw, attempts)| (&**raw, attempts));
        let waits = self.suspects.iter().chain(&self.rest).map(|(raw, n)| (raw, *n));
        let came = self.came.iter().filter(|raw| !raw.comes_again).map(|raw| (raw, 0));
        let all = in_lanes.chain(waits).chain(came);
        let known = all.filter_map(|(raw, attempts)| {
            Some((raw.id()?, attempts.saturating_sub(u32::from(unseen.contains(&raw.tag)))))
        });
        known.collect()
    }
}

impl Group {
    /// Sees to it that this connection consumes from the queue while it has members, and leaves it after that.
    pub(super) fn open_or_leave(&mut self) {
        let is_here = !self.members.is_empty() && self.closing.is_none();
        match &mut self.hold {
            Hold::Nothing if is_here => self.begin(),
            Hold::Nothing | Hold::Busy => {}
            Hold::Open(_) => {
                if is_here {
                    return;
                }
                let is_closing = self.closing.is_some();
                if !is_closing {
                    let unseen = self.tokens.iter().filter(|(_, token)| token.withdraw());
                    let unseen: Vec<u64> = unseen.map(|(token, _)| *token).collect();
                    unseen.into_iter().for_each(|token| self.give_back(token, false));
                }
                let Hold::Open(open) = &mut self.hold else { return };
                if !is_closing && (open.out > 0 || open.writing) {
                    return;
                }
                self.leave();
            }
        }
    }

    fn begin(&mut self) {
        self.hold = Hold::Busy;
        let subscription = BusSubscription {
            at_once: 1,
            ..match self.kind {
                OutboundKind::Command => {
                    BusSubscription::to_commands(&*self.name, self.names.clone())
                }
                OutboundKind::Message => {
                    BusSubscription::to_messages(&*self.name, self.names.clone())
                }
            }
        };
        let (link, events) = (self.link.clone(), self.events.clone());
        tokio::spawn(async move {
            let opened = consume(&link, &subscription, &events).await;
            let _ = events.send(Event::Opened(opened));
        });
    }

    pub(super) fn opened(&mut self, opened: Option<Opened>) {
        self.hold = match opened {
            None => Hold::Nothing,
            Some(opened) => Hold::Open(Box::new(Open::new(opened, self.deliveries))),
        };
        self.tell();
    }

    /// The channel is no more: what was handed over goes to others.
    pub(super) fn ended(&mut self, epoch: u64) {
        let Some(open) = self.opened_as(epoch) else { return };
        open.session.fail();
        let Hold::Open(open) = std::mem::replace(&mut self.hold, Hold::Nothing) else { return };
        // This process lives: it knows what it has handed over, should all of it come here again.
        let unseen = self.tokens.iter().filter(|(_, token)| token.withdraw());
        let unseen = unseen.filter_map(|(token, _)| Some(open.lanes.handed(*token)?.0.tag));
        self.memory = Some(open.attempts(&unseen.collect()));
        for member in &mut self.members {
            member.held = 0;
        }
        self.tokens.clear();
        // What others have lent they have taken back.
        self.guests.clear();
        self.peers.clear();
    }

    fn leave(&mut self) {
        let Hold::Open(open) = std::mem::replace(&mut self.hold, Hold::Busy) else { return };
        self.tokens.clear();
        self.peers.clear();
        let attempts = open.attempts(&HashSet::new());
        let is_known = open.claims.is_none() && attempts.is_empty();
        let record = match open.claims.as_ref() {
            Some(claims) => claims.last_record(attempts, open.session.id.clone()),
            None => Claims::default().last_record(attempts, open.session.id.clone()),
        };
        let (link, name, events) = (self.link.clone(), self.name.clone(), self.events.clone());
        tokio::spawn(async move {
            if !is_known {
                let queue = link.names.claims_of(&name);
                if let Err(error) = record::write(&open.session, &queue, record.text()).await {
                    tracing::debug!(group = &*name, %error, "left without a word");
                }
            }
            let close = Tell::Close { events: events.clone() };
            if open.tells.send(close).is_err() {
                let _ = events.send(Event::Left);
            }
        });
    }

    pub(super) fn left(&mut self) {
        if matches!(self.hold, Hold::Busy) {
            self.hold = Hold::Nothing;
        }
    }

    /// Looks at what came.
    pub(super) fn take_in(&mut self) {
        let Hold::Open(open) = &mut self.hold else { return };
        if !open.take_in() || open.reading {
            return;
        }
        open.reading = true;
        let (session, epoch) = (open.session.clone(), open.epoch);
        let (queue, events) = (self.link.names.claims_of(&self.name), self.events.clone());
        let (writer, memory) = (self.writer.clone(), self.memory.clone());
        tokio::spawn(async move {
            let claims = read_claims(&session, &queue, &writer, memory.as_ref()).await;
            let _ = events.send(Event::Known { epoch, claims });
        });
    }

    pub(super) fn known(&mut self, epoch: u64, claims: Result<Claims>) {
        let Some(open) = self.opened_as(epoch) else { return };
        open.reading = false;
        match claims {
            Ok(claims) => {
                let writer = claims.writer().to_owned();
                open.claims = Some(claims);
                (self.writer, self.memory) = (writer, None);
            }
            Err(error) => {
                tracing::warn!(group = &*self.name, %error, "claims cannot be read");
                if let Hold::Open(open) = &self.hold {
                    open.session.fail();
                }
            }
        }
    }

    pub(super) fn now() -> cqrs_core::Timestamp {
        SystemClock.now()
    }
}

/// Reads what is known of messages that come again. Where nobody has written it since this process did, `memory` is
/// what it knows itself.
async fn read_claims(
    session: &Session,
    queue: &ShortString,
    writer: &str,
    memory: Option<&BTreeMap<String, u32>>,
) -> Result<Claims> {
    let read = async {
        let found = record::read(session, queue).await?;
        let record = Record::read(found.record.as_deref());
        let memory = memory.filter(|_| record.is_by(writer));
        let claims = Claims::of(record, session.id.clone(), memory);
        found.replace(session, queue, claims.record().text()).await?;
        Ok::<_, Error>(claims)
    };
    match timeout(2 * ANSWER, read).await {
        Ok(claims) => claims,
        Err(elapsed) => Err(crate::error::unavailable("reading claims", elapsed)),
    }
}

/// Consumes from the queue of a group, on whichever session there is. `None`: the bus is closed.
async fn consume(
    link: &Arc<Link>,
    subscription: &BusSubscription,
    events: &mpsc::UnboundedSender<Event>,
) -> Option<Opened> {
    loop {
        let session = link.session().await?;
        let group = subscription.group.as_str();
        let queue = link.names.queue(subscription.kind, group);
        let begun = session.answer(async {
            let is_there = topology::exists(&session.connection, queue.clone()).await?;
            if !is_there {
                return Ok(None);
            }
            session.hears(&link.names, Names::post_of(group)).await?;
            let channel = session.channel().await?;
            channel.basic_qos(link.settings.prefetch, BasicQosOptions::default()).await?;
            let mut arguments = FieldTable::default();
            arguments.insert("x-consumer-timeout".into(), AMQPValue::LongLongInt(IN_HAND));
            let options = at_once();
            let consumer =
                channel.basic_consume(queue.clone(), "group".into(), options, arguments).await?;
            Ok::<_, lapin::Error>(Some((channel, consumer)))
        });
        match begun.await {
            Ok(Ok(Some((channel, consumer)))) => {
                let epoch = link.next();
                let (tells, told) = mpsc::unbounded_channel();
                tokio::spawn(pass_on(consumer, epoch, events.clone()));
                tokio::spawn(tell_all(channel, told, session.clone()));
                return Some(Opened { session, epoch, tells });
            }
            // The server has lost it: all is made anew.
            Ok(Ok(None)) => match routes::register(link, subscription).await {
                Ok(()) => continue,
                Err(error) => {
                    tracing::warn!(group, %error, "its queue is gone, and not made again");
                }
            },
            Ok(Err(error)) => {
                tracing::debug!(group, %error, "not consumed from yet");
                session.fail();
            }
            Err(_) => session.fail(),
        }
        tokio::time::sleep(Duration::from_millis(20 + fastrand::u64(0..80))).await;
    }
}

/// Passes on what comes. It holds the consumer until its channel is closed: were it cancelled before, the broker would
/// give what comes after to others while what came before is not settled.
async fn pass_on(mut consumer: Consumer, epoch: u64, events: mpsc::UnboundedSender<Event>) {
    while let Some(Ok(delivery)) = consumer.next().await {
        let mut raws = vec![Raw::of(delivery)];
        while raws.len() < AT_ONCE
            && let Some(Some(Ok(delivery))) = consumer.next().now_or_never()
        {
            raws.push(Raw::of(delivery));
        }
        if events.send(Event::Came { epoch, raws }).is_err() {
            break;
        }
    }
    let _ = events.send(Event::Ended { epoch });
}

/// Tells the broker what is finished.
async fn tell_all(
    channel: Channel,
    mut told: mpsc::UnboundedReceiver<Tell>,
    session: Arc<Session>,
) {
    let mut batch = Vec::new();
    while told.recv_many(&mut batch, AT_ONCE).await > 0 {
        let mut close = None;
        let acks = batch.drain(..).filter_map(|tell| match tell {
            Tell::Ack { tag, answer } => Some((tag, answer)),
            Tell::Close { events } => {
                close = Some(events);
                None
            }
        });
        let acks = acks.collect::<Vec<_>>().into_iter().map(|(tag, answer)| {
            let channel = &channel;
            async move {
                let acked = channel.basic_ack(tag, BasicAckOptions::default()).await;
                let is_told = acked.is_ok();
                let acked = acked.map_err(|error| of("acknowledging a delivery", error));
                answer.map(|answer| answer.send(acked));
                is_told
            }
        });
        if join_all(acks).await.contains(&false) {
            session.fail();
        }
        if let Some(events) = close {
            if !matches!(session.answer(channel.close(200, "bye".into())).await, Ok(Ok(()))) {
                session.fail();
            }
            let _ = events.send(Event::Left);
            return;
        }
    }
}
