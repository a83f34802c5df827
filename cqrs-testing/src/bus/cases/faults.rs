//! The broker dies, or the way to it is cut: nothing is lost, and the order of each key is kept (P19, P20).

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cqrs_core::{
    Bus, BusState, BusSubscription, Deliveries, Delivery, ErrorKind, FindDeadLetters,
    OutboundMessage, OutboundRequest, ReplyMessage, RequestKind,
};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;

use crate::bus::broker::{Broker, Way};
use crate::bus::case::FaultCase;
use crate::bus::make::{listens, opened};

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const CASES: &[FaultCase] = &[$(FaultCase {
            name: concat!("faults::", stringify!($name)),
            run: |broker| Box::pin($name(broker)),
        }),+];
    };
}

cases! {
    a_broker_that_is_killed_twice_within_10_000_messages_loses_none_and_keeps_their_order,
    after_a_kill_with_a_full_window_no_key_has_an_inversion,
    connections_that_are_cut_again_and_again_lose_nothing_and_keep_the_order,
    whoever_is_cut_off_loses_what_it_holds_to_others_and_is_told_so,
    a_message_that_takes_processes_along_is_given_up_and_no_other,
    a_service_starts_while_its_broker_is_down,
    requests_are_answered_again_after_the_broker_died,
    a_bus_closes_while_the_broker_is_down,
}

const KEYS: usize = 40;

/// How long something may take that is to happen.
const PATIENCE: Duration = Duration::from_secs(60);

async fn straight(broker: &dyn Broker) -> Arc<dyn Bus> {
    broker.connect(Way::Straight, PATIENCE).await
}

/// Number `n` of a key.
fn number(key: usize, n: usize) -> OutboundMessage {
    opened(key.to_string(), format!("{key}/{n}"))
}

/// Key and number of a delivery.
fn what(delivery: &Delivery) -> (usize, usize) {
    let read = || {
        let (key, n) = std::str::from_utf8(&delivery.message().body).ok()?.split_once('/')?;
        Some((key.parse().ok()?, n.parse().ok()?))
    };
    read().unwrap_or_else(|| panic!("another message: {:?}", delivery.message().body))
}

async fn join(bus: &dyn Bus, group: &str) -> Deliveries {
    match bus.subscribe(listens(group, &["bank.*"])).await {
        Ok(deliveries) => deliveries,
        Err(error) => panic!("the group `{group}` cannot be joined: {error:?}"),
    }
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    match tokio::time::timeout(PATIENCE, deliveries.next()).await {
        Ok(Some(Ok(delivery))) => delivery,
        other => panic!("nothing comes: {other:?}"),
    }
}

/// The messages of all keys with these numbers, in the order of the numbers.
fn all_of(keys: usize, numbers: Range<usize>) -> Vec<OutboundMessage> {
    numbers.flat_map(|n| (0..keys).map(move |key| number(key, n))).collect()
}

