//! What is reported of messages that are sent: each stored, or not (P17).

use crate::bus::cases::prelude::*;

cases! { "publish":
    what_is_stored_comes_to_whoever_listens,
    nothing_to_send_is_no_error,
    of_several_messages_those_that_fail_are_named,
    after_a_failure_the_later_ones_of_its_key_fail,
    a_message_that_nobody_listens_to_is_counted,
    an_id_that_is_sent_again_comes_once if crate::bus::case::deduplicates,
    an_id_that_is_sent_again_elsewhere_comes_once if crate::bus::case::deduplicates,
}

fn over_the_limit(t: &Probe, key: &str) -> OutboundMessage {
    opened(key, "x".repeat(t.capabilities().limits.body + 1))
}

async fn what_is_stored_comes_to_whoever_listens(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send((0..1_000).map(|n| opened(n.to_string(), n)).collect()).await;
    let mut bodies = mailer.take(1_000).await;
    bodies.sort_unstable_by_key(|body| body.parse::<u32>().unwrap_or(u32::MAX));
    assert!(bodies.iter().enumerate().all(|(n, body)| *body == n.to_string()), "each comes once");
    mailer.is_quiet().await;
}

async fn nothing_to_send_is_no_error(t: Probe) {
    t.send(Vec::new()).await;
}

async fn of_several_messages_those_that_fail_are_named(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let sent = vec![
        opened("a", 0),
        command("payments.charge", 1),
        opened("b", 2),
        over_the_limit(&t, "c"),
        opened("d", 4),
    ];
    let Err(unpublished) = t.publish(sent).await else { panic!("two of five cannot be sent") };
    let failed: Vec<_> =
        unpublished.failed.iter().map(|(n, error)| (*n, error.kind().name())).collect();
    assert_eq!(failed, [(1, "unroutable"), (3, "too_large")], "those that fail, and why");
    let mut bodies = mailer.take(3).await;
    bodies.sort_unstable();
    assert_eq!(bodies, ["0", "2", "4"], "the others are stored");
    mailer.is_quiet().await;
}

async fn after_a_failure_the_later_ones_of_its_key_fail(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let sent = vec![opened("a", 0), over_the_limit(&t, "a"), opened("b", 2), opened("a", 3)];
    let Err(unpublished) = t.publish(sent).await else { panic!("one of four cannot be sent") };
    let failed: Vec<_> = unpublished.failed.iter().map(|(n, _)| *n).collect();
    assert_eq!(failed, [1, 3], "the later one of the key is not sent past the one that fails");
    let mut bodies = mailer.take(2).await;
    bodies.sort_unstable();
    assert_eq!(bodies, ["0", "2"], "those before it, and those of other keys, are stored");
    mailer.is_quiet().await;
}

async fn a_message_that_nobody_listens_to_is_counted(t: Probe) {
    let before = t.health().await.unheard;
    t.send(vec![opened("a", 1), opened("b", 2)]).await;
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send(vec![opened("c", 3)]).await;
    assert_eq!(mailer.take(1).await, ["3"]);
    assert_eq!(t.health().await.unheard - before, 2, "two of three were for nobody");
}

async fn an_id_that_is_sent_again_comes_once(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let sent = opened("a", 1);
    t.send(vec![sent.clone(), sent.clone()]).await;
    t.send(vec![sent.clone()]).await;
    assert_eq!(mailer.take(1).await, ["1"]);
    t.send(vec![sent, opened("a", 2)]).await;
    assert_eq!(mailer.take(1).await, ["2"], "also once it was handled");
    mailer.is_quiet().await;
}

async fn an_id_that_is_sent_again_elsewhere_comes_once(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let sent = opened("a", 1);
    t.send(vec![sent.clone()]).await;
    t.another().await.send(vec![sent, opened("a", 2)]).await;
    assert_eq!(mailer.take(2).await, ["1", "2"], "sent by two processes, as after a take-over");
    mailer.is_quiet().await;
}
