//! A bridge between two memory buses, and one that is out of reach at times.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::error::Error;
use crate::memory::MemoryBus;
use crate::port::bus::{BusCapabilities, BusHealth, DeadLetter, DeadLetterId, FindDeadLetters};
use crate::port::delivery::{Settle, Verdict};
use crate::port::publisher::Publisher;
use crate::port::reply::ReplyMessage;
use crate::port::request::{OutboundRequest, Requester, Requests, Responder};
use crate::port::subscriber::Subscriber;

fn opened(key: usize, n: usize) -> OutboundMessage {
    OutboundMessage::new(OutboundKind::Message, "bank.opened", n.to_string())
        .with_key(key.to_string())
}

fn command(n: usize) -> OutboundMessage {
    OutboundMessage::new(OutboundKind::Command, "payments.charge", n.to_string()).with_key("a")
}

async fn listens(bus: &dyn Bus, group: &str) -> Deliveries {
    bus.subscribe(BusSubscription::to_messages(group, ["bank.*"])).await.unwrap()
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    let next = timeout(Duration::from_secs(20), deliveries.next()).await;
    next.expect("nothing comes").unwrap().unwrap()
}

fn bridge(from: &MemoryBus, to: impl Bus) -> Bridge {
    Bridge::between(("old", Arc::new(from.clone())), ("new", Arc::new(to)))
}

/// A bus that is out of reach for every third call.
#[derive(Debug)]
struct AtTimes {
    bus: MemoryBus,
    calls: watch::Sender<u32>,
    /// How long each call takes.
    takes: Duration,
}

impl AtTimes {
    fn new(bus: &MemoryBus, calls: u32) -> Self {
        let calls = watch::Sender::new(calls);
        Self { bus: bus.clone(), calls, takes: Duration::ZERO }
    }
}

#[async_trait]
impl Publisher for AtTimes {
    async fn publish(&self, messages: Vec<OutboundMessage>) -> Result<(), Unpublished> {
        let call = *self.calls.borrow();
        self.calls.send_modify(|calls| *calls += 1);
        tokio::time::sleep(self.takes).await;
        if call % 3 == 2 {
            let error = Error::new(ErrorKind::Unavailable, "it is out of reach");
            return Unpublished::unless_empty(vec![(0, error)]);
        }
        self.bus.publish(messages).await
    }
}

#[async_trait]
impl Subscriber for AtTimes {
    async fn subscribe(&self, subscription: BusSubscription) -> Result<Deliveries> {
        self.bus.subscribe(subscription).await
    }
}

#[async_trait]
impl Requester for AtTimes {
    async fn request(&self, request: OutboundRequest) -> Result<ReplyMessage> {
        self.bus.request(request).await
    }
}

#[async_trait]
impl Responder for AtTimes {
    async fn respond(&self, names: Vec<String>) -> Result<Requests> {
        self.bus.respond(names).await
    }
}

