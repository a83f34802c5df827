//! Commands on one hot aggregate take turns, as long as the turn goes round.

use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;

use cqrs_core::BoxError;

use crate::cache::{hot, seen, send};
use crate::tally::{Folded, push};
use crate::watched::Watched;

#[tokio::test(flavor = "multi_thread")]
async fn commands_on_one_hot_aggregate_take_turns() {
    let store = Watched::default();
    let tallies = hot::<Folded>(&store);
    let tasks = (0..64).map(|_| {
        let tallies = tallies.clone();
        tokio::spawn(async move { send(&tallies, push(1)).await.unwrap() })
    });
    let mut answers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        answers.push(task.await.unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers, (0..64).collect::<Vec<_>>(), "each saw what the one before left");
    assert_eq!(store.seen(), seen(64, 1, 0), "nobody raced, and nobody read twice");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stalls_holds_up_the_others_for_a_second_only() -> Result<(), BoxError> {
    let store = Watched::default();
    let tallies = hot::<Folded>(&store);
    send(&tallies, push(1)).await?;
    // Begun, and never asked again: it holds the seat.
    let mut stalled = Box::pin(send(&tallies, push(1)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(stalled.as_mut().poll(&mut context).is_pending());
    let began = tokio::time::Instant::now();
    assert_eq!(send(&tallies, push(1)).await?, 1, "it goes on without what is kept");
    assert_eq!(began.elapsed().as_secs(), 1);
    assert_eq!(stalled.await?, 2, "and the other one decides anew");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_more_than_a_second_is_no_race() -> Result<(), BoxError> {
    let store = Watched::default().taking(Duration::from_millis(10));
    let tallies = hot::<Folded>(&store);
    let tasks = (0..400).map(|_| {
        let tallies = tallies.clone();
        tokio::spawn(async move { send(&tallies, push(1)).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    assert_eq!(store.seen(), seen(400, 1, 0), "nobody raced, and nobody read twice");
    Ok(())
}
