//! The rules of the bus, one by one, on the memory bus with a clock that is moved by hand.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};

use super::MemoryBus;
use crate::error::ErrorKind;
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::port::bus::{Bus, BusLimits, BusState, DeadLetter, DeadLetterId, FindDeadLetters};
use crate::port::clock::ManualClock;
use crate::port::delivery::Delivery;
use crate::port::publisher::{OutboundKind, OutboundMessage, Publisher};
use crate::port::subscriber::{BusStart, BusSubscription, Deliveries, Subscriber};

const SECOND: Duration = Duration::from_secs(1);

fn bus() -> (MemoryBus, ManualClock) {
    let clock = ManualClock::default();
    (MemoryBus::with_clock(clock.clone()), clock)
}

fn opened(key: &str, body: &'static str) -> OutboundMessage {
    OutboundMessage::new(OutboundKind::Message, "bank.opened", body).with_key(key)
}

fn charge() -> OutboundMessage {
    OutboundMessage::new(OutboundKind::Command, "payments.charge", "{}").with_key("17")
}

fn listens(group: &str) -> BusSubscription {
    BusSubscription::to_messages(group, ["bank.*"])
}

async fn join(bus: &MemoryBus, group: &str) -> Deliveries {
    bus.subscribe(listens(group)).await.unwrap()
}

/// What is there to be handed over now.
fn next(deliveries: &mut Deliveries) -> Option<Delivery> {
    deliveries.next().now_or_never().map(|delivery| delivery.expect("it is closed").unwrap())
}

fn body(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.message().body).unwrap()
}

async fn letters(bus: &MemoryBus) -> Vec<DeadLetter> {
    bus.dead_letters(FindDeadLetters::default()).await.unwrap()
}

#[tokio::test]
async fn a_message_comes_with_all_that_is_known_of_it() {
    let (bus, _) = bus();
    let mut mailer = join(&bus, "mailer").await;
    let metadata = Metadata::default()
        .with_tenant("acme")
        .with_actor("ada")
        .with_correlation("from-a-client")
        .with_causation(MessageId::fresh())
        .with_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .with_schema_version(3)
        .with_extension("note", "x");
    let sent = opened("17", r#"{"owner":"Ada"}"#).with_metadata(metadata.clone());
    bus.publish(vec![sent.clone()]).await.unwrap();
    let (message, ticket) = next(&mut mailer).unwrap().split();
    assert_eq!(message.metadata, metadata.with_partition_key("17"));
    assert_eq!((&message.name, &message.body), (&sent.name, &sent.body));
    assert_eq!((&*message.content_type, message.attempt), ("application/json", 1));
    ticket.ack().await.unwrap();
    assert!(next(&mut mailer).is_none());
}

#[tokio::test]
async fn each_group_gets_all_and_its_members_share() {
    let (bus, _) = bus();
    let mut mailers = [join(&bus, "mailer").await, join(&bus, "mailer").await];
    let mut ledger = join(&bus, "ledger").await;
    let sent = (0..10).map(|n| opened(&n.to_string(), "{}")).collect();
    bus.publish(sent).await.unwrap();
    let mut shares = [0, 0];
    for round in 0..10 {
        next(&mut ledger).unwrap().ack().await.unwrap();
        next(&mut mailers[round % 2]).unwrap().ack().await.unwrap();
        shares[round % 2] += 1;
    }
    assert!(next(&mut ledger).is_none());
    assert!(mailers.iter_mut().all(|member| next(member).is_none()));
}

#[tokio::test]
async fn one_of_a_key_is_handed_over_at_a_time_and_in_order() {
    let (bus, _) = bus();
    let mut members = [join(&bus, "mailer").await, join(&bus, "mailer").await];
    let sent = vec![opened("a", "a1"), opened("a", "a2"), opened("b", "b1"), opened("a", "a3")];
    bus.publish(sent).await.unwrap();
    let first = next(&mut members[0]).unwrap();
    let other = next(&mut members[1]).unwrap();
    assert_eq!((body(&first), body(&other)), ("a1", "b1"));
    assert!(next(&mut members[0]).is_none(), "the next of a key before the first is settled");
    first.ack().await.unwrap();
    let second = next(&mut members[1]).unwrap();
    assert_eq!(body(&second), "a2");
    second.park("no").await.unwrap();
    assert_eq!(body(&next(&mut members[0]).unwrap()), "a3");
}

#[tokio::test]
async fn keys_of_two_tenants_are_two_and_messages_without_keys_have_no_order() {
    let (bus, _) = bus();
    let mut mailer = join(&bus, "mailer").await;
    let of =
        |tenant: &str| opened("a", "{}").with_metadata(Metadata::default().with_tenant(tenant));
    let alone = || OutboundMessage { key: None, ..opened("", "{}") };
    bus.publish(vec![of("one"), of("two"), alone(), alone()]).await.unwrap();
    let held: Vec<_> = (0..4).map(|_| next(&mut mailer).unwrap()).collect();
    assert_eq!(held[2].message().metadata.partition_key(), None);
}

#[tokio::test]
async fn what_is_dropped_comes_again_first_of_its_key() {
    let (bus, _) = bus();
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![opened("a", "1"), opened("a", "2")]).await.unwrap();
    drop(next(&mut mailer).unwrap());
    let again = next(&mut mailer).unwrap();
    assert_eq!((body(&again), again.message().attempt), ("1", 2));
}

