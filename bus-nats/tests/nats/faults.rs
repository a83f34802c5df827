//! The server dies, or the way to it is cut.

use std::collections::HashMap;
use std::time::Duration;

use bus_nats::NatsBus;
use cqrs_core::{Bus, BusState, BusSubscription, Publisher, Subscriber};
use futures_util::{FutureExt, StreamExt};
use test_servers::Proxy;
use tokio::sync::watch;

use crate::{PATIENCE, connect, join, next, opened, prefix, server, what};

const KEYS: usize = 40;

/// Publishes so many messages of each key, in order, and again what failed.
async fn publish_all(bus: NatsBus, each: usize, pause: Duration, left_over: watch::Sender<usize>) {
    let mut left: Vec<_> =
        (0..each).flat_map(|n| (0..KEYS).map(move |key| opened(key, n))).collect();
    while !left.is_empty() {
        left_over.send_replace(left.len());
        let now: Vec<_> = left.drain(..left.len().min(KEYS * 5)).collect();
        if let Err(unpublished) = bus.publish(now.clone()).await {
            let failed: Vec<_> = unpublished.failed.iter().map(|(n, _)| now[*n].clone()).collect();
            left.splice(0..0, failed);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Handles all messages: each comes, and those of a key come in order, but for repeats of what was handed
/// over before.
async fn handle_all(bus: &NatsBus, each: usize, handled: &watch::Sender<usize>) {
    let mut mailer = join(bus, "mailer").await;
    let mut seen: HashMap<usize, usize> = HashMap::new();
    while seen.values().sum::<usize>() < KEYS * each {
        let delivery = next(&mut mailer).await;
        let (key, n) = what(&delivery);
        let expected = seen.entry(key).or_default();
        assert!(n <= *expected, "{key}/{n} came before {key}/{expected}");
        if n == *expected {
            *expected += 1;
            handled.send_modify(|count| *count += 1);
        }
        // Who cannot tell the server handles it again.
        let _ = delivery.ack().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_twice_within_10_000_messages_loses_none_and_keeps_their_order() {
    let mut server = server();
    let prefix = prefix();
    let builder = || NatsBus::builder(server.url()).prefix(&prefix).patience(PATIENCE);
    let (sends, handles) = (connect(builder()).await, connect(builder()).await);
    // The group is there before the first message.
    drop(join(&handles, "mailer").await);
    let ((leaves, mut left), (counts, mut handled)) =
        (watch::channel(usize::MAX), watch::channel(0));
    let sending = publish_all(sends, 250, Duration::from_millis(20), leaves);
    let publishing = tokio::spawn(sending);
    let handling = tokio::spawn(async move { handle_all(&handles, 250, &counts).await });
    // In the middle of what is published, and in the middle of what is handled.
    left.wait_for(|left| *left <= 6_000).await.unwrap();
    server.kill().unwrap();
    assert!(!publishing.is_finished(), "it was too late");
    server.start_again().unwrap();
    handled.wait_for(|handled| *handled >= 5_000).await.unwrap();
    server.kill().unwrap();
    assert!(!handling.is_finished(), "it was too late");
    server.start_again().unwrap();
    publishing.await.unwrap();
    handling.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_again_and_again_lose_nothing_and_keep_the_order() {
    let server = server();
    let prefix = prefix();
    let proxy = Proxy::to(server.port()).unwrap();
    let builder =
        || NatsBus::builder(server.url_on(proxy.port())).prefix(&prefix).patience(PATIENCE);
    let (sends, handles) = (connect(builder()).await, connect(builder()).await);
    drop(join(&handles, "mailer").await);
    let (leaves, _) = watch::channel(0);
    let sending = publish_all(sends, 100, Duration::from_millis(60), leaves);
    let mut publishing = tokio::spawn(sending);
    let (counts, _) = watch::channel(0);
    let handling = tokio::spawn(async move { handle_all(&handles, 100, &counts).await });
    while tokio::time::timeout(Duration::from_millis(250), &mut publishing).await.is_err() {
        proxy.cut_all();
    }
    handling.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_cut_off_loses_what_it_holds_to_others_and_is_told_so() {
    let server = server();
    let prefix = prefix();
    let proxy = Proxy::to(server.port()).unwrap();
    let builder = |port| NatsBus::builder(server.url_on(port)).prefix(&prefix);
    let lost = connect(builder(proxy.port()).patience(Duration::from_secs(3))).await;
    let mut loses = join(&lost, "mailer").await;
    lost.publish((0..KEYS).map(|key| opened(key, 0)).collect()).await.unwrap();
    let held = next(&mut loses).await;
    let lost_one = what(&held);
    // The server knows at once that it is gone.
    drop(proxy);
    let stays = connect(builder(server.port())).await;
    let mut gets = join(&stays, "mailer").await;
    let mut got = Vec::new();
    while got.len() < KEYS {
        let delivery = next(&mut gets).await;
        if what(&delivery) == lost_one {
            assert_eq!(delivery.message().attempt, 2, "it was handed over before");
        }
        got.push(what(&delivery));
        delivery.ack().await.unwrap();
    }
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.len(), KEYS, "each of them once");
    assert!(held.ack().await.is_err(), "it is another's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_starts_while_its_server_is_down() {
    let mut server = server();
    server.kill().unwrap();
    let bus = connect(NatsBus::builder(server.url()).prefix(prefix()).patience(PATIENCE)).await;
    assert!(matches!(bus.health().await.state, BusState::Down(_)));
    let sends = bus.clone();
    let publishing = tokio::spawn(async move { sends.publish(vec![opened(1, 1)]).await });
    server.start_again().unwrap();
    publishing.await.unwrap().unwrap();
    assert_eq!(bus.health().await.state, BusState::Up);
    let patient = bus.subscribe(BusSubscription::to_messages("late", ["bank.*"])).await;
    assert!(patient.unwrap().next().now_or_never().is_none());
}
