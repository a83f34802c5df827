//! The members that one connection has in a group: one task hands messages over, and tells the broker what became of
//! them. Of all connections that have members of a group one is given its messages by the broker; it lends them to
//! the others.

mod handing;
mod loans;
mod open;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{
    BusSubscription, Clock, Error, ErrorKind, GroupAnswer, GroupAsk, GroupAsks, Handed, LoanSaid,
    LoanWord, OutboundKind, Result, Seen, SystemClock,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::claims::Claims;
use crate::link::{Link, lock};
use crate::post::{Back, Lent};
use crate::raw::Raw;
use open::{Open, Opened};

/// How often connections tell each other of their members.
const TELLS: Duration = Duration::from_secs(1);

/// How long a connection that says nothing is believed to have members.
const BELIEVED: Duration = Duration::from_secs(5);

/// What the task of a group is told.
pub(crate) enum Event {
    /// The queue is consumed from; or the bus is closed.
    Opened(Option<Opened>),
    /// Messages came.
    Came { epoch: u64, raws: Vec<Raw> },
    /// No more come over this channel.
    Ended { epoch: u64 },
    /// What is known of messages that come again.
    Known { epoch: u64, claims: Result<Claims> },
    /// It is written that these are handed over.
    Written { epoch: u64, written: Result<()>, tokens: Vec<u64> },
    /// A dead letter is stored.
    Buried { epoch: u64, token: u64, answer: Option<GroupAnswer> },
    /// The queue is left to others.
    Left,
    /// Another connection holds so many messages of the group at once.
    Room { connection: String, room: u32 },
    /// Another connection lends a message.
    Lent(Box<Lent>),
    /// Another connection has said what became of a message that it was lent.
    Said { said: LoanSaid, back: Back },
    /// Another connection is dead.
    Dead { connection: String },
}

struct Member {
    id: u64,
    hands: mpsc::UnboundedSender<Handed>,
    at_once: u32,
    settle_within: Duration,
    held: u32,
}

/// A message that is handed over, or on its way there.
struct Token {
    /// Where it is.
    with: With,
    /// `None`: it is not on its way to the member yet.
    seen: Option<Arc<Seen>>,
    /// Whether it counts among what is held there.
    held: bool,
}

#[derive(Clone)]
enum With {
    Member(u64),
    /// The connection that it is lent to.
    Connection(Arc<str>),
}

impl Token {
    fn is_lent(&self) -> bool {
        matches!(self.with, With::Connection(_))
    }

    fn is_seen(&self) -> bool {
        self.is_lent() || self.seen.as_ref().is_some_and(|seen| seen.is_set())
    }