#[tokio::test]
async fn a_silent_member_loses_what_it_holds() {
    let (bus, clock) = bus();
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![opened("a", "1")]).await.unwrap();
    let (_, late) = next(&mut mailer).unwrap().split();
    clock.advance(29 * SECOND);
    late.extend().await.unwrap();
    clock.advance(29 * SECOND);
    assert!(next(&mut mailer).is_none(), "it had asked for more time");
    clock.advance(SECOND);
    let again = next(&mut mailer).unwrap();
    assert_eq!(again.message().attempt, 2);
    assert_eq!(*late.extend().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(*late.ack().await.unwrap_err().kind(), ErrorKind::Unavailable);
    again.ack().await.unwrap();
    assert!(next(&mut mailer).is_none());
}

#[tokio::test]
async fn a_retry_comes_after_its_time_and_holds_up_its_key_only() {
    let (bus, clock) = bus();
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![opened("a", "a1"), opened("a", "a2"), opened("b", "b1")]).await.unwrap();
    next(&mut mailer).unwrap().retry(5 * SECOND).await.unwrap();
    next(&mut mailer).unwrap().ack().await.unwrap();
    clock.advance(4 * SECOND);
    assert!(next(&mut mailer).is_none());
    clock.advance(SECOND);
    let again = next(&mut mailer).unwrap();
    assert_eq!((body(&again), again.message().attempt), ("a1", 2));
    again.retry(Duration::ZERO).await.unwrap();
    assert_eq!(next(&mut mailer).unwrap().message().attempt, 3);
}

#[tokio::test]
async fn a_waiting_member_wakes_up_for_what_comes_and_for_what_is_due() {
    let (bus, clock) = bus();
    let mut mailer = join(&bus, "mailer").await;
    let (sender, moved) = (bus.clone(), clock.clone());
    let sends = tokio::spawn(async move {
        tokio::task::yield_now().await;
        sender.publish(vec![opened("a", "1")]).await.unwrap();
    });
    mailer.next().await.unwrap().unwrap().retry(SECOND).await.unwrap();
    sends.await.unwrap();
    let moves = tokio::spawn(async move {
        tokio::task::yield_now().await;
        moved.advance(SECOND);
    });
    assert_eq!(mailer.next().await.unwrap().unwrap().message().attempt, 2);
    moves.await.unwrap();
}

