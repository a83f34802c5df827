//! What is not settled comes again, and what is settled does not (P18).

use std::time::{Duration, Instant};

use crate::bus::cases::prelude::*;

cases! { "redelivery":
    what_is_acknowledged_does_not_come_again,
    what_is_dropped_comes_again,
    what_nobody_speaks_of_comes_again,
    what_is_still_worked_on_does_not_come_again,
    a_retry_comes_after_its_time,
    retries_of_two_messages_come_in_the_order_of_their_times,
    attempts_are_counted,
    what_is_never_settled_becomes_a_dead_letter,
    a_retry_outlives_the_member_that_asked_for_it,
}

fn impatient(group: &str) -> BusSubscription {
    BusSubscription { settle_within: SILENCE, ..listens(group, &[OPENED]) }
}

async fn what_is_acknowledged_does_not_come_again(t: Probe) {
    let mut mailer = t.join(impatient("mailer")).await;
    t.send(vec![opened("a", 1)]).await;
    assert_eq!(mailer.take(1).await, ["1"]);
    mailer.is_quiet_for(2 * SILENCE).await;
    drop(mailer);
    t.another().await.join(impatient("mailer")).await.is_quiet().await;
}

async fn what_is_dropped_comes_again(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send(vec![opened("a", 1), opened("a", 2)]).await;
    drop(mailer.next().await);
    let again = mailer.next().await;
    assert_eq!(seen(&again), ("1".to_owned(), 2), "soon, and before those after it");
    acked(again).await;
    assert_eq!(mailer.take(1).await, ["2"]);
}

async fn what_nobody_speaks_of_comes_again(t: Probe) {
    let mut hangs = t.join(impatient("mailer")).await;
    t.send(vec![opened("a", 1)]).await;
    let held = hangs.next().await;
    let mut other = t.another().await.join(impatient("mailer")).await;
    let again = tokio::select! {
        again = other.next() => again,
        again = hangs.next() => again,
    };
    assert_eq!(seen(&again), ("1".to_owned(), 2), "its first holder is silent");
    acked(again).await;
    drop(held);
    other.is_quiet().await;
}

async fn what_is_still_worked_on_does_not_come_again(t: Probe) {
    let mut works = t.join(impatient("mailer")).await;
    t.send(vec![opened("a", 1)]).await;
    let (_, ticket) = works.next().await.split();
    let mut other = t.another().await.join(impatient("mailer")).await;
    for _ in 0..10 {
        other.is_quiet_for(SILENCE / 4).await;
        if let Err(error) = ticket.extend().await {
            panic!("it must be given more time: {error:?}");
        }
    }
    ticket.ack().await.expect("it must be acknowledged");
    other.is_quiet().await;
}

async fn a_retry_comes_after_its_time(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send(vec![opened("a", 1)]).await;
    let asked = Instant::now();
    retried(mailer.next().await, Duration::from_millis(700)).await;
    let again = mailer.next().await;
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(650), "it came after {waited:?}, not after 700 ms");
    assert_eq!(seen(&again), ("1".to_owned(), 2));
    acked(again).await;
    mailer.is_quiet().await;
}

async fn retries_of_two_messages_come_in_the_order_of_their_times(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send(vec![opened("a", "later")]).await;
    retried(mailer.next().await, Duration::from_millis(1_500)).await;
    t.send(vec![opened("b", "sooner")]).await;
    retried(mailer.next().await, Duration::from_millis(300)).await;
    assert_eq!(mailer.take(2).await, ["sooner", "later"]);
}

async fn attempts_are_counted(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send(vec![opened("a", 1)]).await;
    for attempt in 1..=5 {
        let delivery = mailer.next().await;
        assert_eq!(delivery.message().attempt, attempt);
        retried(delivery, Duration::ZERO).await;
    }
    acked(mailer.next().await).await;
}

async fn what_is_never_settled_becomes_a_dead_letter(t: Probe) {
    let subscription = BusSubscription { deliveries: 3, ..listens("mailer", &[OPENED]) };
    let mut mailer = t.join(subscription).await;
    t.send(vec![opened("a", 1), opened("a", 2)]).await;
    for _ in 0..3 {
        let delivery = mailer.next().await;
        assert_eq!(body(&delivery), "1");
        drop(delivery);
    }
    assert_eq!(mailer.take(1).await, ["2"], "the next of its key goes on");
    let letter = t.letters("mailer", 1).await.remove(0);
    assert_eq!((&letter.message.body[..], letter.attempts), (&b"1"[..], 3));
    assert!(!letter.cause.is_empty(), "a dead letter says why it is one");
}

async fn a_retry_outlives_the_member_that_asked_for_it(t: Probe) {
    let leaves = t.another().await;
    let mut member = leaves.listen("mailer", &[OPENED]).await;
    t.send(vec![opened("a", 1)]).await;
    retried(member.next().await, QUIET).await;
    drop(member);
    leaves.close().await.expect("it must close");
    let again = t.listen("mailer", &[OPENED]).await.next().await;
    assert_eq!(seen(&again), ("1".to_owned(), 2));
    acked(again).await;
}
