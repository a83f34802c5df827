//! Fences: what a commit may still do under a lease, and what not (P13).

use cqrs_core::{CheckpointWrite, Committed, Conflict, Error, Fence, Lease, MessageId};
use serde_json::json;

use crate::store::case::leases;
use crate::store::cases::prelude::*;
use crate::store::handle::together;
use crate::store::waiting::{SHORT, fenced};

cases! { "fences":
    a_commit_under_a_lease_is_applied if leases,
    a_commit_under_a_lease_that_is_over_and_untaken_is_applied if leases,
    a_commit_under_a_lease_of_another_is_refused if leases,
    a_checkpoint_under_a_lease_of_another_is_refused if leases,
    a_stale_fence_among_good_ones_is_refused if leases,
    a_fence_of_a_lease_that_nobody_had_is_refused if leases,
    a_token_that_was_not_given_out_yet_is_refused if leases,
    a_repeat_under_a_lease_of_another_is_the_repeat if leases,
    leases_and_their_commits_move_on_together if leases,
    a_commit_moves_no_lease if leases,
}

const NAME: &str = "mailer/0";

/// A lease that went to another, and that other's.
async fn lost(t: &Probe) -> (Lease, Lease) {
    let mine = t.takes("node-a", NAME).await;
    t.gives_back("node-a", &[NAME]).await;
    (mine, t.takes("node-b", NAME).await)
}

#[track_caller]
fn assert_lost(error: &Error, fence: &Fence, actual: u64, why: &str) {
    let (lease, token) = (fence.lease.clone(), fence.token);
    assert_conflict(error, Conflict::Lease { lease, token, actual }, why);
}

fn checked(name: &str, to: u64, fence: Fence) -> Commit {
    let checkpoint = CheckpointWrite { fence: Some(fence), ..moves(name, 0, to) };
    Commit { checkpoint: Some(checkpoint), ..grows(&account("1"), 1) }
}

async fn a_commit_under_a_lease_is_applied(t: Probe) {
    let lease = t.takes("node-a", NAME).await;
    let head = t.applied(fenced(vec![lease.fence()], grows(&account("1"), 1))).await;
    t.applied(checked("mailer", head, lease.fence())).await;
    let both = checked("other", head, lease.fence());
    t.applied(fenced(vec![lease.fence()], both)).await;
    assert_eq!(t.stream(&account("1")).await.len(), 3, "all three are applied");
    assert_eq!(t.stands("mailer", 0).await, Some(head), "its checkpoint");
}

async fn a_commit_under_a_lease_that_is_over_and_untaken_is_applied(t: Probe) {
    let lease = t.asks_for("node-a", NAME, SHORT / 2).await;
    t.outlives(NAME).await;
    let head = t.applied(fenced(vec![lease.fence()], grows(&account("1"), 1))).await;
    t.applied(checked("mailer", head, lease.fence())).await;
    assert_eq!(t.stands("mailer", 0).await, Some(head), "nobody else has taken the lease");
}

async fn a_commit_under_a_lease_of_another_is_refused(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let (mine, theirs) = lost(&t).await;
    let message = MessageId::fresh();
    let mut commit = fenced(vec![mine.fence()], grows(&account("1"), 2));
    commit.documents = puts("17", &json!({})).documents;
    commit.inbox = vec![mark("payments", message, None)];
    commit.checkpoint = Some(moves("mailer", 0, 0));
    let error = t.refused(commit.clone()).await;
    assert_lost(&error, &mine.fence(), theirs.token, "the lease is another's by now");
    assert_eq!(t.tutor("17").await, None, "its document");
    assert_eq!(t.inbox("payments", message).await.expect("it can be read"), None, "its mark");
    assert_eq!(t.stands("mailer", 0).await, None, "its checkpoint");
    // The one that has the lease is not held up by it, under the same ids.
    t.applied(fenced(vec![theirs.fence()], commit)).await;
}