/// Publishes so many messages of each key, in order, and again what failed.
async fn publish_all(
    bus: Arc<dyn Bus>,
    keys: usize,
    each: usize,
    at_once: usize,
    pause: Duration,
    left_over: watch::Sender<usize>,
) {
    let mut left = all_of(keys, 0..each);
    while !left.is_empty() {
        left_over.send_replace(left.len());
        let now: Vec<_> = left.drain(..left.len().min(at_once)).collect();
        if let Err(unpublished) = bus.publish(now.clone()).await {
            let failed: Vec<_> = unpublished.failed.iter().map(|(n, _)| now[*n].clone()).collect();
            left.splice(0..0, failed);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Publishes messages of each key, in order, and again what failed, until it is told that it is enough. How many of
/// each there are.
async fn publish_until(bus: Arc<dyn Bus>, keys: usize, enough: watch::Receiver<bool>) -> usize {
    const AT_ONCE: usize = 10;
    let mut each = 0;
    while !*enough.borrow() {
        let mut left = all_of(keys, each..each + AT_ONCE);
        while let Err(unpublished) = bus.publish(left.clone()).await {
            left = unpublished.failed.iter().map(|(n, _)| left[*n].clone()).collect();
        }
        each += AT_ONCE;
    }
    each
}

/// Handles all messages: each comes, and those of a key come in order, but for repeats of what was handed
/// over before.
async fn handle_all(bus: &dyn Bus, keys: usize, each: usize, handled: &watch::Sender<usize>) {
    let mut mailer = join(bus, "mailer").await;
    let mut seen: HashMap<usize, usize> = HashMap::new();
    while seen.values().sum::<usize>() < keys * each {
        let delivery = next(&mut mailer).await;
        let (key, n) = what(&delivery);
        let expected = seen.entry(key).or_default();
        if n > *expected {
            nothing_fell(bus).await;
            panic!("{key}/{n} came before {key}/{expected}");
        }
        if n == *expected {
            *expected += 1;
            handled.send_modify(|count| *count += 1);
        }
        // Who cannot tell the broker handles it again.
        let _ = delivery.ack().await;
    }
}

/// Nothing was given up on the way.
async fn nothing_fell(bus: &dyn Bus) {
    match bus.dead_letters(FindDeadLetters::default()).await {
        Ok(letters) => assert!(letters.is_empty(), "{letters:?}"),
        Err(error) => panic!("dead letters can be listed: {error:?}"),
    }
}

async fn done<T>(task: tokio::task::JoinHandle<T>) -> T {
    task.await.unwrap_or_else(|error| panic!("it did not come to its end: {error}"))
}

async fn a_broker_that_is_killed_twice_within_10_000_messages_loses_none_and_keeps_their_order(
    mut broker: Box<dyn Broker>,
) {
    let (sends, handles) = (straight(&*broker).await, straight(&*broker).await);
    // The group is there before the first message.
    drop(join(&*handles, "mailer").await);
    let ((leaves, mut left), (counts, mut handled)) =
        (watch::channel(usize::MAX), watch::channel(0));
    let pause = Duration::from_millis(20);
    let publishing = tokio::spawn(publish_all(sends, KEYS, 250, KEYS * 5, pause, leaves));
    let handling = tokio::spawn(async move { handle_all(&*handles, KEYS, 250, &counts).await });
    // In the middle of what is published, and in the middle of what is handled.
    let _ = left.wait_for(|left| *left <= 6_000).await;
    broker.kill();
    assert!(!publishing.is_finished(), "it was too late");
    broker.start_again();
    let _ = handled.wait_for(|handled| *handled >= 5_000).await;
    broker.kill();
    assert!(!handling.is_finished(), "it was too late");
    broker.start_again();
    done(publishing).await;
    done(handling).await;
}

async fn after_a_kill_with_a_full_window_no_key_has_an_inversion(mut broker: Box<dyn Broker>) {
    const MANY: usize = 300;
    let sends = straight(&*broker).await;
    let handles = straight(&*broker).await;
    drop(join(&*handles, "mailer").await);
    let (enough, is_enough) = watch::channel(false);
    // More keys than are on their way at once, and all of them in every call.
    let publishing = tokio::spawn(publish_until(sends, MANY, is_enough));
    tokio::time::sleep(Duration::from_millis(150)).await;
    broker.kill();
    enough.send_replace(true);
    broker.start_again();
    let each = done(publishing).await;
    let (counts, _) = watch::channel(0);
    handle_all(&*handles, MANY, each, &counts).await;
}

async fn connections_that_are_cut_again_and_again_lose_nothing_and_keep_the_order(
    broker: Box<dyn Broker>,
) {
    let sends = broker.connect(Way::OverProxy, PATIENCE).await;
    let handles = broker.connect(Way::OverProxy, PATIENCE).await;
    drop(join(&*handles, "mailer").await);
    // A little more than a second each.
    let rounds = std::env::var("CUT_ROUNDS").ok().and_then(|text| text.parse().ok());
    let each = 100 * rounds.unwrap_or(1);
    let (leaves, _) = watch::channel(0);
    let pause = Duration::from_millis(60);
    let mut publishing = tokio::spawn(publish_all(sends, KEYS, each, KEYS * 5, pause, leaves));
    let (counts, _) = watch::channel(0);
    let handling = tokio::spawn(async move { handle_all(&*handles, KEYS, each, &counts).await });
    while tokio::time::timeout(Duration::from_millis(250), &mut publishing).await.is_err() {
        broker.cut();
    }
    done(handling).await;
}

async fn whoever_is_cut_off_loses_what_it_holds_to_others_and_is_told_so(
    mut broker: Box<dyn Broker>,
) {
    let lost = broker.connect(Way::OverProxy, Duration::from_secs(3)).await;
    let mut loses = join(&*lost, "mailer").await;
    if let Err(error) = lost.publish((0..KEYS).map(|key| number(key, 0)).collect()).await {
        panic!("messages must be stored: {error:?}");
    }
    let held = next(&mut loses).await;
    let lost_one = what(&held);
    // The broker knows at once that it is gone.
    broker.cut_for_good();
    let stays = straight(&*broker).await;
    let mut gets = join(&*stays, "mailer").await;
    let mut got = Vec::new();
    while got.len() < KEYS {
        let delivery = next(&mut gets).await;
        if what(&delivery) == lost_one {
            assert_eq!(delivery.message().attempt, 2, "it was handed over before");
        }
        got.push(what(&delivery));
        if let Err(error) = delivery.ack().await {
            panic!("it must be acknowledged: {error:?}");
        }
    }
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.len(), KEYS, "each of them once");
    assert!(held.ack().await.is_err(), "it is another's");
}

/// How often a message is handed over.
const DELIVERIES: u32 = 4;

async fn join_few(bus: &dyn Bus) -> Deliveries {
    let few = BusSubscription { deliveries: DELIVERIES, ..listens("mailer", &["bank.*"]) };
    match bus.subscribe(few).await {
        Ok(deliveries) => deliveries,
        Err(error) => panic!("the group can be joined: {error:?}"),
    }
}

/// A process that takes what comes, and dies of the message of key 0; and with it, others that it has in hand.
/// The keys of what it has acknowledged before that, or tried to.
fn dies_of_poison(broker: &dyn Broker) -> BTreeSet<usize> {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    };
    let handled = Arc::<Mutex<BTreeSet<usize>>>::default();
    let handles = handled.clone();
    runtime.block_on(async {
        let bus = broker.connect(Way::OverProxy, PATIENCE).await;
        let mut deliveries = join_few(&*bus).await;
        let poison = loop {
            let delivery = next(&mut deliveries).await;
            if what(&delivery).0 == 0 {
                break delivery;
            }
            let handles = handles.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let (key, _) = what(&delivery);
                // Before it is known: it may die of the other one right behind that.
                handles.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
                delivery.ack().await
            });
        };
        // Neither dropped nor closed: it is gone in the middle of it.
        std::mem::forget((poison, deliveries, bus));
    });
    runtime.shutdown_background();
    // The broker notices at once, as it does when a process dies.
    broker.cut();
    let handled = handled.lock().unwrap_or_else(PoisonError::into_inner);
    handled.clone()
}

