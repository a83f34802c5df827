//! A bridge: what is published on one bus is published on another as well, in the order of its keys.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::{ErrorKind, Result};
use crate::message::metadata::Metadata;
use crate::port::bus::Bus;
use crate::port::delivery::{Delivery, InboundMessage, Ticket};
use crate::port::publisher::{OutboundKind, OutboundMessage, Unpublished};
use crate::port::subscriber::{BusSubscription, Deliveries};
use crate::runtime::backoff;

/// The extension that tells over which buses a message has come.
const BRIDGED: &str = "bridged";

/// How long the bus may hear nothing of a message that is on its way.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);

/// Carries messages from one bus to another: to move from one broker to the other without stopping, or to
/// keep two side by side.
///
/// It is a group of its own on the first bus, so that it has all that is published from its first start on,
/// also while it does not run. Each message goes on under its id, in the order of its key, and is acknowledged
/// on the first bus when the second one has stored it: at least once, and handled once by whoever has an inbox.
/// While the second bus is out of reach, messages wait on the first.
///
/// Two bridges carry both ways. A message has with it which buses it has come over (the extension `bridged`), and
/// is not carried to one of them again.
///
/// Not everything goes along: the `source` is the name that the second bus was connected with, and there is no
/// `sequence`. Requests are not carried: serve an app on both buses.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use futures_util::StreamExt;
/// use cqrs_core::memory::MemoryBus;
/// use cqrs_core::{Bridge, Bus, BusSubscription, OutboundKind, OutboundMessage, Publisher, Subscriber};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (old, new) = (MemoryBus::default(), MemoryBus::default());
/// let mut mailer = new.subscribe(BusSubscription::to_messages("mailer", ["bank.*"])).await?;
///
/// let (old_bus, new_bus) = (Arc::new(old.clone()), Arc::new(new));
/// let bridge = Bridge::between(("old", old_bus), ("new", new_bus)).messages(["bank.*"]);
/// let bridging = bridge.start().await?;
/// old.publish(vec![OutboundMessage::new(OutboundKind::Message, "bank.opened", "{}")]).await?;
/// let delivery = mailer.next().await.unwrap()?;
/// assert_eq!(delivery.message().name, "bank.opened");
/// delivery.ack().await?;
/// bridging.stop(Duration::from_secs(5)).await;
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is carried until this is started"]
pub struct Bridge {
    from: Side,
    to: Side,
    group: Option<String>,
    messages: Vec<String>,
    commands: Vec<String>,
}

/// A bus, and what it is called.
#[derive(Clone)]
struct Side {
    name: Arc<str>,
    bus: Arc<dyn Bus>,
}

impl Bridge {
    /// From the first bus to the second, each with a name: letters and digits, the same wherever bridges know the
    /// bus.
    pub fn between(from: (&str, Arc<dyn Bus>), to: (&str, Arc<dyn Bus>)) -> Self {
        let side = |(name, bus): (&str, Arc<dyn Bus>)| Side { name: name.into(), bus };
        Self {
            from: side(from),
            to: side(to),
            group: None,
            messages: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// Carries messages of these names, or patterns of names, as a group has them
    /// ([`BusSubscription::names`]).
    pub fn messages<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.messages.extend(names.into_iter().map(Into::into));
        self
    }

    /// Carries commands of these names. On the first bus no other group takes them any more. One that nobody takes on
    /// the second bus is tried again, and becomes a dead letter of the first one in the end.
    pub fn commands<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.commands.extend(names.into_iter().map(Into::into));
        self
    }

    /// Name of its group on the first bus; that for commands has `.commands` behind it. Default: `bridge.` and the
    /// name of the second bus.
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.group = Some(name.into());
        self
    }

    /// Begins to carry. Several that have the same group share the messages.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`](crate::Subscriber::subscribe) on the first bus. The second one may be out
    /// of reach.
    pub async fn start(self) -> Result<Bridging> {
        let group = self.group.unwrap_or_else(|| format!("bridge.{}", self.to.name));
        let kinds = [
            (OutboundKind::Message, group.clone(), self.messages),
            (OutboundKind::Command, format!("{group}.commands"), self.commands),
        ];
        let (stopping, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for (kind, group, names) in kinds {
            if names.is_empty() {
                continue;
            }
            let subscription = match kind {
                OutboundKind::Message => BusSubscription::to_messages(group, names),
                OutboundKind::Command => BusSubscription::to_commands(group, names),
            };
            let subscription = BusSubscription { settle_within: SETTLE_WITHIN, ..subscription };
            let deliveries = self.from.bus.subscribe(subscription).await?;
            let lane = Carrier {
                from: self.from.name.clone(),
                to: self.to.clone(),
                kind,
                stopped: stopped.clone(),
            };
            tasks.spawn(lane.run(deliveries));
        }
        Ok(Bridging { stopping, tasks })
    }
}

