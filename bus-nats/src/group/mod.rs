//! The members that one connection has in a group: one task owns parts of the messages, hands them over,
//! and writes down what became of them.

mod handing;
mod hears;
mod loans;
mod shares;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subject;
use cqrs_core::{
    BusSubscription, Clock, Error, ErrorKind, GroupAsk, GroupAsks, Handed, LoanSaid, LoanWord,
    OutboundKind, Result, Seen, SystemClock,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::kept::Put;
use crate::lend::Lent;
use crate::letters::Raw;
use crate::link::Link;
use crate::owned::{Carried, Done, Owned};
use crate::peers::{Peers, TELLS, Told};
use crate::subjects::Part;
use crate::take::Take;

/// What tasks of the group tell it.
enum Event {
    Taken {
        part: Part,
        taken: Result<Take>,
    },
    Read {
        part: Part,
        epoch: u64,
        raws: Vec<Raw>,
    },
    Written {
        part: Part,
        epoch: u64,
        put: Result<Put>,
        carried: Carried,
    },
    Buried {
        part: Part,
        epoch: u64,
        done: Done,
    },
    Left {
        part: Part,
    },
    Told(Told),
    /// Another connection lends a message.
    Lent {
        lent: Box<Lent>,
        reply: Option<Subject>,
    },
    /// Another connection has said what became of a message that it was lent.
    Said {
        said: LoanSaid,
        reply: Option<Subject>,
    },
    /// A message that was lent is not there; or whoever it was lent to is dead.
    Refused {
        token: u64,
    },
    Dead {
        connection: String,
    },
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
    part: Part,
    member: u64,
    /// None: it is not on its way to the member yet.
    seen: Option<Arc<Seen>>,
    /// Whether it counts among what its member holds.
    held: bool,
    /// The connection that it is lent to.
    lent: Option<Arc<str>>,
}

/// A message that another connection has lent.
struct Guest {
    owner: String,
    /// The owner's.
    token: u64,
    member: u64,
    seen: Arc<Seen>,
}

impl Token {
    fn is_seen(&self) -> bool {
        self.lent.is_some() || self.seen.as_ref().is_some_and(|seen| seen.is_set())
    }

    /// Whether the member will not see it: it had not looked at it.
    fn withdraw(&self) -> bool {
        self.lent.is_none() && self.seen.as_ref().is_none_or(|seen| seen.withdraw())
    }
}

/// What a connection has of a part.
enum Slot {
    /// Nothing.
    Free,
    /// It is on its way to us, or from us.
    Busy,
    Owned(Box<Owned>),
}

struct Group {
    link: Arc<Link>,
    name: Arc<str>,
    kind: OutboundKind,
    deliveries: u32,
    asks: GroupAsks,
    events: mpsc::UnboundedSender<Event>,
    members: Vec<Member>,
    tokens: HashMap<u64, Token>,
    guests: HashMap<u64, Guest>,
    settle_within: Duration,
    slots: Vec<Slot>,
    /// Since when the owner of a part does not answer.
    silent: Vec<Option<Instant>>,
    peers: Peers,
    /// Where the next turn begins, among parts and among members.
    turn: usize,
    closing: Option<Vec<oneshot::Sender<()>>>,
    forsaken: bool,
}

/// Starts the task of a group. It ends when it is closed.
pub(crate) fn start(link: Arc<Link>, name: &str, kind: OutboundKind) -> GroupAsks {
    let (asks, asked) = mpsc::unbounded_channel();
    let (events, happened) = mpsc::unbounded_channel();
    let group = Group {
        link,
        name: name.into(),
        kind,
        deliveries: u32::MAX,
        asks: asks.clone(),
        events,
        members: Vec::new(),
        tokens: HashMap::new(),
        guests: HashMap::new(),
        settle_within: Duration::from_secs(30),
        slots: Part::all().map(|_| Slot::Free).collect(),
        silent: vec![None; Part::count()],
        peers: Peers::default(),
        turn: 0,
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
        let subjects = &self.link.subjects;
        let listening = [
            tokio::spawn(hears::listen(
                self.link.clone(),
                subjects.peers(&self.name),
                self.events.clone(),
                hears::told,
            )),
            tokio::spawn(hears::listen(
                self.link.clone(),
                subjects.lends(&self.link.id, &self.name),
                self.events.clone(),
                hears::lent,
            )),
            tokio::spawn(hears::listen(
                self.link.clone(),
                subjects.returns(&self.link.id, &self.name),
                self.events.clone(),
                hears::said,
            )),
        ];
        let mut ticks = interval(TELLS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.next_due();
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
            self.share();
            self.hand();
            self.write();
            if self.is_over() {
                break;
            }
        }
        listening.iter().for_each(tokio::task::JoinHandle::abort);
    }

    fn hear(&mut self, ask: GroupAsk) {
        match ask {
            GroupAsk::Join { member, subscription, hands } => {
                let BusSubscription { at_once, settle_within, deliveries, .. } = subscription;
                (self.deliveries, self.settle_within) = (deliveries, settle_within);
                for slot in &mut self.slots {
                    if let Slot::Owned(owned) = slot {
                        owned.lanes.set_deliveries(deliveries);
                    }
                }
                if self.closing.is_none() {
                    let member = Member { id: member, hands, at_once, settle_within, held: 0 };
                    self.members.push(member);
                }
                self.tell();
            }
            GroupAsk::Leave { member } => {
                self.members.retain(|other| other.id != member);
                if self.members.is_empty() {
                    self.tell();
                }
            }
            GroupAsk::Seen { token } if self.guests.contains_key(&token) => {
                self.tell_owner(token, LoanWord::Extend, None);
            }
            GroupAsk::Seen { token } => {
                let now = SystemClock.now();
                if let Some(owned) = self.owner(token) {
                    owned.lanes.extend(token, now);
                }
            }
            GroupAsk::Settle { token, verdict, answer } => self.settle(token, verdict, answer),
            GroupAsk::GiveBack { token, seen } => self.give_back(token, seen),
            GroupAsk::Extend { token, answer } if self.guests.contains_key(&token) => {
                self.tell_owner(token, LoanWord::Extend, Some(answer));
            }
            GroupAsk::Extend { token, answer } => {
                let now = SystemClock.now();
                let extended =
                    self.owner(token).is_some_and(|owned| owned.lanes.extend(token, now));
                let _ = answer.send(if extended { Ok(()) } else { Err(not_yours(&self.name)) });
            }
            GroupAsk::Forsake => self.forsaken = true,
            GroupAsk::Close { answer } => self.close(answer),
        }
    }

    fn owner(&mut self, token: u64) -> Option<&mut Owned> {
        let part = self.tokens.get(&token)?.part;
        match &mut self.slots[part.number()] {
            Slot::Owned(owned) => Some(owned),
            _ => None,
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Taken { part, taken } => self.taken(part, taken),
            Event::Read { part, epoch, raws } => {
                if let Some(owned) = self.owned(part, epoch) {
                    owned.reads(raws, name_of);
                }
            }
            Event::Written { part, epoch, put, carried } => self.written(part, epoch, put, carried),
            Event::Buried { part, epoch, done } => self.buried(part, epoch, done),
            Event::Left { part } => {
                self.slots[part.number()] = Slot::Free;
                self.tell();
            }
            Event::Lent { lent, reply } => self.borrow(*lent, reply),
            Event::Said { said, reply } => self.said(said, reply),
            Event::Refused { token } => self.give_back(token, false),
            Event::Dead { connection } => {
                let lent = self.tokens.iter().filter(|(_, token)| {
                    token.lent.as_deref().is_some_and(|lent| lent == connection)
                });
                let lent: Vec<u64> = lent.map(|(token, _)| *token).collect();
                lent.into_iter().for_each(|token| self.give_back(token, true));
            }
            Event::Told(told) => {
                if told.id != self.link.id && self.peers.hear(&told, Instant::now()) {
                    self.tell();
                }
            }
        }
    }

    fn owned(&mut self, part: Part, epoch: u64) -> Option<&mut Owned> {
        match &mut self.slots[part.number()] {
            Slot::Owned(owned) if owned.epoch == epoch => Some(owned),
            _ => None,
        }
    }
}

/// The name in a subject: behind prefix, kind and part.
fn name_of(subject: &str) -> &str {
    subject.splitn(4, '.').nth(3).unwrap_or_default()
}

fn not_yours(group: &str) -> Error {
    let context =
        format!("this delivery of the group `{group}` was settled, or is handed to another by now");
    Error::new(ErrorKind::Unavailable, context)
}