    /// Whether the member will not see it: it had not looked at it.
    fn withdraw(&self) -> bool {
        !self.is_lent() && self.seen.as_ref().is_none_or(|seen| seen.withdraw())
    }
}

/// A message that another connection has lent.
struct Guest {
    owner: String,
    /// The owner's.
    token: u64,
    member: u64,
    seen: Arc<Seen>,
}

/// Another connection that has members of the group.
struct Peer {
    /// Messages that they hold at once.
    room: u32,
    lent: u32,
    heard: Instant,
}

/// What a connection has of the queue.
enum Hold {
    Nothing,
    /// It is on its way to us, or from us.
    Busy,
    Open(Box<Open>),
}

struct Group {
    link: Arc<Link>,
    name: Arc<str>,
    kind: OutboundKind,
    /// What it takes, as was said last.
    names: Vec<String>,
    deliveries: u32,
    settle_within: Duration,
    asks: GroupAsks,
    events: mpsc::UnboundedSender<Event>,
    members: Vec<Member>,
    tokens: HashMap<u64, Token>,
    guests: HashMap<u64, Guest>,
    peers: HashMap<Arc<str>, Peer>,
    hold: Hold,
    /// Who has written the record of claims last, as far as it is known here.
    writer: String,
    /// When the connection was lost: how often what is not finished was handed over.
    memory: Option<BTreeMap<String, u32>>,
    closing: Option<Vec<oneshot::Sender<()>>>,
    forsaken: bool,
}

/// Starts the task of a group. It ends when it is closed.
pub(crate) fn start(link: Arc<Link>, subscription: &BusSubscription) -> GroupAsks {
    let BusSubscription { group, kind, names, deliveries, settle_within, .. } = subscription;
    let (asks, asked) = mpsc::unbounded_channel();
    let (events, happened) = mpsc::unbounded_channel();
    lock(&link.groups).insert(group.clone(), events.clone());
    let group = Group {
        link,
        name: group.as_str().into(),
        kind: *kind,
        names: names.clone(),
        deliveries: *deliveries,
        settle_within: *settle_within,
        asks: asks.clone(),
        events,
        members: Vec::new(),
        tokens: HashMap::new(),
        guests: HashMap::new(),
        peers: HashMap::new(),
        hold: Hold::Nothing,
        writer: String::new(),
        memory: None,
        closing: None,
        forsaken: false,
    };
    tokio::spawn(group.run(asked, happened));
    asks
}

impl Group {
    async fn run(
        mut self,
        mut asked: mpsc::UnboundedReceiver<GroupAsk>,
        mut happened: mpsc::UnboundedReceiver<Event>,
    ) {
        let mut ticks = interval(TELLS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = match &self.hold {
                Hold::Open(open) => open.lanes.next_due(),
                _ => None,
            };
            let is_due = async {
                match due {
                    Some(due) => SystemClock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(ask) = asked.recv() => {
                    self.hear(ask);
                    while let Ok(ask) = asked.try_recv() {
                        self.hear(ask);
                    }
                }
                Some(event) = happened.recv() => {
                    self.note(event);
                    while let Ok(event) = happened.try_recv() {
                        self.note(event);
                    }
                }
                _ = ticks.tick() => {
                    self.tell();
                    self.look_after_loans();
                }
                () = is_due => {}
            }
            self.expire();
            self.take_in();
            self.hand();
            self.write();
            self.open_or_leave();
            if self.is_over() {
                break;
            }
        }
        lock(&self.link.groups).remove(&*self.name);
    }

    fn hear(&mut self, ask: GroupAsk) {
        match ask {
            GroupAsk::Join { member, subscription, hands } => {
                let BusSubscription { at_once, settle_within, deliveries, names, .. } =
                    subscription;
                (self.deliveries, self.settle_within, self.names) =
                    (deliveries, settle_within, names);
                if let Hold::Open(open) = &mut self.hold {
                    open.lanes.set_deliveries(deliveries);
                }
                if self.closing.is_none() {
                    let member = Member { id: member, hands, at_once, settle_within, held: 0 };
                    self.members.push(member);
                }
                self.tell();
            }
            GroupAsk::Leave { member } => {
                self.members.retain(|other| other.id != member);
                self.tell();
            }
            GroupAsk::Seen { token } if self.guests.contains_key(&token) => {
                self.tell_owner(token, LoanWord::Extend, None);
            }
            GroupAsk::Seen { token } => drop(self.extend(token)),
            GroupAsk::Settle { token, verdict, answer } => self.settle(token, verdict, answer),
            GroupAsk::GiveBack { token, seen } => self.give_back(token, seen),
            GroupAsk::Extend { token, answer } if self.guests.contains_key(&token) => {
                self.tell_owner(token, LoanWord::Extend, Some(answer));
            }
            GroupAsk::Extend { token, answer } => {
                let extended = if self.extend(token) { Ok(()) } else { Err(not_yours(&self.name)) };
                let _ = answer.send(extended);
            }
            GroupAsk::Forsake => self.forsaken = true,
            GroupAsk::Close { answer } => self.close(answer),
        }
    }

    fn extend(&mut self, token: u64) -> bool {
        let now = SystemClock.now();
        match &mut self.hold {
            Hold::Open(open) => open.lanes.extend(token, now),
            _ => false,
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Opened(opened) => self.opened(opened),
            Event::Came { epoch, raws } => {
                if let Some(open) = self.opened_as(epoch) {
                    open.came.extend(raws);
                }
            }
            Event::Ended { epoch } => self.ended(epoch),
            Event::Known { epoch, claims } => self.known(epoch, claims),
            Event::Written { epoch, written, tokens } => self.written(epoch, written, tokens),
            Event::Buried { epoch, token, answer } => {
                if self.opened_as(epoch).is_some() {
                    self.finish(token, answer);
                }
            }
            Event::Left => self.left(),
            Event::Room { connection, room } => self.hears_of(connection, room),
            Event::Lent(lent) => self.borrow(*lent),
            Event::Said { said, back } => self.said(said, back),
            Event::Dead { connection } => self.forget_peer(&connection),
        }
    }

    fn opened_as(&mut self, epoch: u64) -> Option<&mut Open> {
        match &mut self.hold {
            Hold::Open(open) if open.epoch == epoch => Some(open),
            _ => None,
        }
    }

    /// All that is handed over comes back, and the queue is left.
    fn close(&mut self, answer: oneshot::Sender<()>) {
        self.closing.get_or_insert_default().push(answer);
        self.members.clear();
        self.tell();
        let guests: Vec<(u64, bool)> =
            self.guests.iter().map(|(token, guest)| (*token, !guest.seen.withdraw())).collect();
        guests.into_iter().for_each(|(token, seen)| self.give_back(token, seen));
        let tokens: Vec<u64> = self.tokens.keys().copied().collect();
        for token in tokens {
            let seen = self.tokens.get(&token).is_some_and(|token| !token.withdraw());
            self.give_back(token, seen);
        }
    }

    fn is_over(&mut self) -> bool {
        let is_forsaken = self.forsaken && self.members.is_empty() && self.guests.is_empty();
        if !(self.closing.is_some() || is_forsaken) || !matches!(self.hold, Hold::Nothing) {
            return false;
        }
        for answer in self.closing.take().into_iter().flatten() {
            let _ = answer.send(());
        }
        true
    }
}

fn not_yours(group: &str) -> Error {
    let context =
        format!("this delivery of the group `{group}` was settled, or is handed to another by now");
    Error::new(ErrorKind::Unavailable, context)
}
