//! Order per key, from the sender to the handler (P19).

use std::collections::HashMap;
use std::time::Duration;

use cqrs_core::Metadata;

use crate::bus::cases::prelude::*;

cases! { "order":
    one_of_a_key_is_handed_over_at_a_time,
    a_key_that_waits_holds_up_no_other,
    a_thousand_messages_of_sixteen_keys_keep_their_order,
    retries_in_the_middle_keep_the_order,
    the_order_outlives_a_connection,
    keys_of_two_tenants_are_two,
    messages_without_keys_wait_for_nobody,
}

/// Checks what members of one group see: of each key 0, 1, 2 and so on.
async fn in_order(members: Vec<Member>, keys: usize, each: usize, fails: bool) {
    let (sender, mut all) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for mut member in members {
        let sender = sender.clone();
        tasks.spawn(async move {
            while let Some(delivery) = member.delivery().await {
                let (n, attempt) = seen(&delivery);
                if fails && attempt == 1 && fastrand::u32(0..10) == 0 {
                    retried(delivery, Duration::from_millis(fastrand::u64(0..50))).await;
                    continue;
                }
                let key = delivery.message().metadata.partition_key().unwrap_or("none").to_owned();
                // While it is held, so that nothing can overtake what is told here.
                let _ = sender.send((key, n.parse::<usize>().unwrap_or(usize::MAX)));
                acked(delivery).await;
            }
        });
    }
    let mut orders = HashMap::<String, Vec<usize>>::new();
    for n in 0..keys * each {
        let next = tokio::time::timeout(crate::bus::make::BOUND, all.recv()).await;
        let Ok(Some((key, number))) = next else { panic!("{n} of {} came", keys * each) };
        orders.entry(key).or_default().push(number);
    }
    assert_eq!(orders.len(), keys, "so many keys");
    for (key, order) in orders {
        assert!(order.iter().copied().eq(0..each), "the order of {key}: {order:?}");
    }
    // The last one may not be acknowledged yet, and the bus goes with the case.
    tasks.shutdown().await;
}

fn rounds(keys: usize, each: usize) -> impl Iterator<Item = OutboundMessage> {
    (0..each).flat_map(move |n| (0..keys).map(move |key| opened(format!("key-{key}"), n)))
}

async fn one_of_a_key_is_handed_over_at_a_time(t: Probe) {
    let mut one = t.listen("mailer", &[OPENED]).await;
    let mut other = t.another().await.listen("mailer", &[OPENED]).await;
    t.send((0..3).map(|n| opened("a", n)).collect()).await;
    for n in 0..3 {
        let held = tokio::select! {
            delivery = one.next() => delivery,
            delivery = other.next() => delivery,
        };
        assert_eq!(body(&held), n.to_string());
        tokio::join!(one.is_quiet(), other.is_quiet());
        acked(held).await;
    }
}

async fn a_key_that_waits_holds_up_no_other(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send(vec![opened("a", "a0"), opened("a", "a1"), opened("b", "b0"), opened("b", "b1")]).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let delivery = mailer.next().await;
        match body(&delivery).as_str() {
            "a0" => held.push(delivery),
            _ => acked(delivery).await,
        }
    }
    assert_eq!(mailer.take(1).await, ["b1"], "while the first of `a` is held");
    mailer.is_quiet().await;
    for delivery in held {
        retried(delivery, Duration::from_millis(200)).await;
    }
    assert_eq!(mailer.take(2).await, ["a0", "a1"], "a retry keeps its place");
}

async fn a_thousand_messages_of_sixteen_keys_keep_their_order(t: Probe) {
    let mut members = Vec::new();
    for _ in 0..4 {
        members.push(t.another().await.listen("mailer", &[OPENED]).await);
    }
    t.send(rounds(16, 63).collect()).await;
    in_order(members, 16, 63, false).await;
}

async fn retries_in_the_middle_keep_the_order(t: Probe) {
    let members = vec![
        t.listen("mailer", &[OPENED]).await,
        t.another().await.listen("mailer", &[OPENED]).await,
    ];
    t.send(rounds(16, 40).collect()).await;
    in_order(members, 16, 40, true).await;
}

async fn the_order_outlives_a_connection(t: Probe) {
    let mut stays = vec![t.listen("mailer", &[OPENED]).await];
    let closes = t.another().await;
    let mut goes = closes.listen("mailer", &[OPENED]).await;
    t.send(rounds(8, 20).collect()).await;
    let held = [goes.next().await, goes.next().await];
    if let Err(error) = closes.close().await {
        panic!("it must close: {error:?}");
    }
    drop(held);
    stays.push(t.another().await.listen("mailer", &[OPENED]).await);
    in_order(stays, 8, 20, false).await;
}

async fn keys_of_two_tenants_are_two(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let of = |tenant| opened("a", tenant).with_metadata(Metadata::default().with_tenant(tenant));
    t.send(vec![of("one"), of("two"), opened("a", "none")]).await;
    let held = [mailer.next().await, mailer.next().await, mailer.next().await];
    for delivery in held {
        acked(delivery).await;
    }
}

async fn messages_without_keys_wait_for_nobody(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send((0..5).map(|n| named(OPENED, n)).collect()).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(mailer.next().await);
    }
    for delivery in held {
        acked(delivery).await;
    }
}