#[tokio::test]
async fn what_is_parked_is_a_dead_letter_with_its_cause_and_origin() {
    let (bus, clock) = bus();
    let mut mailer = join(&bus, "mailer").await;
    let sent = opened("a", "1");
    bus.publish(vec![sent.clone()]).await.unwrap();
    next(&mut mailer).unwrap().retry(Duration::ZERO).await.unwrap();
    next(&mut mailer).unwrap().park("no address").await.unwrap();
    let letter = letters(&bus).await.remove(0);
    assert_eq!((&*letter.origin, &*letter.cause, letter.attempts), ("mailer", "no address", 2));
    assert_eq!(letter.message.metadata.id(), sent.metadata.id());
    assert_eq!(letter.message.body, sent.body);
    assert!(bus.dead_letters(FindDeadLetters::of("ledger")).await.unwrap().is_empty());
    assert!(bus.dead_letters(FindDeadLetters::default().after(&letter)).await.unwrap().is_empty());
    clock.advance(8 * 24 * 60 * 60 * SECOND);
    assert!(letters(&bus).await.is_empty(), "they are kept for a week");
}

#[tokio::test]
async fn what_nobody_ever_settles_becomes_a_dead_letter() {
    let (bus, _) = bus();
    let subscription = BusSubscription { deliveries: 3, ..listens("mailer") };
    let mut mailer = bus.subscribe(subscription).await.unwrap();
    bus.publish(vec![opened("a", "1"), opened("a", "2")]).await.unwrap();
    for attempt in 1..=3 {
        assert_eq!(next(&mut mailer).unwrap().message().attempt, attempt);
    }
    let letter = letters(&bus).await.remove(0);
    assert_eq!(letter.attempts, 3);
    assert_eq!(letter.cause, "it was handed over 3 times, and is not handled");
    assert_eq!(body(&next(&mut mailer).unwrap()), "2");
}

#[tokio::test]
async fn a_dead_letter_is_sent_again_under_its_id_to_its_group_only() {
    let (bus, _) = bus();
    let (mut mailer, mut ledger) = (join(&bus, "mailer").await, join(&bus, "ledger").await);
    let sent = opened("a", "1");
    bus.publish(vec![sent.clone()]).await.unwrap();
    next(&mut ledger).unwrap().ack().await.unwrap();
    next(&mut mailer).unwrap().park("no").await.unwrap();
    let letter = letters(&bus).await.remove(0);
    bus.send_again(&letter.id).await.unwrap();
    assert!(letters(&bus).await.is_empty());
    let again = next(&mut mailer).unwrap();
    assert_eq!(again.message().metadata.id(), sent.metadata.id());
    assert_eq!(again.message().attempt, 1);
    assert!(next(&mut ledger).is_none());
    again.park("no").await.unwrap();
    let next = letters(&bus).await.remove(0);
    assert_ne!(next.id, letter.id);
    bus.discard(&next.id).await.unwrap();
    for gone in [next.id, letter.id, DeadLetterId("x".into())] {
        let error = bus.send_again(&gone).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }));
        assert!(bus.discard(&gone).await.is_err());
    }
}

#[tokio::test]
async fn one_id_is_handed_over_once_within_a_time() {
    let (bus, clock) = bus();
    let mut mailer = join(&bus, "mailer").await;
    let sent = opened("a", "1");
    for _ in 0..2 {
        bus.publish(vec![sent.clone(), sent.clone()]).await.unwrap();
    }
    next(&mut mailer).unwrap().ack().await.unwrap();
    assert!(next(&mut mailer).is_none());
    clock.advance(121 * SECOND);
    bus.publish(vec![sent]).await.unwrap();
    assert!(next(&mut mailer).is_some());
}

#[tokio::test]
async fn a_full_group_refuses_one_more_and_its_later_ones_of_a_key() {
    let (bus, _) = bus();
    let bus = bus.capacity(2);
    let (mut mailer, mut ledger) = (join(&bus, "mailer").await, join(&bus, "ledger").await);
    bus.publish(vec![opened("a", "1"), opened("b", "2")]).await.unwrap();
    next(&mut ledger).unwrap().ack().await.unwrap();
    let unpublished = bus.publish(vec![opened("c", "3")]).await.unwrap_err();
    assert_eq!(*unpublished.into_first().kind(), ErrorKind::Overloaded);
    next(&mut ledger).unwrap().ack().await.unwrap();
    assert!(next(&mut ledger).is_none(), "no group gets what one has no room for");

    next(&mut mailer).unwrap().ack().await.unwrap();
    let too_large = OutboundMessage { name: String::new(), ..opened("d", "") };
    let sent = vec![too_large, opened("d", "4"), opened("e", "5"), opened("e", "6")];
    let failed = bus.publish(sent).await.unwrap_err().failed;
    let failed: Vec<_> = failed.iter().map(|(n, error)| (*n, error.kind().name())).collect();
    assert_eq!(failed, [(0, "invalid"), (1, "unavailable"), (3, "overloaded")]);
}

