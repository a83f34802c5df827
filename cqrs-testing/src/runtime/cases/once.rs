//! What is written with the checkpoint is written exactly once, whatever happens to the process.

use super::prelude::*;

cases! {
    "once":
    work_is_done_once_whatever_happens_at_any_commit,
    a_retry_is_done_once_whatever_happens_at_any_commit,
    a_batch_is_done_once_whatever_happens_at_any_commit,
    work_is_done_once_though_every_life_is_short,
    a_lease_that_is_lost_in_the_middle_commits_nothing,
    a_commit_that_lands_late_does_nothing_twice,
}

async fn work_is_done_once_whatever_happens_at_any_commit(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let mut deaths = Deaths::default();
    while let Some(round) = deaths.round() {
        let (one, other) = (format!("one-{round}"), format!("other-{round}"));
        for n in 0..2 {
            world.note(&one, n).await;
            world.note(&other, n).await;
        }
        deaths.live(&world, &tallies(2)).await;
        assert_eq!(world.tally(&one).await, [0, 1], "{}", deaths.what());
        assert_eq!(world.tally(&other).await, [0, 1], "{}", deaths.what());
        assert!(world.aside("tally").await.is_empty(), "{}", deaths.what());
    }
}

async fn a_retry_is_done_once_whatever_happens_at_any_commit(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let mut deaths = Deaths::default();
    while let Some(round) = deaths.round() {
        let key = format!("key-{round}");
        world.hand.on_one(&key, 0, Act::Fatal);
        world.notes(&key, 0..2).await;
        let node = world.node(tallies(1)).await;
        node.settled().await;
        world.hand.relent();
        // It stops before it looks: another one does what was asked for.
        let id = world.aside("tally").await[0].id();
        node.stop().await;
        let app = cqrs_core::App::builder().shared_store(world.store().await);
        let app = app.clock(world.clock.clone()).build().unwrap_or_else(|e| panic!("{e:?}"));
        let asked = app.parked().unwrap_or_else(|e| panic!("{e:?}"));
        asked.retry(&id).await.unwrap_or_else(|e| panic!("{e:?}"));
        deaths.live(&world, &tallies(1)).await;
        assert_eq!(world.tally(&key).await, [0, 1], "{}", deaths.what());
        assert!(world.aside("tally").await.is_empty(), "{}", deaths.what());
    }
}

async fn a_batch_is_done_once_whatever_happens_at_any_commit(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let add = |app: AppBuilder| {
        app.event_handler("many", tally_many)
            .subscription("many", |s| s.partitions(1).batch(3).retry(thrice()))
    };
    let mut deaths = Deaths::default();
    while let Some(round) = deaths.round() {
        let key = format!("key-{round}");
        world.notes(&key, 0..8).await;
        deaths.live(&world, &add).await;
        assert_eq!(world.tally(&key).await, (0..8).collect::<Vec<_>>(), "{}", deaths.what());
    }
}

async fn work_is_done_once_though_every_life_is_short(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    for n in 0..5 {
        world.note("one", n).await;
        world.note("other", n).await;
    }
    let add = |app: AppBuilder| {
        let policy = RetryPolicy { attempts: u32::MAX, ..RetryPolicy::default() };
        app.event_handler("tally", tally)
            .subscription("tally", move |s| s.partitions(1).retry(policy))
    };
    for life in 0..100 {
        let mishap = if life % 2 == 0 { Mishap::DiesAfter } else { Mishap::DiesBefore };
        let node = world.doomed(2, mishap, add).await;
        let lives = node.lives_for(Duration::from_secs(3600)).await;
        if lives {
            node.stop().await;
            assert_eq!(world.tally("one").await, [0, 1, 2, 3, 4], "after {life} lives");
            assert_eq!(world.tally("other").await, [0, 1, 2, 3, 4], "after {life} lives");
            assert!(life > 2, "they were to be short");
            return;
        }
        node.kill();
    }
    panic!("no progress in a hundred lives: {:?}", world.aside("tally").await);
}

async fn a_lease_that_is_lost_in_the_middle_commits_nothing(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    world.hand.on("a", Act::Hold);
    let paused = world.node(tallies(1)).await;
    paused.ready().await;
    world.note("a", 0).await;
    world.hand.held("a").await;
    // It is paused in the middle, as by the system: its lease runs out.
    paused.fate.freeze();
    let other = world.node(tallies(1)).await;
    until("the other node at work on it", || async {
        (world.hand.attempts("a", 0) == 2).then_some(())
    })
    .await;
    let before = paused.fate.answered();
    world.hand.relent();
    let answer = paused.fate.answer(before).await;
    assert!(answer.as_ref().is_some_and(is_lost), "its commit is refused: {answer:?}");
    other.settled().await;
    assert_eq!(world.tally("a").await, [0], "the effect of one of them");
    paused.fate.thaw();
    let last = world.note("a", 1).await;
    let reached = other.wait_for("tally", last, PATIENCE).await;
    assert!(reached.is_yes(), "{reached:?}, {:?}", world.aside("tally").await);
    assert_eq!(world.tally("a").await, [0, 1]);
    paused.stop().await;
    other.stop().await;
}

async fn a_commit_that_lands_late_does_nothing_twice(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(tallies(1)).await;
    node.ready().await;
    node.fate.after(0, Mishap::Late);
    world.note("a", 0).await;
    node.settled().await;
    assert_eq!(world.tally("a").await, [0], "it was done again, because nobody knew");
    let landed = node.fate.land().await;
    assert!(landed.is_err(), "what lands late was overtaken: {landed:?}");
    assert_eq!(world.tally("a").await, [0]);
    node.stop().await;
}