async fn a_message_that_takes_processes_along_is_given_up_and_no_other(broker: Box<dyn Broker>) {
    let bus = straight(&*broker).await;
    drop(join_few(&*bus).await);
    // The poison is in their middle.
    let all = (1..KEYS / 2).chain([0]).chain(KEYS / 2..KEYS).map(|key| number(key, 0));
    if let Err(error) = bus.publish(all.collect()).await {
        panic!("messages must be stored: {error:?}");
    }
    let lives = tokio::task::spawn_blocking(move || {
        let handled = (0..DELIVERIES).flat_map(|_| dies_of_poison(&*broker)).collect();
        (handled, broker)
    });
    let (mut handled, _broker): (BTreeSet<usize>, _) = match lives.await {
        Ok(lives) => lives,
        Err(error) => panic!("it lived in another way: {error}"),
    };
    let mut stays = join_few(&*bus).await;
    let all: BTreeSet<usize> = (1..KEYS).collect();
    while handled != all {
        let delivery = next(&mut stays).await;
        handled.insert(what(&delivery).0);
        if let Err(error) = delivery.ack().await {
            panic!("it must be acknowledged: {error:?}");
        }
    }
    let fallen = async {
        loop {
            match bus.dead_letters(FindDeadLetters::default()).await {
                Ok(letters) if letters.is_empty() => {}
                Ok(letters) => return letters,
                Err(error) => panic!("dead letters can be listed: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, fallen).await {
        Ok(letters) => {
            let told: Vec<_> =
                letters.iter().map(|letter| (&*letter.message.body, letter.attempts)).collect();
            assert_eq!(told, [(&b"0/0"[..], DELIVERIES)]);
        }
        Err(_) => panic!("it is never given up"),
    }
}

async fn a_service_starts_while_its_broker_is_down(mut broker: Box<dyn Broker>) {
    broker.kill();
    let bus = straight(&*broker).await;
    assert!(matches!(bus.health().await.state, BusState::Down(_)));
    let sends = bus.clone();
    let publishing = tokio::spawn(async move { sends.publish(vec![number(1, 1)]).await });
    broker.start_again();
    assert!(matches!(publishing.await, Ok(Ok(()))), "it is stored once the broker is there");
    assert_eq!(bus.health().await.state, BusState::Up);
    let late = BusSubscription::to_messages("late", ["bank.*"]);
    match bus.subscribe(late).await {
        Ok(mut patient) => assert!(patient.next().now_or_never().is_none()),
        Err(error) => panic!("a group can be joined: {error:?}"),
    }
}

fn double(n: u64, timeout: Duration) -> OutboundRequest {
    OutboundRequest::new(RequestKind::Query, "double", n.to_string(), timeout)
}

/// Answers all that comes.
async fn answer(bus: &dyn Bus) {
    let mut requests = match bus.respond(vec!["double".to_owned()]).await {
        Ok(requests) => requests,
        Err(error) => panic!("requests can be answered: {error:?}"),
    };
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let n: u64 = String::from_utf8_lossy(&request.message().body).parse().unwrap_or(0);
            let _ = request.reply(ReplyMessage::done((n * 2).to_string())).await;
        }
    });
}

