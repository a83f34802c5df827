//! The bus: all ports over one connection.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::{
    Bus, BusCapabilities, BusHealth, BusStart, BusState, BusSubscription, DeadLetter, DeadLetterId,
    Deliveries, Error, ErrorKind, FindDeadLetters, GroupAsk, GroupAsks, OutboundMessage,
    OutboundRequest, Publisher, ReplyMessage, Requester, Requests, Responder, Result, Seat,
    Subscriber, Support, Unpublished,
};
use futures_util::future::{join, join_all};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::RabbitBuilder;
use crate::error::{closed, unavailable};
use crate::group;
use crate::letters;
use crate::link::{Link, lock};
use crate::publisher;
use crate::requests;
use crate::routes;
use crate::session::BLOCKED;
use crate::topology::{self, Plan};

/// How long connecting waits for the broker.
const CONNECT: Duration = Duration::from_secs(1);

/// How long closing may take.
const CLOSE: Duration = Duration::from_secs(5);

/// A bus on RabbitMQ. Clones are the same connection.
///
/// ```no_run
/// use bus_rabbitmq::RabbitBus;
/// use cqrs_core::{OutboundKind, OutboundMessage, Publisher};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = RabbitBus::connect("amqp://guest:guest@localhost").await?;
/// let opened = OutboundMessage::new(OutboundKind::Message, "bank.opened", "{}").with_key("17");
/// bus.publish(vec![opened]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RabbitBus {
    inner: Arc<Inner>,
}

struct Inner {
    link: Arc<Link>,
    groups: Mutex<HashMap<String, GroupAsks>>,
    /// Those who take requests.
    responding: Mutex<Vec<JoinHandle<()>>>,
    capabilities: BusCapabilities,
}

impl RabbitBus {
    /// Connects with the usual settings. See [`RabbitBuilder::connect`].
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): the URL is none.
    pub async fn connect(url: impl Into<String>) -> Result<Self> {
        Self::builder(url).connect().await
    }

    /// Settings of a bus at `amqp://user:password@host:5672/vhost`, or `amqps://…` with TLS. The virtual host is that
    /// of the server's default where none is named; in its name `/` is `%2f`. Several addresses are separated by
    /// commas. Behind them `?prefix=shop` sets the [prefix](RabbitBuilder::prefix), and `?heartbeat=10` the seconds
    /// after which a silent side is believed to be dead.
    pub fn builder(url: impl Into<String>) -> RabbitBuilder {
        RabbitBuilder::new(url)
    }

    pub(crate) async fn open(settings: RabbitBuilder) -> Result<Self> {
        let settings = settings.with_those_of_the_url()?;
        let capabilities = BusCapabilities {
            durable: Support::Yes,
            shared: Support::Yes,
            keeps_published: Support::No(
                "its queues hold what their groups have not handled, no more",
            ),
            deduplicates: None,
            longest_redelivery: Some(settings.longest_redelivery()),
            limits: cqrs_core::BusLimits::default(),
        };
        let link = Link::open(settings)?;
        let capabilities = BusCapabilities { limits: link.limits, ..capabilities };
        // A broker that is down is waited for by whoever needs it.
        let _ = timeout(CONNECT, link.session()).await;
        let (groups, responding) = (Mutex::default(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { link, groups, responding, capabilities }) })
    }

    /// The exchanges and queues that every connection uses, and where those of the server are otherwise. They are made
    /// when a connection is; nothing is changed that is there. Each group has queues of its own beside them.
    ///
    /// # Errors
    /// When the broker is out of reach.
    pub async fn plan(&self) -> Result<Plan> {
        let link = &self.inner.link;
        link.call("planning", link.deadline(), |session| async move {
            topology::plan(&session.connection, &link.names, link.settings.keep_dead_letters).await
        })
        .await
    }

    /// Forgets a group that nobody is a member of any more: nothing is kept for it, what waits for it is gone, and a
    /// new one of its name begins anew. Its dead letters stay.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): there is none; or when the broker is out of reach.
    pub async fn forget_group(&self, group: &str) -> Result<()> {
        routes::forget(&self.inner.link, group).await
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<String, GroupAsks>> {
        lock(&self.inner.groups)
    }
}

/// Without a bus nobody joins any more; the members that there are go on.
impl Drop for Inner {
    fn drop(&mut self) {
        for asks in lock(&self.groups).values() {
            let _ = asks.send(GroupAsk::Forsake);
        }
    }
}

