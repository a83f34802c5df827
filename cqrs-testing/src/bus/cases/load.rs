//! Much at once.

use std::collections::HashSet;

use crate::bus::cases::prelude::*;

cases! { "load":
    five_thousand_messages_of_fifty_publishers_all_come,
    twenty_names_at_once_all_come,
    a_slow_member_gets_everything_in_the_end,
    what_was_refused_for_want_of_room_can_be_sent_again,
}

async fn five_thousand_messages_of_fifty_publishers_all_come(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..50 {
        let connection = t.another().await;
        publishers.spawn(async move {
            for n in 0..10 {
                let messages =
                    (0..10).map(|m| opened(format!("{publisher}"), format!("{publisher}/{n}/{m}")));
                connection.send(messages.collect()).await;
            }
        });
    }
    let bodies: HashSet<_> = mailer.take(5_000).await.into_iter().collect();
    assert_eq!(bodies.len(), 5_000, "each of them once");
    while let Some(done) = publishers.join_next().await {
        done.expect("a publisher failed");
    }
    mailer.is_quiet().await;
}

async fn twenty_names_at_once_all_come(t: Probe) {
    let mut members = tokio::task::JoinSet::new();
    for n in 0..20 {
        let name = format!("topic-{n}.happened");
        let mut member = t.listen(&format!("group-{n}"), &[&name]).await;
        members.spawn(async move { (name, member.take(50).await) });
    }
    for n in 0..50 {
        let messages = (0..20).map(|topic| {
            named(&format!("topic-{topic}.happened"), format!("topic-{topic}.happened {n}"))
                .with_key("a")
        });
        t.send(messages.collect()).await;
    }
    while let Some(member) = members.join_next().await {
        let (name, bodies) = member.expect("a member failed");
        assert!(
            bodies.iter().enumerate().all(|(n, body)| *body == format!("{name} {n}")),
            "{name}"
        );
    }
}

async fn a_slow_member_gets_everything_in_the_end(t: Probe) {
    let slow = BusSubscription { at_once: 2, ..listens("mailer", &[OPENED]) };
    let mut mailer = t.join(slow).await;
    t.send((0..200).map(|n| opened("a", n)).collect()).await;
    for n in 0..200 {
        let delivery = mailer.next().await;
        assert_eq!(body(&delivery), n.to_string());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        acked(delivery).await;
    }
    mailer.is_quiet().await;
}

/// However much room there is: nobody takes anything for a while, and nothing is lost.
async fn what_was_refused_for_want_of_room_can_be_sent_again(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let mut left: Vec<_> = (0..12_000).map(|n| opened(format!("{}", n % 7), n)).collect();
    let mut taken = Vec::new();
    while !left.is_empty() {
        let sent: Vec<_> = left.drain(..left.len().min(3_000)).collect();
        if let Err(unpublished) = t.publish(sent.clone()).await {
            let failed: Vec<_> = unpublished.failed.iter().map(|(n, _)| sent[*n].clone()).collect();
            for (_, error) in &unpublished.failed {
                assert!(error.is_retryable(), "it can be sent later: {error:?}");
            }
            left.splice(0..0, failed);
            taken.extend(mailer.take(2_000).await);
        }
    }
    taken.extend(mailer.take(12_000 - taken.len()).await);
    let mut of_keys = vec![Vec::new(); 7];
    for body in taken {
        let n: usize = body.parse().expect("it is a number");
        of_keys[n % 7].push(n);
    }
    assert_eq!(of_keys.iter().map(Vec::len).sum::<usize>(), 12_000);
    assert!(of_keys.iter().all(|of_key| of_key.is_sorted()), "in the order of their keys");
}