fn may_be(error: &cqrs_core::Error) -> bool {
    let kinds = [ErrorKind::DeadlineExceeded, ErrorKind::OutcomeUnknown, ErrorKind::Unroutable];
    error.is_retryable() || kinds.contains(error.kind())
}

async fn requests_are_answered_again_after_the_broker_died(mut broker: Box<dyn Broker>) {
    let (asks, answers) = (straight(&*broker).await, straight(&*broker).await);
    answer(&*answers).await;
    let ask = async |n| asks.request(double(n, Duration::from_secs(2))).await;
    assert_eq!(ask(2).await.map(|reply| reply.body).ok().as_deref(), Some(&b"4"[..]));
    broker.kill();
    match ask(3).await {
        Ok(reply) => panic!("there is no broker, and an answer: {reply:?}"),
        Err(error) => assert!(may_be(&error), "{error:?}"),
    }
    broker.start_again();
    let again = async {
        loop {
            match ask(3).await {
                Ok(answer) => return answer,
                Err(error) => assert!(may_be(&error), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, again).await {
        Ok(answer) => assert_eq!(answer.body, "6"),
        Err(_) => panic!("nobody answers any more"),
    }
}

async fn a_bus_closes_while_the_broker_is_down(mut broker: Box<dyn Broker>) {
    let (asks, answers) = (straight(&*broker).await, straight(&*broker).await);
    let mut requests = match answers.respond(vec!["double".to_owned()]).await {
        Ok(requests) => requests,
        Err(error) => panic!("requests can be answered: {error:?}"),
    };
    broker.kill();
    let waiting = {
        let asks = asks.clone();
        tokio::spawn(async move { asks.request(double(1, PATIENCE)).await })
    };
    requests.close();
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        let closed = (answers.close().await, asks.close().await);
        assert!(matches!(closed, (Ok(()), Ok(()))), "{closed:?}");
        assert!(requests.next().await.is_none(), "nothing comes");
        waiting.await
    });
    match ended.await {
        Ok(Ok(Err(error))) => assert!(
            matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::OutcomeUnknown),
            "{error:?}"
        ),
        other => panic!("it hangs, or there is an answer: {other:?}"),
    }
}
