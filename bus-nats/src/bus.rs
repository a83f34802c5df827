//! The bus: all ports over one connection.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use async_trait::async_trait;
use cqrs_core::{
    Bus, BusCapabilities, BusHealth, BusState, BusSubscription, DeadLetter, DeadLetterId,
    Deliveries, FindDeadLetters, GroupAsk, GroupAsks, OutboundMessage, OutboundRequest, Publisher,
    ReplyMessage, Requester, Requests, Responder, Result, Seat, Subscriber, Support, Unpublished,
};
use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::NatsBuilder;
use crate::error::closed;
use crate::group;
use crate::letters;
use crate::link::Link;
use crate::publisher;
use crate::requests;
use crate::routes::{self, Routes};
use crate::topology::{self, Plan};
use crate::trim;

/// How long connecting waits for the broker.
const CONNECT: Duration = Duration::from_secs(1);

/// How long closing may take.
const CLOSE: Duration = Duration::from_secs(5);

/// A bus on NATS with JetStream. Clones are the same connection.
///
/// ```no_run
/// use bus_nats::NatsBus;
/// use cqrs_core::{OutboundKind, OutboundMessage, Publisher};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = NatsBus::connect("nats://localhost:4222").await?;
/// let opened = OutboundMessage::new(OutboundKind::Message, "bank.opened", "{}").with_key("17");
/// bus.publish(vec![opened]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct NatsBus {
    inner: Arc<Inner>,
}

struct Inner {
    link: Arc<Link>,
    routes: Routes,
    groups: Mutex<HashMap<String, GroupAsks>>,
    /// Those who take requests.
    responding: Mutex<Vec<JoinHandle<()>>>,
    capabilities: BusCapabilities,
}

impl NatsBus {
    /// Connects with the usual settings. See [`NatsBuilder::connect`].
    ///
    /// # Errors
    /// [`Invalid`](cqrs_core::ErrorKind::Invalid): the URL is none.
    pub async fn connect(url: impl Into<String>) -> Result<Self> {
        Self::builder(url).connect().await
    }

    /// Settings of a bus at `nats://…` or `tls://…`: several addresses are separated by commas. Behind them
    /// `?prefix=shop` sets the [prefix](NatsBuilder::prefix).
    pub fn builder(url: impl Into<String>) -> NatsBuilder {
        NatsBuilder::new(url)
    }