#[tokio::test]
async fn dead_letters_take_room_until_they_are_dealt_with() {
    let (bus, _) = bus();
    let bus = bus.capacity(1);
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![opened("a", "1")]).await.unwrap();
    next(&mut mailer).unwrap().park("no").await.unwrap();
    assert!(bus.publish(vec![opened("b", "2")]).await.is_err());
    let letter = letters(&bus).await.remove(0);
    bus.send_again(&letter.id).await.unwrap();
    assert!(bus.publish(vec![opened("b", "2")]).await.is_err());
    next(&mut mailer).unwrap().park("no").await.unwrap();
    bus.discard(&letters(&bus).await[0].id).await.unwrap();
    bus.publish(vec![opened("b", "2")]).await.unwrap();
}

#[tokio::test]
async fn a_member_holds_so_many_at_most() {
    let (bus, _) = bus();
    let subscription = BusSubscription { at_once: 2, ..listens("mailer") };
    let mut mailer = bus.subscribe(subscription).await.unwrap();
    bus.publish((0..3).map(|n| opened(&n.to_string(), "")).collect()).await.unwrap();
    let held = [next(&mut mailer).unwrap(), next(&mut mailer).unwrap()];
    assert!(next(&mut mailer).is_none());
    drop(held);
    assert!(next(&mut mailer).is_some());
}

#[tokio::test]
async fn a_command_goes_to_the_one_group_that_takes_it() {
    let (bus, _) = bus();
    let error = bus.publish(vec![charge()]).await.unwrap_err().into_first();
    assert_eq!(*error.kind(), ErrorKind::Unroutable);
    assert!(error.is_retryable());
    let takes = |group: &str, name: &str| BusSubscription::to_commands(group, [name]);
    let mut payments = bus.subscribe(takes("payments", "payments.*")).await.unwrap();
    let mut wiretap =
        bus.subscribe(BusSubscription::to_messages("wiretap", ["payments.*"])).await.unwrap();
    for refused in [takes("other", "payments.charge"), takes("wiretap", "payments.pay")] {
        let error = bus.subscribe(refused).await.err().unwrap();
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }));
    }
    bus.publish(vec![charge()]).await.unwrap();
    assert!(next(&mut payments).is_some());
    assert!(next(&mut wiretap).is_none(), "a command is no message");
}

#[tokio::test]
async fn what_nobody_listens_to_is_counted() {
    let (bus, _) = bus();
    bus.publish(vec![opened("a", ""), opened("b", "")]).await.unwrap();
    assert_eq!(bus.health().await.unheard, 2);
    assert_eq!(bus.connect().health().await.unheard, 0);
    let mut mailer = join(&bus, "mailer").await;
    assert!(next(&mut mailer).is_none());
}

#[tokio::test]
async fn a_group_without_members_gets_what_comes_meanwhile() {
    let (bus, _) = bus();
    drop(join(&bus, "mailer").await);
    bus.publish(vec![opened("a", "1")]).await.unwrap();
    let mut mailer = join(&bus, "mailer").await;
    assert_eq!(body(&next(&mut mailer).unwrap()), "1");
}

#[tokio::test]
async fn what_a_member_was_handed_can_be_settled_after_it_has_left() {
    let (bus, _) = bus();
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![opened("a", "1")]).await.unwrap();
    let held = next(&mut mailer).unwrap();
    drop(mailer);
    held.ack().await.unwrap();
    assert!(next(&mut join(&bus, "mailer").await).is_none());
}