#[async_trait]
impl Bus for AtTimes {
    fn capabilities(&self) -> &BusCapabilities {
        self.bus.capabilities()
    }
    async fn health(&self) -> BusHealth {
        self.bus.health().await
    }
    async fn dead_letters(&self, find: FindDeadLetters) -> Result<Vec<DeadLetter>> {
        self.bus.dead_letters(find).await
    }
    async fn send_again(&self, letter: &DeadLetterId) -> Result<()> {
        self.bus.send_again(letter).await
    }
    async fn discard(&self, letter: &DeadLetterId) -> Result<()> {
        self.bus.discard(letter).await
    }
    async fn close(&self) -> Result<()> {
        self.bus.close().await
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_and_keys_keep_their_order_while_the_other_bus_is_out_of_reach_at_times() {
    let (old, new) = (MemoryBus::default(), MemoryBus::default());
    let mut mailer = listens(&new, "mailer").await;
    let at_times = AtTimes::new(&new, 0);
    let bridging = bridge(&old, at_times).messages(["bank.*"]).start().await.unwrap();
    let all = (0..20).flat_map(|n| (0..50).map(move |key| opened(key, n)));
    old.publish(all.collect()).await.unwrap();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for _ in 0..1_000 {
        let delivery = next(&mut mailer).await;
        let key = delivery.message().metadata.partition_key().unwrap().to_owned();
        let n = seen.entry(key).or_default();
        assert_eq!(delivery.message().body, n.to_string());
        *n += 1;
        delivery.ack().await.unwrap();
    }
    assert!(seen.len() == 50 && seen.values().all(|n| *n == 20), "{seen:?}");
    bridging.stop(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn what_came_over_a_bridge_does_not_go_back() {
    let (old, new) = (MemoryBus::default(), MemoryBus::default());
    let there = bridge(&old, new.clone()).messages(["bank.*"]).start().await.unwrap();
    let back = Bridge::between(("new", Arc::new(new.clone())), ("old", Arc::new(old.clone())));
    let back = back.messages(["bank.*"]).start().await.unwrap();
    let (mut of_old, mut of_new) = (listens(&old, "mailer").await, listens(&new, "mailer").await);
    old.publish(vec![opened(1, 1)]).await.unwrap();
    new.publish(vec![opened(2, 2)]).await.unwrap();
    for deliveries in [&mut of_old, &mut of_new] {
        let mut bodies = Vec::new();
        for _ in 0..2 {
            let delivery = next(deliveries).await;
            bodies.push(delivery.message().body.clone());
            delivery.ack().await.unwrap();
        }
        bodies.sort();
        assert_eq!(bodies, ["1", "2"]);
        let more = timeout(Duration::from_secs(60), deliveries.next()).await;
        assert!(more.is_err(), "each message once: {more:?}");
    }
    there.stop(Duration::from_secs(5)).await;
    back.stop(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_keeps_what_it_says_of_itself() {
    let (old, new) = (MemoryBus::default(), MemoryBus::default());
    let mut mailer = listens(&new, "mailer").await;
    let bridging = bridge(&old, new.clone()).messages(["bank.*"]).start().await.unwrap();
    let metadata = Metadata::default().with_tenant("acme").with_extension("priority", "5");
    let sent = OutboundMessage { content_type: "text/plain".into(), ..opened(7, 1) };
    let sent = sent.with_metadata(metadata);
    old.publish(vec![sent.clone()]).await.unwrap();
    let delivery = next(&mut mailer).await;
    let InboundMessage { metadata, name, content_type, body, attempt } = delivery.message().clone();
    assert_eq!((metadata.id(), metadata.tenant()), (sent.metadata.id(), Some("acme")));
    assert_eq!((metadata.partition_key(), metadata.extension("priority")), (Some("7"), Some("5")));
    assert_eq!(metadata.extension(BRIDGED), Some("old"));
    assert_eq!(
        (&*name, &*content_type, &body[..], attempt),
        ("bank.opened", "text/plain", &b"1"[..], 1)
    );
    bridging.stop(Duration::from_secs(5)).await;
}

// The bus goes by the clock of the system.
#[tokio::test]
async fn a_command_waits_until_somebody_takes_it_there() {
    let (old, new) = (MemoryBus::default(), MemoryBus::default());
    let there = AtTimes::new(&new, 0);
    let mut calls = there.calls.subscribe();
    let bridging = bridge(&old, there).commands(["payments.*"]).start().await.unwrap();
    old.publish(vec![command(1), command(2)]).await.unwrap();
    // The first one is tried again.
    calls.wait_for(|calls| *calls >= 2).await.unwrap();
    let takes = BusSubscription::to_commands("payments", ["payments.*"]);
    let mut payments = new.subscribe(takes).await.unwrap();
    for expected in ["1", "2"] {
        let delivery = next(&mut payments).await;
        assert_eq!(delivery.message().body, expected);
        delivery.ack().await.unwrap();
    }
    bridging.stop(Duration::from_secs(5)).await;
}

/// What is said of a message, in its order.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<&'static str>>>);

#[async_trait]
impl Settle for Said {
    async fn settle(self: Box<Self>, verdict: Verdict) -> Result<()> {
        assert_eq!(verdict, Verdict::Ack);
        self.0.lock().unwrap().push("ack");
        Ok(())
    }

    async fn extend(&self) -> Result<()> {
        self.0.lock().unwrap().push("extend");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_bus_hears_of_a_message_while_the_other_takes_its_time() {
    let new = MemoryBus::default();
    let slow = AtTimes { takes: SETTLE_WITHIN, ..AtTimes::new(&new, 0) };
    let (_stopping, stopped) = watch::channel(false);
    let to = Side { name: "new".into(), bus: Arc::new(slow) };
    let carrier = Carrier { from: "old".into(), to, kind: OutboundKind::Message, stopped };
    let message = InboundMessage {
        metadata: Metadata::default(),
        name: "bank.opened".to_owned(),
        content_type: "application/json".to_owned(),
        body: "{}".into(),
        attempt: 1,
    };
    let said = Said::default();
    carrier.carry(Delivery::new(message, said.clone())).await;
    let said = said.0.lock().unwrap().clone();
    assert!(said.len() >= 4 && said[..3] == ["extend"; 3], "{said:?}");
    assert_eq!(said.last(), Some(&"ack"));
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_a_bridge_stops_stays_with_the_first_bus() {
    let (old, new) = (MemoryBus::default(), MemoryBus::default());
    let mut mailer = listens(&new, "mailer").await;
    let down = AtTimes::new(&new, 2);
    let bridging = bridge(&old, down).messages(["bank.*"]).start().await.unwrap();
    old.publish(vec![opened(1, 1)]).await.unwrap();
    bridging.stop(Duration::from_secs(5)).await;
    let again = bridge(&old, new.clone()).messages(["bank.*"]).start().await.unwrap();
    assert_eq!(next(&mut mailer).await.message().body, "1");
    again.stop(Duration::from_secs(5)).await;
}
