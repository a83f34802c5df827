//! Closing: what was in hand goes to others, and nothing hangs.

use cqrs_core::BusState;

use crate::bus::cases::prelude::*;

cases! { "closing":
    what_a_closed_connection_held_goes_to_others,
    the_deliveries_of_a_closed_connection_end,
    a_closed_connection_refuses_to_publish_and_to_subscribe,
    ten_closes_at_once_are_one,
    closing_while_publishing_loses_nothing_that_was_reported,
    other_connections_go_on,
    health_tells_up_and_closed,
}

async fn closed(connection: &dyn cqrs_core::Bus) {
    if let Err(error) = connection.close().await {
        panic!("it must close: {error:?}");
    }
}

async fn what_a_closed_connection_held_goes_to_others(t: Probe) {
    let closes = t.another().await;
    let mut goes = closes.listen("mailer", &[OPENED]).await;
    t.send((0..3).map(|n| opened(n.to_string(), n)).collect()).await;
    let held = [goes.next().await, goes.next().await, goes.next().await];
    let mut stays = t.listen("mailer", &[OPENED]).await;
    stays.is_quiet().await;
    closed(&*closes).await;
    for _ in 0..3 {
        let again = stays.next().await;
        assert_eq!(again.message().attempt, 2, "it was in another's hands");
        acked(again).await;
    }
    drop(held);
    stays.is_quiet().await;
}

async fn the_deliveries_of_a_closed_connection_end(t: Probe) {
    let closes = t.another().await;
    let mut waits = closes.listen("mailer", &[OPENED]).await;
    let mut later = closes.listen("ledger", &[OPENED]).await;
    let waiting = tokio::spawn(async move { waits.ends().await });
    tokio::time::sleep(QUIET).await;
    closed(&*closes).await;
    waiting.await.expect("one that waits while it is closed");
    later.ends().await;
}

async fn a_closed_connection_refuses_to_publish_and_to_subscribe(t: Probe) {
    let closes = t.another().await;
    closed(&*closes).await;
    let Err(unpublished) = closes.publish(vec![opened("a", 1), opened("b", 2)]).await else {
        panic!("it is closed, and says that messages are stored")
    };
    let kinds: Vec<_> = unpublished.failed.iter().map(|(n, e)| (*n, e.kind().name())).collect();
    assert_eq!(kinds, [(0, "unavailable"), (1, "unavailable")]);
    let kind = closes.refuses(listens("mailer", &[OPENED])).await.kind().clone();
    assert_eq!(kind, ErrorKind::Unavailable);
}

async fn ten_closes_at_once_are_one(t: Probe) {
    let closes = t.another().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let closes = closes.clone();
        tasks.spawn(async move { closed(&*closes).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a close failed");
    }
    closed(&*closes).await;
}

async fn closing_while_publishing_loses_nothing_that_was_reported(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let closes = t.another().await;
    let publishes = closes.clone();
    let publishing = tokio::spawn(async move {
        let mut stored = Vec::new();
        for n in 0..100_000 {
            match publishes.publish(vec![opened("a", n)]).await {
                Ok(()) => stored.push(n.to_string()),
                Err(_) => break,
            }
        }
        stored
    });
    mailer.take(20).await;
    closed(&*closes).await;
    let stored = publishing.await.expect("publishing must end in an error");
    assert!(stored.len() < 100_000, "it goes on after it was closed");
    if stored.len() > 20 {
        let rest = mailer.take(stored.len() - 20).await;
        assert_eq!(rest, stored[20..], "what was reported as stored");
    }
}

async fn other_connections_go_on(t: Probe) {
    let closes = t.another().await;
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let _goes = closes.listen("mailer", &[OPENED]).await;
    closed(&*closes).await;
    t.send(vec![opened("a", 1)]).await;
    assert_eq!(mailer.take(1).await, ["1"]);
    let mut ledger = t.listen("ledger", &[OPENED]).await;
    t.send(vec![opened("a", 2)]).await;
    assert_eq!(ledger.take(1).await, ["2"]);
}

async fn health_tells_up_and_closed(t: Probe) {
    let closes = t.another().await;
    assert_eq!(closes.health().await.state, BusState::Up);
    closed(&*closes).await;
    assert_eq!(closes.health().await.state, BusState::Closed);
    assert_eq!(t.health().await.state, BusState::Up);
}