    pub(crate) async fn open(settings: NatsBuilder) -> Result<Self> {
        let settings = settings.with_those_of_the_url()?;
        let capabilities = BusCapabilities {
            durable: Support::Yes,
            shared: Support::Yes,
            keeps_published: Support::Yes,
            deduplicates: Some(settings.deduplicate),
            longest_redelivery: Some(settings.longest_redelivery()),
            limits: cqrs_core::BusLimits::default(),
        };
        let link = Arc::new(Link::open(settings).await?);
        let capabilities = BusCapabilities { limits: link.limits, ..capabilities };
        let closed = link.closed.subscribe();
        let subject = link.subjects.connection(&link.id);
        tokio::spawn(answer(link.client.clone(), subject, closed.clone()));
        tokio::spawn(trim::run(Arc::downgrade(&link), closed));
        // A broker that is down is waited for by whoever needs it.
        let _ = tokio::time::timeout(CONNECT, link.connected()).await;
        let (routes, groups, responding) = (Routes::default(), Mutex::default(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { link, routes, groups, responding, capabilities }) })
    }

    /// The streams that it uses, and where those of the server are otherwise. They are made when they are
    /// first needed; nothing is changed that is there.
    ///
    /// # Errors
    /// When the broker is out of reach.
    pub async fn plan(&self) -> Result<Plan> {
        topology::plan(&self.inner.link).await
    }

    /// Removes the messages that are older than they are [kept](NatsBuilder::keep_published) and that no group
    /// wants, and tells how many they were. Every connection does so by itself several times an hour.
    ///
    /// # Errors
    /// When the broker is out of reach.
    pub async fn trim(&self) -> Result<u64> {
        trim::trim(&self.inner.link).await
    }

    /// Forgets a group that nobody is a member of any more: nothing is kept for it, and a new one of its name
    /// begins anew. Its dead letters stay.
    ///
    /// # Errors
    /// [`Invalid`](cqrs_core::ErrorKind::Invalid): there is none; or when the broker is out of reach.
    pub async fn forget_group(&self, group: &str) -> Result<()> {
        self.inner.link.ready(self.inner.link.deadline()).await?;
        routes::forget(&self.inner.link, group).await
    }

    /// The client, for whatever else NATS can do.
    pub fn client(&self) -> &Client {
        &self.inner.link.client
    }

    fn groups(&self) -> std::sync::MutexGuard<'_, HashMap<String, GroupAsks>> {
        self.inner.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn responding(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.inner.responding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without a bus nobody joins any more; the members that there are go on.
impl Drop for Inner {
    fn drop(&mut self) {
        let groups = self.groups.get_mut().unwrap_or_else(PoisonError::into_inner);
        for asks in groups.values() {
            let _ = asks.send(GroupAsk::Forsake);
        }
    }
}

/// Answers for this connection as long as it is used.
async fn answer(client: Client, subject: String, mut closed: watch::Receiver<bool>) {
    let Ok(mut asked) = client.subscribe(subject).await else { return };
    loop {
        let message = tokio::select! {
            message = asked.next() => message,
            _ = closed.wait_for(|closed| *closed) => return,
        };
        let Some(message) = message else { return };
        if let Some(reply) = message.reply {
            let _ = client.publish(reply, "".into()).await;
        }
    }
}

cqrs_core::bus_kind!(["nats", "tls"], |url, name| async move {
    Ok(Arc::new(NatsBus::builder(url).name(name).connect().await?) as Arc<dyn Bus>)
});

#[async_trait]
impl Publisher for NatsBus {
    async fn publish(&self, messages: Vec<OutboundMessage>) -> Result<(), Unpublished> {
        publisher::publish(&self.inner.link, &self.inner.routes, messages).await
    }
}

#[async_trait]
impl Subscriber for NatsBus {
    async fn subscribe(&self, subscription: BusSubscription) -> Result<Deliveries> {
        let link = &self.inner.link;
        subscription.check(&link.limits)?;
        if link.is_closed() {
            return Err(closed());
        }
        link.ready(link.deadline()).await?;
        routes::register(link, &subscription).await?;
        self.inner.routes.forget();
        let asks = {
            let mut groups = self.groups();
            if link.is_closed() {
                return Err(closed());
            }
            let start = || group::start(link.clone(), &subscription.group, subscription.kind);
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
impl Requester for NatsBus {
    async fn request(&self, request: OutboundRequest) -> Result<ReplyMessage> {
        requests::request(&self.inner.link, request).await
    }
}

#[async_trait]
impl Responder for NatsBus {
    async fn respond(&self, names: Vec<String>) -> Result<Requests> {
        let (requests, task) = requests::respond(&self.inner.link, names).await?;
        let mut responding = self.responding();
        responding.retain(|task| !task.is_finished());
        responding.push(task);
        Ok(requests)
    }
}

#[async_trait]
impl Bus for NatsBus {
    fn capabilities(&self) -> &BusCapabilities {
        &self.inner.capabilities
    }

    async fn health(&self) -> BusHealth {
        let link = &self.inner.link;
        let state = match (link.is_closed(), link.is_up()) {
            (true, _) => BusState::Closed,
            (false, true) => BusState::Up,
            (false, false) => BusState::Down(link.trouble()),
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
        let mut responding = std::mem::take(&mut *self.responding());
        responding.retain(|task| !task.is_finished());
        let was_responding = !responding.is_empty();
        let over = join(join_all(over), join_all(responding));
        let deadline = Instant::now() + CLOSE;
        let left = tokio::time::timeout_at(deadline, over).await;
        left.map_err(|elapsed| crate::error::unavailable("closing", elapsed))?;
        // While there is no connection the client takes no commands: there is nobody to tell.
        if link.is_up() {
            let told = match was_responding {
                // The server gives requests to others from now on.
                true => link.round_trip(deadline).await,
                false => tokio::time::timeout_at(deadline, link.client.flush()).await.map_or_else(
                    |elapsed| Err(crate::error::unavailable("closing", elapsed)),
                    |_| Ok(()),
                ),
            };
            return if link.is_up() { told } else { Ok(()) };
        }
        Ok(())
    }
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bus = f.debug_struct("NatsBus");
        bus.field("settings", &self.inner.link.settings).finish_non_exhaustive()
    }
}