async fn a_checkpoint_under_a_lease_of_another_is_refused(t: Probe) {
    let head = t.applied(grows(&account("1"), 1)).await;
    let (mine, theirs) = lost(&t).await;
    let error = t.refused(checked("mailer", head, mine.fence())).await;
    assert_lost(&error, &mine.fence(), theirs.token, "the lease is another's by now");
    assert_eq!(t.stands("mailer", 0).await, None, "the refused checkpoint");
    t.applied(checked("mailer", head, theirs.fence())).await;
    assert_eq!(t.stands("mailer", 0).await, Some(head), "the checkpoint of the new holder");
}

async fn a_stale_fence_among_good_ones_is_refused(t: Probe) {
    let head = t.applied(grows(&account("1"), 1)).await;
    let (mine, theirs) = lost(&t).await;
    let good = t.takes("node-a", "other").await;
    let fences = vec![good.fence(), mine.fence()];
    let error = t.refused(fenced(fences, grows(&account("1"), 1))).await;
    assert_lost(&error, &mine.fence(), theirs.token, "the second of two fences");
    let commit = fenced(vec![mine.fence()], checked("mailer", head, good.fence()));
    let error = t.refused(commit).await;
    assert_lost(&error, &mine.fence(), theirs.token, "beside the fence of a checkpoint");
    let commit = fenced(vec![good.fence()], checked("mailer", head, mine.fence()));
    let error = t.refused(commit).await;
    assert_lost(&error, &mine.fence(), theirs.token, "the fence of a checkpoint beside another");
}

async fn a_fence_of_a_lease_that_nobody_had_is_refused(t: Probe) {
    t.takes("node-a", NAME).await;
    for token in [1, 2] {
        let fence = Fence { lease: "mailer/1".into(), token };
        let error = t.refused(fenced(vec![fence.clone()], grows(&account("1"), 1))).await;
        assert_lost(&error, &fence, 0, "a lease that nobody ever had");
    }
}

async fn a_token_that_was_not_given_out_yet_is_refused(t: Probe) {
    let lease = t.takes("node-a", NAME).await;
    for token in [lease.token + 1, i64::MAX as u64] {
        let fence = Fence { token, ..lease.fence() };
        let error = t.refused(fenced(vec![fence.clone()], grows(&account("1"), 1))).await;
        assert_lost(&error, &fence, lease.token, "a token of the future");
    }
}

async fn a_repeat_under_a_lease_of_another_is_the_repeat(t: Probe) {
    let mine = t.takes("node-a", NAME).await;
    let commit = fenced(vec![mine.fence()], grows(&account("1"), 1));
    let position = t.applied(commit.clone()).await;
    t.gives_back("node-a", &[NAME]).await;
    t.takes("node-b", NAME).await;
    let again = t.answered(commit).await;
    let before = Committed::Before { position, reply: None };
    assert_eq!(again, before, "it was applied while the lease was its own");
}

async fn leases_and_their_commits_move_on_together(t: Probe) {
    // Each takes the lease, writes under it and gives it back; each checkpoint starts where the one
    // before ended, so that a commit under a stale lease would show.
    let handles = [t.handle(), t.another().await];
    let head = t.applied(grows(&account("1"), 64)).await;
    assert!(head >= 64, "room for the checkpoints: {head}");
    together(8, |n| {
        let handle = handles[n % 2].clone();
        async move {
            let holder = format!("node-{n}");
            for _ in 0..4 {
                let lease = handle.gets(&holder, NAME).await;
                let from = handle.stands("mailer", 0).await.unwrap_or(0);
                let fence = Some(lease.fence());
                let checkpoint = CheckpointWrite { fence, ..moves("mailer", from, from + 1) };
                handle.applied(Commit { checkpoint: Some(checkpoint), ..Commit::default() }).await;
                handle.gives_back(&holder, &[NAME]).await;
            }
        }
    })
    .await;
    assert_eq!(t.stands("mailer", 0).await, Some(32), "32 steps under 32 leases");
}

async fn a_commit_moves_no_lease(t: Probe) {
    let lease = t.takes("node-a", NAME).await;
    t.applied(fenced(vec![lease.fence()], grows(&account("1"), 1))).await;
    let other = Fence { token: lease.token + 1, ..lease.fence() };
    t.refused(fenced(vec![other], grows(&account("1"), 1))).await;
    assert_eq!(t.held("").await, [lease], "the lease is as it was");
}
