//! A member of a group: its deliveries, the right to settle each, and what it says to the task of its group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{Error, ErrorKind, Result};
use crate::port::delivery::{Delivery, InboundMessage, Settle, Verdict};
use crate::port::subscriber::{BusSubscription, Deliveries};

/// What the members of a group, and the bus, ask of the task that has the group's messages: for adapters
/// whose groups are tasks. Each delivery is known by a token that is given once.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use futures_util::StreamExt;
/// use cqrs_core::{GroupAsk, InboundMessage, Metadata, Outlook, Seat, Verdict};
/// use tokio::sync::{mpsc, watch};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (asks, mut asked) = mpsc::unbounded_channel();
/// let (handed, hands) = mpsc::unbounded_channel();
/// let closed = watch::Sender::new(false);
/// let mut deliveries = Seat { asks: asks.clone(), member: 1, hands, closed: closed.subscribe() }.deliveries();
///
/// // What the task does:
/// let message = InboundMessage {
///     metadata: Metadata::default(),
///     name: "bank.opened".into(),
///     content_type: "application/json".into(),
///     body: "{}".into(),
///     attempt: 1,
/// };
/// let outlook = Outlook { asks, token: 7, patience: Duration::from_secs(1) };
/// handed.send(outlook.hand(message).0)?;
///
/// let delivery = deliveries.next().await.unwrap()?;
/// assert!(matches!(asked.recv().await, Some(GroupAsk::Seen { token: 7 })));
/// tokio::spawn(async move { delivery.ack().await });
/// let Some(GroupAsk::Settle { token: 7, verdict: Verdict::Ack, answer }) = asked.recv().await else { panic!() };
/// answer.send(Ok(())).unwrap();
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub enum GroupAsk {
    /// A member comes.
    Join {
        /// Its number: of all members of this connection.
        member: u64,
        /// What it wants.
        subscription: BusSubscription,
        /// Where its deliveries go.
        hands: mpsc::UnboundedSender<Handed>,
    },
    /// A member goes. What it holds can still be settled.
    Leave {
        /// Its number.
        member: u64,
    },
    /// A member looks at a delivery: its time begins.
    Seen {
        /// Which delivery.
        token: u64,
    },
    /// What becomes of a delivery.
    Settle {
        /// Which delivery.
        token: u64,
        /// What becomes of it.
        verdict: Verdict,
        /// Told once the broker has noted it.
        answer: GroupAnswer,
    },
    /// Nobody will settle a delivery.
    GiveBack {
        /// Which delivery.
        token: u64,
        /// Whether anybody has looked at it.
        seen: bool,
    },
    /// A member is still at work on a delivery.
    Extend {
        /// Which delivery.
        token: u64,
        /// Told once that is known.
        answer: GroupAnswer,
    },
    /// Nobody comes any more.
    Forsake,
    /// All is left to others.
    Close {
        /// Told once it is.
        answer: oneshot::Sender<()>,
    },
}

/// Who waits for what was asked to be noted. See [`GroupAsk`].
pub type GroupAnswer = oneshot::Sender<Result<()>>;

/// Where the task of a group is asked. See [`GroupAsk`].
pub type GroupAsks = mpsc::UnboundedSender<GroupAsk>;

/// A delivery on its way to a member, which may not want it any more. See [`GroupAsk`].
#[derive(Debug)]
pub struct Handed {
    delivery: Delivery,
    token: u64,
    seen: Arc<Seen>,
}

/// Whether a member has looked at a delivery: that, or it was withdrawn before. See [`GroupAsk`].
#[derive(Debug, Default)]
pub struct Seen(AtomicU8);