#[tokio::test]
async fn closing_a_connection_hands_its_deliveries_to_others() {
    let (bus, _) = bus();
    let other = bus.connect();
    let (mut mailer, mut elsewhere) = (join(&bus, "mailer").await, join(&other, "mailer").await);
    bus.publish(vec![opened("a", "1")]).await.unwrap();
    let held = next(&mut mailer).unwrap();
    assert!(next(&mut elsewhere).is_none());
    let closes = (0..10).map(|_| bus.close());
    futures_util::future::try_join_all(closes).await.unwrap();
    let again = next(&mut elsewhere).unwrap();
    assert_eq!((body(&again), again.message().attempt), ("1", 2));
    assert!(held.ack().await.is_err());
    again.ack().await.unwrap();

    assert!(mailer.next().await.is_none(), "its deliveries end");
    let error = bus.publish(vec![opened("a", "2")]).await.unwrap_err().into_first();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(bus.subscribe(listens("mailer")).await.is_err());
    assert_eq!(bus.health().await.state, BusState::Closed);
    assert_eq!(other.health().await.state, BusState::Up);
    other.publish(vec![opened("a", "3")]).await.unwrap();
    assert_eq!(body(&next(&mut elsewhere).unwrap()), "3");
}

#[tokio::test]
async fn a_member_that_waits_ends_when_its_connection_is_closed() {
    let (bus, _) = bus();
    let mut mailer = join(&bus, "mailer").await;
    let waits = tokio::spawn(async move { mailer.next().await.is_none() });
    tokio::task::yield_now().await;
    bus.close().await.unwrap();
    assert!(waits.await.unwrap());
}

#[tokio::test]
async fn what_it_cannot_do_is_refused() {
    let (bus, _) = bus();
    let bus = bus.limits(BusLimits { body: 4, ..BusLimits::default() });
    let kept = BusSubscription { start: BusStart::Kept, ..listens("mailer") };
    let error = bus.subscribe(kept).await.err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::Unsupported { part: "keeps_published" }));
    assert!(bus.subscribe(listens("")).await.is_err());
    let error = bus.publish(vec![opened("a", "12345")]).await.unwrap_err().into_first();
    assert!(matches!(error.kind(), ErrorKind::TooLarge { size: 5, limit: 4, .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_publishers_and_members_lose_nothing_and_keep_the_order_of_keys() {
    let bus = MemoryBus::default();
    let mut members = Vec::new();
    let acked = Arc::new(AtomicUsize::new(0));
    let (seen, mut all) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..4 {
        let (mut deliveries, seen) = (join(&bus, "mailer").await, seen.clone());
        let acked = acked.clone();
        members.push(tokio::spawn(async move {
            while let Some(delivery) = deliveries.next().await {
                let delivery = delivery.unwrap();
                if fastrand::u32(0..10) == 0 {
                    delivery.retry(Duration::ZERO).await.unwrap();
                    continue;
                }
                let key = delivery.message().metadata.partition_key().unwrap().to_owned();
                seen.send((key, body(&delivery).parse::<u32>().unwrap())).unwrap();
                delivery.ack().await.unwrap();
                acked.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    let publishers = (0..16).map(|key| {
        let bus = bus.clone();
        tokio::spawn(async move {
            for n in 0..60 {
                let message =
                    OutboundMessage { body: n.to_string().into(), ..opened(&key.to_string(), "") };
                bus.publish(vec![message]).await.unwrap();
            }
        })
    });
    futures_util::future::join_all(publishers).await;
    let mut order = std::collections::HashMap::<String, Vec<u32>>::new();
    for _ in 0..16 * 60 {
        let (key, n) = tokio::time::timeout(10 * SECOND, all.recv()).await.unwrap().unwrap();
        order.entry(key).or_default().push(n);
    }
    assert_eq!(order.len(), 16);
    assert!(order.values().all(|ns| ns.iter().copied().eq(0..60)), "{order:?}");
    // The last ones were seen, and are not settled yet.
    while acked.load(Ordering::SeqCst) < 16 * 60 {
        tokio::task::yield_now().await;
    }
    bus.close().await.unwrap();
    let ends: HashSet<_> =
        futures_util::future::join_all(members).await.into_iter().map(|end| end.is_ok()).collect();
    assert_eq!(ends, HashSet::from([true]));
}
