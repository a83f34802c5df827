//! Checkpoints: each moves from where it stands, never beyond the log.

use cqrs_core::{CheckpointWrite, Conflict, Error, ErrorKind, Position};

use crate::store::cases::prelude::*;
use crate::store::handle::together;

cases! { "checkpoints":
    the_first_checkpoint_lands,
    a_checkpoint_moves_on,
    a_first_checkpoint_that_lands_late_is_taken,
    a_first_checkpoint_that_lands_twice_is_refused,
    a_checkpoint_that_starts_from_elsewhere_is_refused,
    a_checkpoint_that_goes_back_is_refused,
    a_checkpoint_beyond_the_head_is_refused,
    partitions_are_apart,
    subscriptions_are_apart,
    of_nodes_that_move_the_same_checkpoint_one_wins,
}

const NAME: &str = "mailer";

fn moving(checkpoint: CheckpointWrite) -> Commit {
    Commit { checkpoint: Some(checkpoint), ..Commit::default() }
}

#[track_caller]
fn assert_stands(error: &Error, partition: u32, actual: Position, why: &str) {
    let conflict = Conflict::Checkpoint { subscription: NAME.into(), partition, actual };
    assert_conflict(error, conflict, why);
}

async fn the_first_checkpoint_lands(t: Probe) {
    assert_eq!(t.stands(NAME, 0).await, None, "nowhere yet");
    let head = t.applied(grows(&account("1"), 3)).await;
    t.applied(moving(moves(NAME, 0, head))).await;
    assert_eq!(t.stands(NAME, 0).await, Some(head), "the first checkpoint");
    let other = t.another().await;
    assert_eq!(other.stands(NAME, 0).await, Some(head), "seen by another process");
}

async fn a_checkpoint_moves_on(t: Probe) {
    let mut from = 0;
    for _ in 0..5 {
        let to = t.applied(grows(&account("1"), 2)).await;
        t.applied(moving(moves(NAME, from, to))).await;
        assert_eq!(t.stands(NAME, 0).await, Some(to), "from {from} to {to}");
        from = to;
    }
}

async fn a_first_checkpoint_that_lands_late_is_taken(t: Probe) {
    let early = t.applied(grows(&account("1"), 1)).await;
    let first = moving(moves(NAME, 0, early));
    t.applied(grows(&account("1"), 10)).await;
    t.applied(first).await;
    assert_eq!(t.stands(NAME, 0).await, Some(early), "the log went on meanwhile");
}

async fn a_first_checkpoint_that_lands_twice_is_refused(t: Probe) {
    let head = t.applied(grows(&account("1"), 3)).await;
    t.applied(moving(moves(NAME, 0, head))).await;
    for to in [head, 1] {
        // With another commit id: by a node that believes to be the first.
        let error = t.refused(moving(moves(NAME, 0, to))).await;
        assert_stands(&error, 0, head, "a second first checkpoint");
    }
    assert_eq!(t.stands(NAME, 0).await, Some(head), "the checkpoint has not moved");
}

async fn a_checkpoint_that_starts_from_elsewhere_is_refused(t: Probe) {
    let head = t.applied(grows(&account("1"), 5)).await;
    t.applied(moving(moves(NAME, 0, 3))).await;
    for from in [0, 1, 2, 4, head] {
        let error = t.refused(moving(moves(NAME, from, head))).await;
        assert_stands(&error, 0, 3, &format!("from {from}, and it stands at 3"));
    }
    t.applied(moving(moves(NAME, 3, head))).await;
}

async fn a_checkpoint_that_goes_back_is_refused(t: Probe) {
    t.applied(grows(&account("1"), 5)).await;
    t.applied(moving(moves(NAME, 0, 3))).await;
    let error = t.refused(moving(moves(NAME, 3, 2))).await;
    assert_invalid(&error, "checkpoint", "from 3 to 2");
    assert_eq!(t.stands(NAME, 0).await, Some(3), "the checkpoint has not moved");
}

async fn a_checkpoint_beyond_the_head_is_refused(t: Probe) {
    let head = t.applied(grows(&account("1"), 2)).await;
    for to in [head + 1, 1 << 63, u64::MAX] {
        let error = t.refused(moving(moves(NAME, 0, to))).await;
        let kind = ErrorKind::BeyondHead { position: to, head };
        assert_eq!(error.kind(), &kind, "a checkpoint after the last event: {error:?}");
    }
    assert_eq!(t.stands(NAME, 0).await, None, "the refused checkpoint");
}

async fn partitions_are_apart(t: Probe) {
    t.applied(grows(&account("1"), 5)).await;
    let at = |partition, from, to| CheckpointWrite { partition, ..moves(NAME, from, to) };
    for (partition, to) in [(0, 1), (1, 2), (7, 3), (u32::MAX, 4)] {
        t.applied(moving(at(partition, 0, to))).await;
    }
    t.applied(moving(at(1, 2, 5))).await;
    for (partition, to) in
        [(0, Some(1)), (1, Some(5)), (7, Some(3)), (u32::MAX, Some(4)), (2, None)]
    {
        assert_eq!(t.stands(NAME, partition).await, to, "partition {partition}");
    }
    assert_stands(&t.refused(moving(at(7, 1, 5))).await, 7, 3, "the place of another partition");
}

async fn subscriptions_are_apart(t: Probe) {
    t.applied(grows(&account("1"), 5)).await;
    for (name, to) in [("mailer", 1), ("Mailer", 2), ("mailer ", 3), ("mail", 4)] {
        t.applied(moving(moves(name, 0, to))).await;
    }
    for (name, to) in [("mailer", 1), ("Mailer", 2), ("mailer ", 3), ("mail", 4)] {
        assert_eq!(t.stands(name, 0).await, Some(to), "the subscription {name:?}");
    }
}

async fn of_nodes_that_move_the_same_checkpoint_one_wins(t: Probe) {
    let handles = [t.handle(), t.another().await];
    let mut from = 0;
    for round in 0..8 {
        let to = t.applied(grows(&account("1"), 1)).await;
        let answers = together(16, |n| {
            let handle = handles[n % 2].clone();
            async move {
                let checkpoint = Some(moves(NAME, from, to));
                let commit = Commit { checkpoint, ..grows(&account(&format!("{round} {n}")), 1) };
                handle.settled(commit).await
            }
        });
        let answers = answers.await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "of 16 that move from {from} to {to} one wins: {answers:?}");
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_stands(error, 0, to, "the others come late");
        }
        from = to;
    }
}