const SEEN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Seen {
    /// Whether it may be looked at.
    fn look(&self) -> bool {
        let looked = self.0.compare_exchange(0, SEEN, Ordering::AcqRel, Ordering::Acquire);
        looked.is_ok()
    }

    /// Takes it back, and tells whether nobody has looked at it, or will.
    pub fn withdraw(&self) -> bool {
        let withdrawn = self.0.compare_exchange(0, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire);
        withdrawn != Err(SEEN)
    }

    /// Whether the member has looked at it.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) == SEEN
    }
}

/// The place of a member in its group. Dropped, the member has [left](GroupAsk::Leave). See [`GroupAsk`].
#[derive(Debug)]
pub struct Seat {
    /// Where the task of the group is asked.
    pub asks: GroupAsks,
    /// The number of the member.
    pub member: u64,
    /// Where its deliveries come from.
    pub hands: mpsc::UnboundedReceiver<Handed>,
    /// Whether the bus is closed: nothing comes any more then.
    pub closed: watch::Receiver<bool>,
}

impl Seat {
    /// What comes to the member.
    pub fn deliveries(self) -> Deliveries {
        let next = |mut seat: Self| async { Some((Ok(seat.next().await?), seat)) };
        stream::unfold(self, next).boxed()
    }

    async fn next(&mut self) -> Option<Delivery> {
        let handed = loop {
            let handed = tokio::select! {
                biased;
                _ = self.closed.wait_for(|closed| *closed) => return None,
                handed = self.hands.recv() => handed?,
            };
            if handed.seen.look() {
                break handed;
            }
        };
        let _ = self.asks.send(GroupAsk::Seen { token: handed.token });
        Some(handed.delivery)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.asks.send(GroupAsk::Leave { member: self.member });
    }
}

/// What a delivery needs to be settled by the task of its group. See [`GroupAsk`].
#[derive(Debug, Clone)]
pub struct Outlook {
    /// Where the task is asked.
    pub asks: GroupAsks,
    /// The token of the delivery.
    pub token: u64,
    /// How long the broker may take to note what becomes of it.
    pub patience: Duration,
}

impl Outlook {
    /// The message for a member, and whether it has looked at it. Dropped unsettled it is
    /// [given back](GroupAsk::GiveBack).
    pub fn hand(self, message: InboundMessage) -> (Handed, Arc<Seen>) {
        let (token, seen) = (self.token, Arc::new(Seen::default()));
        let unsettled = Unsettled { outlook: self, seen: seen.clone(), open: true };
        let delivery = Delivery::new(message, unsettled);
        (Handed { delivery, token, seen: seen.clone() }, seen)
    }
}

/// The right to settle a delivery.
struct Unsettled {
    outlook: Outlook,
    seen: Arc<Seen>,
    open: bool,
}

impl Unsettled {
    async fn ask(&self, ask: impl FnOnce(GroupAnswer) -> GroupAsk) -> Result<()> {
        let (answer, noted) = oneshot::channel();
        self.outlook.asks.send(ask(answer)).map_err(|_| closed())?;
        match tokio::time::timeout(self.outlook.patience, noted).await {
            Ok(Ok(noted)) => noted,
            Ok(Err(_)) => Err(closed()),
            Err(elapsed) => {
                let context = format!(
                    "settling a delivery: the broker has not noted it within {:?}; it may be handed over again",
                    self.outlook.patience
                );
                Err(Error::new(ErrorKind::Unavailable, context).with_source(elapsed))
            }
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "this connection to the bus was closed")
}

#[async_trait]
impl Settle for Unsettled {
    async fn settle(mut self: Box<Self>, verdict: Verdict) -> Result<()> {
        self.open = false;
        let token = self.outlook.token;
        self.ask(|answer| GroupAsk::Settle { token, verdict, answer }).await
    }

    async fn extend(&self) -> Result<()> {
        let token = self.outlook.token;
        self.ask(|answer| GroupAsk::Extend { token, answer }).await
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if self.open {
            let seen = self.seen.is_set();
            let _ = self.outlook.asks.send(GroupAsk::GiveBack { token: self.outlook.token, seen });
        }
    }
}
