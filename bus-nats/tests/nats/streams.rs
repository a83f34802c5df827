//! The streams of a prefix, and the messages in them.

use async_nats::jetstream::{self, stream};
use bus_nats::NatsBus;
use cqrs_core::{Bus, BusSubscription, ErrorKind, FindDeadLetters, Publisher, Subscriber};

use crate::{connect, join, next, opened, prefix, url};

#[tokio::test]
async fn a_plan_tells_what_is_to_be_made_and_what_is_otherwise() {
    let prefix = prefix();
    let bus = connect(NatsBus::builder(url()).prefix(&prefix)).await;
    let context = jetstream::new(bus.client().clone());
    let config = stream::Config {
        name: prefix.clone(),
        subjects: vec![format!("{prefix}.command.>"), format!("{prefix}.message.>")],
        max_bytes: 1 << 20,
        ..stream::Config::default()
    };
    context.create_stream(config).await.unwrap();
    let plan = bus.plan().await.unwrap();
    let told = plan.to_string();
    assert_eq!(plan.streams.iter().filter(|stream| stream.exists).count(), 1, "{told}");
    assert!(told.contains("max_bytes: 1048576, planned -1"), "{told}");
    assert!(told.contains(&format!("{prefix}-groups")), "{told}");
    // What is there is used as it is.
    bus.publish(vec![opened(1, 1)]).await.unwrap();
    let plan = bus.plan().await.unwrap();
    assert!(plan.streams.iter().all(|stream| stream.exists), "{plan}");
    assert!(plan.to_string().contains("max_bytes: 1048576, planned -1"), "{plan}");
}

