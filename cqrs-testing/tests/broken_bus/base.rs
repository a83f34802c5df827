//! What all broken buses share: everything goes to the bus in memory, unless it is overridden.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::memory::MemoryBus;
use cqrs_core::{
    Bus, BusCapabilities, BusHealth, BusSubscription, DeadLetter, DeadLetterId, Deliveries,
    Delivery, FindDeadLetters, InboundMessage, OutboundMessage, OutboundRequest, Publisher,
    ReplyMessage, Requester, Requests, Responder, Result, Settle, Subscriber, Ticket, Unpublished,
    Verdict,
};
use cqrs_testing::BusUnderTest;
use futures_util::StreamExt;

/// One way to be broken: overrides one thing, the rest is right.
#[async_trait]
pub(crate) trait Fault: fmt::Debug + Default + Send + Sync + 'static {
    /// The bus behind it.
    fn bus() -> MemoryBus {
        MemoryBus::default()
    }

    /// What it says that it offers; `None`: the truth.
    fn capabilities(&self) -> Option<&BusCapabilities> {
        None
    }

    /// What is sent instead of a message; `None`: nothing is.
    fn message(&self, message: OutboundMessage) -> Option<OutboundMessage> {
        Some(message)
    }

    async fn publish(
        &self,
        bus: &MemoryBus,
        messages: Vec<OutboundMessage>,
    ) -> Result<(), Unpublished> {
        bus.publish(messages.into_iter().filter_map(|message| self.message(message)).collect())
            .await
    }

    /// What is subscribed to instead.
    fn subscription(&self, subscription: BusSubscription) -> BusSubscription {
        subscription
    }

    /// How it comes.
    fn inbound(&self, message: InboundMessage) -> InboundMessage {
        message
    }

    /// What becomes of it instead.
    fn verdict(&self, verdict: Verdict) -> Verdict {
        verdict
    }

    /// What becomes of it when it is dropped; `None`: it is handed over again.
    fn dropped(&self) -> Option<Verdict> {
        None
    }

    /// Whether more time is given.
    fn extends(&self) -> bool {
        true
    }

    async fn request(&self, bus: &MemoryBus, request: OutboundRequest) -> Result<ReplyMessage> {
        bus.request(request).await
    }

    async fn respond(&self, bus: &MemoryBus, names: Vec<String>) -> Result<Requests> {
        bus.respond(names).await
    }

    async fn health(&self, bus: &MemoryBus) -> BusHealth {
        bus.health().await
    }

    async fn dead_letters(
        &self,
        bus: &MemoryBus,
        find: FindDeadLetters,
    ) -> Result<Vec<DeadLetter>> {
        bus.dead_letters(find).await
    }

    async fn send_again(&self, bus: &MemoryBus, letter: &DeadLetterId) -> Result<()> {
        bus.send_again(letter).await
    }

    async fn discard(&self, bus: &MemoryBus, letter: &DeadLetterId) -> Result<()> {
        bus.discard(letter).await
    }

    async fn close(&self, bus: &MemoryBus) -> Result<()> {
        bus.close().await
    }
}

/// A broken bus. Its connections share the fault.
#[derive(Debug)]
pub(crate) struct Broken<F> {
    bus: MemoryBus,
    fault: Arc<F>,
}

impl<F: Fault> Default for Broken<F> {
    fn default() -> Self {
        Self { bus: F::bus(), fault: Arc::default() }
    }
}

#[async_trait]
impl<F: Fault> BusUnderTest for Broken<F> {
    async fn connect(&self) -> Arc<dyn Bus> {
        Arc::new(Self { bus: self.bus.connect(), fault: self.fault.clone() })
    }
}

#[async_trait]
impl<F: Fault> Publisher for Broken<F> {
    async fn publish(&self, messages: Vec<OutboundMessage>) -> Result<(), Unpublished> {
        self.fault.publish(&self.bus, messages).await
    }
}

#[async_trait]
impl<F: Fault> Subscriber for Broken<F> {
    async fn subscribe(&self, subscription: BusSubscription) -> Result<Deliveries> {
        let deliveries = self.bus.subscribe(self.fault.subscription(subscription)).await?;
        let fault = self.fault.clone();
        let broken = deliveries.map(move |delivery| {
            let (message, ticket) = delivery?.split();
            let ticket = BrokenTicket { ticket: Some(ticket), fault: fault.clone() };
            Ok(Delivery::new(fault.inbound(message), ticket))
        });
        Ok(broken.boxed())
    }
}

#[async_trait]
impl<F: Fault> Requester for Broken<F> {
    async fn request(&self, request: OutboundRequest) -> Result<ReplyMessage> {
        self.fault.request(&self.bus, request).await
    }
}

#[async_trait]
impl<F: Fault> Responder for Broken<F> {
    async fn respond(&self, names: Vec<String>) -> Result<Requests> {
        self.fault.respond(&self.bus, names).await
    }
}

#[async_trait]
impl<F: Fault> Bus for Broken<F> {
    fn capabilities(&self) -> &BusCapabilities {
        self.fault.capabilities().unwrap_or_else(|| self.bus.capabilities())
    }

    async fn health(&self) -> BusHealth {
        self.fault.health(&self.bus).await
    }

    async fn dead_letters(&self, find: FindDeadLetters) -> Result<Vec<DeadLetter>> {
        self.fault.dead_letters(&self.bus, find).await
    }

    async fn send_again(&self, letter: &DeadLetterId) -> Result<()> {
        self.fault.send_again(&self.bus, letter).await
    }

    async fn discard(&self, letter: &DeadLetterId) -> Result<()> {
        self.fault.discard(&self.bus, letter).await
    }

    async fn close(&self) -> Result<()> {
        self.fault.close(&self.bus).await
    }
}

struct BrokenTicket<F: Fault> {
    ticket: Option<Ticket>,
    fault: Arc<F>,
}

async fn settle(ticket: Ticket, verdict: Verdict) -> Result<()> {
    match verdict {
        Verdict::Ack => ticket.ack().await,
        Verdict::Retry(after) => ticket.retry(after).await,
        Verdict::Park(cause) => ticket.park(cause).await,
    }
}

#[async_trait]
impl<F: Fault> Settle for BrokenTicket<F> {
    async fn settle(mut self: Box<Self>, verdict: Verdict) -> Result<()> {
        match self.ticket.take() {
            Some(ticket) => settle(ticket, self.fault.verdict(verdict)).await,
            None => Ok(()),
        }
    }

    async fn extend(&self) -> Result<()> {
        match &self.ticket {
            Some(ticket) if self.fault.extends() => ticket.extend().await,
            _ => Ok(()),
        }
    }
}

impl<F: Fault> Drop for BrokenTicket<F> {
    fn drop(&mut self) {
        if let Some((ticket, verdict)) = self.ticket.take().zip(self.fault.dropped()) {
            tokio::spawn(settle(ticket, verdict));
        }
    }
}