/// Messages are carried for as long as this lives, or until it is [stopped](Self::stop). See [`Bridge`].
#[must_use = "nothing is carried any more when this is dropped"]
pub struct Bridging {
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Bridging {
    /// Takes no more, and waits for what is on its way for so long. What is not stored by then stays with the first
    /// bus.
    pub async fn stop(mut self, within: Duration) {
        self.stopping.send_replace(true);
        let done = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(within, done).await;
    }
}

/// Carries what comes to one group.
#[derive(Clone)]
struct Carrier {
    from: Arc<str>,
    to: Side,
    kind: OutboundKind,
    stopped: watch::Receiver<bool>,
}

impl Carrier {
    async fn run(mut self, mut deliveries: Deliveries) {
        let mut carried = JoinSet::new();
        loop {
            let delivery = tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stopped| *stopped) => break,
                Some(_) = carried.join_next() => continue,
                delivery = deliveries.next() => delivery,
            };
            match delivery {
                // Of one key, the next one comes when this one is settled.
                Some(Ok(delivery)) => drop(carried.spawn(self.clone().carry(delivery))),
                Some(Err(error)) => tracing::warn!(%error, "a delivery cannot be carried"),
                None => break,
            }
        }
        drop(deliveries);
        while carried.join_next().await.is_some() {}
    }

    async fn carry(self, delivery: Delivery) {
        let (message, ticket) = delivery.split();
        let (name, id) = (message.name.clone(), message.metadata.id());
        if let Err(error) = self.settle(message, ticket).await {
            // It comes again, and is known by its id.
            tracing::debug!(name, %id, %error, "carried, and not acknowledged");
        }
    }

    async fn settle(mut self, message: InboundMessage, ticket: Ticket) -> Result<()> {
        let over = message.metadata.extension(BRIDGED).unwrap_or_default();
        if over.split(' ').any(|name| *name == *self.to.name) {
            return ticket.ack().await;
        }
        let over = format!("{over} {}", self.from).trim().to_owned();
        let attempt = message.attempt;
        let message = onward(message, self.kind, over);
        let mut failures = 0;
        loop {
            let Err(unpublished) = self.publish(&message, &ticket).await? else {
                return ticket.ack().await;
            };
            let error = unpublished.into_first();
            match error.kind() {
                ErrorKind::Invalid { .. } | ErrorKind::TooLarge { .. } => {
                    let cause = format!("`{}` does not take it: {error}", self.to.name);
                    return ticket.park(cause).await;
                }
                // Others of its key wait behind it, and it does not take the place of others for ever.
                ErrorKind::Unroutable => return ticket.retry(backoff(attempt)).await,
                _ => {}
            }
            failures += 1;
            tracing::debug!(name = message.name, to = &*self.to.name, %error, "carried again");
            tokio::select! {
                () = tokio::time::sleep(backoff(failures)) => {}
                // Dropped, it stays with the bus that it came from.
                _ = self.stopped.wait_for(|stopped| *stopped) => return Ok(()),
            }
            ticket.extend().await?;
        }
    }
}

impl Carrier {
    /// Publishes it. However patient the second bus is, the first one hears of it meanwhile: it would hand it to
    /// another otherwise, in the middle of this.
    ///
    /// # Errors
    /// It is another's by now.
    async fn publish(
        &self,
        message: &OutboundMessage,
        ticket: &Ticket,
    ) -> Result<Result<(), Unpublished>> {
        let published = self.to.bus.publish(vec![message.clone()]);
        tokio::pin!(published);
        loop {
            match timeout(SETTLE_WITHIN / 4, &mut published).await {
                Ok(published) => return Ok(published),
                Err(_) => ticket.extend().await?,
            }
        }
    }
}

/// The message for the second bus.
fn onward(message: InboundMessage, kind: OutboundKind, over: String) -> OutboundMessage {
    let InboundMessage { metadata, name, content_type, body, attempt: _ } = message;
    let key = metadata.partition_key().map(str::to_owned);
    let metadata: Metadata = metadata.with_extension(BRIDGED, over);
    OutboundMessage { metadata, kind, name, key, content_type, body, position: None }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bridge = f.debug_struct("Bridge");
        bridge.field("from", &self.from.name).field("to", &self.to.name);
        bridge.field("messages", &self.messages).field("commands", &self.commands);
        bridge.finish_non_exhaustive()
    }
}

impl fmt::Debug for Bridging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridging").field("groups", &self.tasks.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "bridge_tests.rs"]
mod tests;