#[tokio::test]
async fn a_full_stream_refuses_and_loses_nothing() {
    let bus = connect(NatsBus::builder(url()).prefix(prefix()).max_bytes(64 << 10)).await;
    let mut mailer = join(&bus, "mailer").await;
    let mut stored = 0;
    let error = loop {
        let message =
            cqrs_core::OutboundMessage { body: vec![b'x'; 8 << 10].into(), ..opened(1, 0) };
        match bus.publish(vec![message]).await {
            Ok(()) => stored += 1,
            Err(unpublished) => break unpublished.into_first(),
        }
    };
    assert_eq!(*error.kind(), ErrorKind::Overloaded, "{error}");
    assert!((4..8).contains(&stored), "{stored}");
    for _ in 0..stored {
        next(&mut mailer).await.ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_message_that_is_no_cloud_event_is_a_dead_letter() {
    let prefix = prefix();
    let bus = connect(NatsBus::builder(url()).prefix(&prefix)).await;
    let mut mailer = join(&bus, "mailer").await;
    let context = jetstream::new(bus.client().clone());
    let subject = format!("{prefix}.message.x.bank.opened");
    context.publish(subject, "nonsense".into()).await.unwrap().await.unwrap();
    bus.publish(vec![opened(1, 1)]).await.unwrap();
    next(&mut mailer).await.ack().await.unwrap();
    let letters = loop {
        let letters = bus.dead_letters(FindDeadLetters::of("mailer")).await.unwrap();
        if !letters.is_empty() {
            break letters;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!((letters.len(), &*letters[0].message.name), (1, "bank.opened"));
    assert_eq!(&*letters[0].message.body, b"nonsense");
    assert!(letters[0].cause.contains("specversion"), "{}", letters[0].cause);
}

#[tokio::test]
async fn names_that_are_added_to_a_group_hold_from_then_on() {
    let prefix = prefix();
    let one = connect(NatsBus::builder(url()).prefix(&prefix)).await;
    let other = connect(NatsBus::builder(url()).prefix(&prefix)).await;
    // The first one passes over what it does not listen to, and owns all parts.
    let names = |names: &[&str]| BusSubscription::to_messages("mailer", names.to_vec());
    let mut first = one.subscribe(names(&["bank.closed"])).await.unwrap();
    one.publish((0..40).map(|key| opened(key, 0)).collect()).await.unwrap();
    let second = other.subscribe(names(&["bank.closed", "bank.opened"])).await.unwrap();
    drop(second);
    one.publish((0..40).map(|key| opened(key, 1)).collect()).await.unwrap();
    let mut keys = std::collections::BTreeSet::new();
    while keys.len() < 40 {
        let delivery = next(&mut first).await;
        let (key, n) = crate::what(&delivery);
        if n == 1 {
            keys.insert(key);
        }
        delivery.ack().await.unwrap();
    }
}

async fn messages(bus: &NatsBus, prefix: &str) -> u64 {
    let context = jetstream::new(bus.client().clone());
    context.get_stream(prefix).await.unwrap().cached_info().state.messages
}

#[tokio::test]
async fn what_a_group_wants_is_kept_and_the_rest_is_removed_when_it_is_old() {
    let prefix = prefix();
    let builder = || NatsBus::builder(url()).prefix(&prefix);
    let bus = connect(builder().keep_published(std::time::Duration::ZERO)).await;
    let mut mailer = join(&bus, "mailer").await;
    drop(join(&bus, "ledger").await);
    bus.publish((0..40).map(|key| opened(key, 0)).collect()).await.unwrap();
    for _ in 0..40 {
        next(&mut mailer).await.ack().await.unwrap();
    }
    assert_eq!(bus.trim().await.unwrap(), 0, "another group wants all of them");
    let mut ledger = join(&bus, "ledger").await;
    for _ in 0..30 {
        next(&mut ledger).await.ack().await.unwrap();
    }
    let held: Vec<_> =
        futures_util::StreamExt::collect::<Vec<_>>(futures_util::StreamExt::take(&mut ledger, 10))
            .await;
    bus.trim().await.unwrap();
    let left = messages(&bus, &prefix).await;
    assert!(
        (10..40).contains(&left),
        "of each part what comes after the first that is not handled: {left}"
    );
    for delivery in held {
        delivery.unwrap().ack().await.unwrap();
    }
    // What is young is kept for groups that come later.
    let keeps = connect(builder()).await;
    assert_eq!(keeps.trim().await.unwrap(), 0);
    assert_eq!(bus.trim().await.unwrap(), left);
    assert_eq!(messages(&bus, &prefix).await, 0);
}

#[tokio::test]
async fn a_group_that_is_forgotten_begins_anew() {
    let prefix = prefix();
    let bus =
        connect(NatsBus::builder(url()).prefix(&prefix).keep_published(std::time::Duration::ZERO))
            .await;
    let other = connect(NatsBus::builder(url()).prefix(&prefix)).await;
    drop(join(&other, "mailer").await);
    other.close().await.unwrap();
    bus.publish(vec![opened(1, 1)]).await.unwrap();
    assert_eq!(bus.trim().await.unwrap(), 0);
    bus.forget_group("mailer").await.unwrap();
    let none = bus.forget_group("mailer").await.unwrap_err();
    assert!(
        matches!(none.kind(), ErrorKind::Invalid { field: Some(field) } if field == "group"),
        "{none}"
    );
    assert_eq!(bus.trim().await.unwrap(), 1);
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![opened(1, 2)]).await.unwrap();
    assert_eq!(crate::what(&next(&mut mailer).await), (1, 2));
}

#[tokio::test]
async fn a_bus_that_is_dropped_with_its_members_leaves_the_server() {
    let prefix = prefix();
    let stays = connect(NatsBus::builder(url()).prefix(&prefix)).await;
    let bus = connect(NatsBus::builder(url()).prefix(&prefix)).await;
    let mut mailer = join(&bus, "mailer").await;
    let statistics = bus.client().statistics();
    drop(bus);
    // The members that there are go on.
    stays.publish(vec![opened(1, 1)]).await.unwrap();
    next(&mut mailer).await.ack().await.unwrap();
    drop(mailer);
    let gone = async {
        while std::sync::Arc::strong_count(&statistics) > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::PATIENCE, gone).await.expect("the connection stays");
}

#[tokio::test]
async fn what_an_inbox_may_have_forgotten_is_not_handed_over_again() {
    use std::time::Duration;
    let builder = NatsBus::builder(url()).prefix(prefix());
    let bus = connect(builder.redeliver_within(Duration::from_millis(1))).await;
    let kept = bus.capabilities().longest_redelivery.unwrap();
    assert_eq!(kept, Duration::from_secs(7 * 24 * 60 * 60) + Duration::from_millis(1));
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![opened(1, 1), opened(1, 2)]).await.unwrap();
    let first = next(&mut mailer).await;
    assert_eq!(crate::what(&first), (1, 1));
    first.retry(Duration::from_millis(10)).await.unwrap();
    // It was never handed over, however old it is.
    let second = next(&mut mailer).await;
    assert_eq!((crate::what(&second), second.message().attempt), ((1, 2), 1));
    second.ack().await.unwrap();
    let letters = bus.dead_letters(FindDeadLetters::of("mailer")).await.unwrap();
    assert!(letters[0].cause.contains("not handed over again"), "{}", letters[0].cause);
    // The dead letter is young enough.
    bus.send_again(&letters[0].id).await.unwrap();
    let again = next(&mut mailer).await;
    assert_eq!((crate::what(&again), again.message().attempt), ((1, 1), 1));
    again.ack().await.unwrap();
}