cqrs_core::bus_kind!(["amqp", "amqps"], |url, name| async move {
    Ok(Arc::new(RabbitBus::builder(url).name(name).connect().await?) as Arc<dyn Bus>)
});

#[async_trait]
impl Publisher for RabbitBus {
    async fn publish(&self, messages: Vec<OutboundMessage>) -> Result<(), Unpublished> {
        publisher::publish(&self.inner.link, messages).await
    }
}

#[async_trait]
impl Subscriber for RabbitBus {
    async fn subscribe(&self, subscription: BusSubscription) -> Result<Deliveries> {
        let link = &self.inner.link;
        subscription.check(&link.limits)?;
        if subscription.start == BusStart::Kept {
            let kind = ErrorKind::Unsupported { part: "keeps_published" };
            let context = format!(
                "the group `{}` cannot begin with what was published before: RabbitMQ keeps nothing \
                 that no group wants",
                subscription.group
            );
            return Err(Error::new(kind, context));
        }
        if link.is_closed() {
            return Err(closed());
        }
        routes::register(link, &subscription).await?;
        let asks = {
            let mut groups = self.groups();
            if link.is_closed() {
                return Err(closed());
            }
            let start = || group::start(link.clone(), &subscription);
            groups.entry(subscription.group.clone()).or_insert_with(start).clone()
        };
        let (sender, hands) = mpsc::unbounded_channel();
        let member = link.next();
        let join = GroupAsk::Join { member, subscription, hands: sender };
        asks.send(join).map_err(|_| closed())?;
        Ok(Seat { asks, member, hands, closed: link.closed.subscribe() }.deliveries())
    }
}

#[async_trait]
impl Requester for RabbitBus {
    async fn request(&self, request: OutboundRequest) -> Result<ReplyMessage> {
        requests::request(&self.inner.link, request).await
    }
}

#[async_trait]
impl Responder for RabbitBus {
    async fn respond(&self, names: Vec<String>) -> Result<Requests> {
        let link = &self.inner.link;
        if link.is_closed() {
            return Err(closed());
        }
        let (requests, task) = requests::respond(link, names).await?;
        let mut responding = lock(&self.inner.responding);
        responding.retain(|task| !task.is_finished());
        responding.push(task);
        Ok(requests)
    }
}

#[async_trait]
impl Bus for RabbitBus {
    fn capabilities(&self) -> &BusCapabilities {
        &self.inner.capabilities
    }

    async fn health(&self) -> BusHealth {
        let link = &self.inner.link;
        let state = match (link.is_closed(), link.current()) {
            (true, _) => BusState::Closed,
            (false, Some(session)) if session.is_blocked() => BusState::Down(BLOCKED.to_owned()),
            (false, Some(_)) => BusState::Up,
            (false, None) => BusState::Down(link.trouble()),
        };
        BusHealth { state, unheard: link.unheard.load(Ordering::Relaxed) }
    }

    async fn dead_letters(&self, find: FindDeadLetters) -> Result<Vec<DeadLetter>> {
        letters::find(&self.inner.link, &find).await
    }

    async fn send_again(&self, letter: &DeadLetterId) -> Result<()> {
        letters::send_again(&self.inner.link, letter).await
    }

    async fn discard(&self, letter: &DeadLetterId) -> Result<()> {
        letters::discard(&self.inner.link, letter).await
    }

    async fn close(&self) -> Result<()> {
        let link = &self.inner.link;
        let groups: Vec<GroupAsks> = {
            let groups = self.groups();
            link.closed.send_replace(true);
            groups.values().cloned().collect()
        };
        let mut over = Vec::new();
        for asks in groups {
            let (answer, is_over) = oneshot::channel();
            if asks.send(GroupAsk::Close { answer }).is_ok() {
                over.push(is_over);
            }
        }
        let mut responding = std::mem::take(&mut *lock(&self.inner.responding));
        responding.retain(|task| !task.is_finished());
        let over = join(join_all(over), join_all(responding));
        let left = timeout_at(Instant::now() + CLOSE, over).await;
        let session = link.current();
        link.ended.send_replace(true);
        if let Some(session) = session {
            // It may be on its end already.
            let _ = session.close().await;
        }
        left.map_err(|elapsed| unavailable("closing", elapsed)).map(|_| ())
    }
}

impl fmt::Debug for RabbitBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bus = f.debug_struct("RabbitBus");
        bus.field("settings", &self.inner.link.settings).finish_non_exhaustive()
    }
}
