//! Groups: each gets all, members share, and they are durable.

use cqrs_core::BusStart;

use crate::bus::cases::prelude::*;

cases! { "groups":
    each_group_gets_every_message,
    members_of_a_group_share,
    members_on_two_connections_share,
    a_group_gets_what_comes_while_it_has_no_members,
    a_new_group_begins_with_what_comes_next,
    a_new_group_gets_what_was_kept if crate::bus::case::keeps_published,
    what_was_kept_cannot_be_asked_for if crate::bus::case::keeps_nothing,
    what_one_group_does_is_nothing_to_another,
    a_member_that_leaves_leaves_the_rest_to_others,
    what_a_member_was_handed_can_be_settled_after_it_has_left,
    a_member_holds_so_many_at_once,
}

async fn each_group_gets_every_message(t: Probe) {
    let mut groups = Vec::new();
    for group in ["mailer", "ledger", "search"] {
        groups.push(t.listen(group, &["bank.*"]).await);
    }
    t.send((0..100).map(|n| opened("a", n)).collect()).await;
    let all: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    for member in &mut groups {
        assert_eq!(member.take(100).await, all);
        member.is_quiet().await;
    }
}

/// Takes what comes to two members, side by side.
async fn shared(mut one: Member, mut other: Member, count: usize) {
    let mut bodies = Vec::new();
    let mut counts = [0, 0];
    // Each holds some before anything is settled: both must be given their share.
    let (mut held_by_one, mut held_by_other) = (Vec::new(), Vec::new());
    for _ in 0..count / 2 {
        held_by_one.push(one.next().await);
        held_by_other.push(other.next().await);
    }
    for (n, delivery) in
        held_by_one.into_iter().map(|d| (0, d)).chain(held_by_other.into_iter().map(|d| (1, d)))
    {
        counts[n] += 1;
        bodies.push(body(&delivery));
        acked(delivery).await;
    }
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), count, "each message goes to one of them");
    assert_eq!(counts, [count / 2, count / 2]);
    one.is_quiet().await;
    other.is_quiet().await;
}

fn few(group: &str) -> BusSubscription {
    BusSubscription { at_once: 5, ..listens(group, &[OPENED]) }
}

async fn members_of_a_group_share(t: Probe) {
    let (one, other) = (t.join(few("mailer")).await, t.join(few("mailer")).await);
    t.send((0..10).map(|n| opened(n.to_string(), n)).collect()).await;
    shared(one, other, 10).await;
}

async fn members_on_two_connections_share(t: Probe) {
    let elsewhere = t.another().await;
    let (one, other) = (t.join(few("mailer")).await, elsewhere.join(few("mailer")).await);
    t.send((0..10).map(|n| opened(n.to_string(), n)).collect()).await;
    shared(one, other, 10).await;
}

async fn a_group_gets_what_comes_while_it_has_no_members(t: Probe) {
    drop(t.listen("mailer", &[OPENED]).await);
    t.send(vec![opened("a", 1), opened("a", 2)]).await;
    let elsewhere = t.another().await;
    assert_eq!(elsewhere.listen("mailer", &[OPENED]).await.take(2).await, ["1", "2"]);
}

async fn a_new_group_begins_with_what_comes_next(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send(vec![opened("a", 1)]).await;
    assert_eq!(mailer.take(1).await, ["1"]);
    let mut ledger = t.listen("ledger", &[OPENED]).await;
    t.send(vec![opened("a", 2)]).await;
    assert_eq!(ledger.take(1).await, ["2"]);
    ledger.is_quiet().await;
}

async fn a_new_group_gets_what_was_kept(t: Probe) {
    t.send(vec![opened("a", 1), opened("a", 2)]).await;
    let kept = BusSubscription { start: BusStart::Kept, ..listens("mailer", &[OPENED]) };
    let mut mailer = t.join(kept.clone()).await;
    assert_eq!(mailer.take(2).await, ["1", "2"]);
    drop(mailer);
    let mut again = t.join(kept).await;
    t.send(vec![opened("a", 3)]).await;
    assert_eq!(again.take(1).await, ["3"], "a group is new once");
    again.is_quiet().await;
}

async fn what_was_kept_cannot_be_asked_for(t: Probe) {
    let kept = BusSubscription { start: BusStart::Kept, ..listens("mailer", &[OPENED]) };
    let kind = t.refuses(kept).await.kind().clone();
    assert!(matches!(kind, ErrorKind::Unsupported { part: "keeps_published" }), "{kind:?}");
}

async fn what_one_group_does_is_nothing_to_another(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let mut ledger = t.listen("ledger", &[OPENED]).await;
    t.send(vec![opened("a", 1), opened("a", 2)]).await;
    parked(mailer.next().await, "no address").await;
    let held = mailer.next().await;
    assert_eq!(ledger.take(2).await, ["1", "2"], "while the other one parks and holds");
    acked(held).await;
    ledger.is_quiet().await;
}

async fn a_member_that_leaves_leaves_the_rest_to_others(t: Probe) {
    let mut leaves = t.join(BusSubscription { at_once: 1, ..listens("mailer", &[OPENED]) }).await;
    t.send((0..20).map(|n| opened(n.to_string(), n)).collect()).await;
    leaves.take(5).await;
    drop(leaves);
    let mut stays = t.listen("mailer", &[OPENED]).await;
    assert_eq!(stays.take(15).await.len(), 15);
    stays.is_quiet().await;
}

async fn what_a_member_was_handed_can_be_settled_after_it_has_left(t: Probe) {
    let mut leaves = t.listen("mailer", &[OPENED]).await;
    t.send(vec![opened("a", 1)]).await;
    let held = leaves.next().await;
    drop(leaves);
    acked(held).await;
    t.listen("mailer", &[OPENED]).await.is_quiet().await;
}

async fn a_member_holds_so_many_at_once(t: Probe) {
    let few = BusSubscription { at_once: 3, ..listens("mailer", &[OPENED]) };
    let mut mailer = t.join(few).await;
    t.send((0..6).map(|n| opened(n.to_string(), n)).collect()).await;
    let mut held = vec![mailer.next().await, mailer.next().await, mailer.next().await];
    mailer.is_quiet().await;
    acked(held.remove(0)).await;
    held.push(mailer.next().await);
    mailer.is_quiet().await;
}
