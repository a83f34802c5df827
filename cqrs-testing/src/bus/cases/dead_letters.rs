//! Dead letters: kept with their story, listed, and sent again (P21).

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::memory::{MemoryBus, MemoryStore};
use cqrs_core::{
    App, Bus, DeadLetterId, Documents, Event, EventType, FindDeadLetters, HandlerError, Metadata,
    Publisher, Work,
};
use serde::{Deserialize, Serialize};

use crate::bus::cases::prelude::*;
use crate::bus::make::BOUND;
use crate::bus::service::{Sum, add_to};

cases! { "dead_letters":
    a_dead_letter_has_its_message_cause_attempts_and_origin,
    a_dead_letter_does_not_come_again_by_itself,
    the_next_of_its_key_goes_on,
    dead_letters_are_listed_by_origin_and_by_the_page,
    a_dead_letter_is_sent_again_under_its_id,
    a_dead_letter_is_sent_again_to_its_group_only,
    a_dead_letter_that_was_applied_before_has_no_second_effect,
    a_dead_letter_that_dies_again_is_another_letter,
    a_discarded_letter_is_gone,
    a_letter_that_is_not_there_is_refused,
    a_command_can_become_a_dead_letter,
    dead_letters_are_seen_from_every_connection,
    hostile_causes_come_back,
}

/// A group with one dead letter.
async fn dies(t: &Probe, message: OutboundMessage) -> Member {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send(vec![message]).await;
    parked(mailer.next().await, "no address").await;
    mailer
}

async fn a_dead_letter_has_its_message_cause_attempts_and_origin(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let metadata =
        Metadata::default().with_tenant("acme").with_correlation("c").with_schema_version(2);
    let sent = opened("17", r#"{"owner":"Ada"}"#).with_metadata(metadata.clone());
    t.send(vec![sent.clone()]).await;
    retried(mailer.next().await, Duration::ZERO).await;
    parked(mailer.next().await, "no address").await;
    let letter = t.letters("mailer", 1).await.remove(0);
    assert_eq!((&*letter.cause, &*letter.origin), ("no address", "mailer"));
    assert_eq!(letter.attempts, 2, "handed over twice");
    assert_eq!(letter.message.metadata, metadata.with_partition_key("17"));
    assert_eq!((&letter.message.name, &letter.message.body), (&sent.name, &sent.body));
    assert_eq!(letter.message.content_type, sent.content_type);
}

async fn a_dead_letter_does_not_come_again_by_itself(t: Probe) {
    let mut mailer = dies(&t, opened("a", 1)).await;
    mailer.is_quiet().await;
    drop(mailer);
    t.another().await.listen("mailer", &[OPENED]).await.is_quiet().await;
}

async fn the_next_of_its_key_goes_on(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    t.send(vec![opened("a", 1), opened("a", 2)]).await;
    parked(mailer.next().await, "no").await;
    assert_eq!(mailer.take(1).await, ["2"]);
}

async fn dead_letters_are_listed_by_origin_and_by_the_page(t: Probe) {
    for group in ["mailer", "ledger"] {
        let mut member = t.listen(group, &[OPENED]).await;
        t.send((0..5).map(|n| opened("a", format!("{group} {n}"))).collect()).await;
        // The second group's messages come to the first as well, and wait there.
        for _ in 0..5 {
            parked(member.next().await, "no").await;
        }
    }
    assert_eq!(t.letters("ledger", 5).await.len(), 5);
    let mut found = Vec::new();
    let mut find = FindDeadLetters { limit: 2, ..FindDeadLetters::of("mailer") };
    loop {
        let page = t.dead_letters(find.clone()).await.expect("they must be listed");
        assert!(page.len() <= 2, "a page of two at most");
        let Some(last) = page.last() else { break };
        find = find.after(last);
        found.extend(page.iter().map(|l| String::from_utf8_lossy(&l.message.body).into_owned()));
    }
    let all: Vec<_> = (0..5).map(|n| format!("mailer {n}")).collect();
    assert_eq!(found, all, "in the order in which they came to be");
    let of_all = t.dead_letters(FindDeadLetters::default()).await.expect("they must be listed");
    assert_eq!(of_all.len(), 10);
}

async fn a_dead_letter_is_sent_again_under_its_id(t: Probe) {
    let sent = opened("a", 1).with_metadata(Metadata::default().with_tenant("acme"));
    let mut mailer = dies(&t, sent.clone()).await;
    let letter = t.letters("mailer", 1).await.remove(0);
    t.send_again(&letter.id).await.expect("it must be sent again");
    let again = mailer.next().await;
    assert_eq!(again.message().metadata, sent.metadata.with_partition_key("a"));
    assert_eq!(seen(&again), ("1".to_owned(), 1), "counting from the first attempt");
    acked(again).await;
    t.letters("mailer", 0).await;
    mailer.is_quiet().await;
}

async fn a_dead_letter_is_sent_again_to_its_group_only(t: Probe) {
    let mut ledger = t.listen("ledger", &[OPENED]).await;
    let mut mailer = dies(&t, opened("a", 1)).await;
    assert_eq!(ledger.take(1).await, ["1"]);
    let letter = t.letters("mailer", 1).await.remove(0);
    t.send_again(&letter.id).await.expect("it must be sent again");
    assert_eq!(mailer.take(1).await, ["1"]);
    ledger.is_quiet().await;
}

/// What is in the account that was opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Opened(i64);

impl Event for Opened {
    const TYPES: &'static [EventType] = &[EventType::new(OPENED, "Opened")];
    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// A service that adds up what is in all accounts.
fn mailer(store: &MemoryStore, bus: Arc<dyn Bus>) -> App {
    let add = |event: Opened, work: Work| async move {
        add_to(&work, "all".to_owned(), event.0).await.map(drop).map_err(HandlerError::from)
    };
    let app = App::builder().store(store.clone()).shared_bus(bus).listens("mailer", add);
    app.build().expect("all of it fits")
}

async fn a_dead_letter_that_was_applied_before_has_no_second_effect(t: Probe) {
    let (store, elsewhere) = (MemoryStore::default(), MemoryBus::default());
    let sums = Documents::<Sum>::new(Arc::new(store.clone()));
    sums.declare().await.expect("there is room");
    let sum = async |expected: i64| {
        let added = async {
            while sums
                .get("all")
                .await
                .expect("it can be read")
                .is_none_or(|all| all.sum != expected)
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(BOUND, added).await.expect("it is added");
    };
    // The service has applied it when it came another way; and on this bus it has become a dead letter.
    let sent = opened("a", 1);
    let before = mailer(&store, Arc::new(elsewhere.connect())).start().await.expect("it starts");
    elsewhere.connect().publish(vec![sent.clone()]).await.expect("it is stored");
    sum(1).await;
    before.stop(BOUND).await.expect("it stops");
    drop(dies(&t, sent).await);
    let letter = t.letters("mailer", 1).await.remove(0);

    let running = mailer(&store, t.another().await.shared()).start().await.expect("it starts");
    t.send_again(&letter.id).await.expect("it must be sent again");
    t.send(vec![opened("a", 10)]).await;
    sum(11).await;
    running.stop(BOUND).await.expect("it stops");
    t.letters("mailer", 0).await;
}

async fn a_dead_letter_that_dies_again_is_another_letter(t: Probe) {
    let mut mailer = dies(&t, opened("a", 1)).await;
    let first = t.letters("mailer", 1).await.remove(0);
    t.send_again(&first.id).await.expect("it must be sent again");
    parked(mailer.next().await, "still no address").await;
    let second = t.letters("mailer", 1).await.remove(0);
    assert_ne!(second.id, first.id);
    assert_eq!((&*second.cause, second.attempts), ("still no address", 1));
    assert_eq!(second.message.metadata.id(), first.message.metadata.id());
}

async fn a_discarded_letter_is_gone(t: Probe) {
    let mut mailer = dies(&t, opened("a", 1)).await;
    let letter = t.letters("mailer", 1).await.remove(0);
    t.discard(&letter.id).await.expect("it must be discarded");
    t.letters("mailer", 0).await;
    mailer.is_quiet().await;
}

async fn a_letter_that_is_not_there_is_refused(t: Probe) {
    let mut mailer = dies(&t, opened("a", 1)).await;
    let letter = t.letters("mailer", 1).await.remove(0);
    t.send_again(&letter.id).await.expect("it must be sent again");
    acked(mailer.next().await).await;
    for id in [letter.id, DeadLetterId(String::new()), DeadLetterId("no such letter".to_owned())] {
        for refused in [t.send_again(&id).await, t.discard(&id).await] {
            let kind = refused.as_ref().map_err(cqrs_core::Error::kind);
            assert!(matches!(kind, Err(ErrorKind::Invalid { .. })), "{id:?}: {refused:?}");
        }
    }
    mailer.is_quiet().await;
}

async fn a_command_can_become_a_dead_letter(t: Probe) {
    let mut payments = t.join(takes("payments", &["payments.charge"])).await;
    t.send(vec![command("payments.charge", 1)]).await;
    parked(payments.next().await, "no card").await;
    let letter = t.letters("payments", 1).await.remove(0);
    t.send_again(&letter.id).await.expect("it must be sent again");
    assert_eq!(payments.take(1).await, ["1"]);
}

async fn dead_letters_are_seen_from_every_connection(t: Probe) {
    let mut mailer = dies(&t, opened("a", 1)).await;
    let elsewhere = t.another().await;
    let letter = elsewhere.letters("mailer", 1).await.remove(0);
    elsewhere.send_again(&letter.id).await.expect("it must be sent again");
    assert_eq!(mailer.take(1).await, ["1"]);
}

async fn hostile_causes_come_back(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let causes = crate::bus::make::HOSTILE.map(str::to_owned).into_iter();
    let causes: Vec<_> = causes.chain(["two\nlines".to_owned(), "x".repeat(2_000)]).collect();
    for cause in &causes {
        t.send(vec![opened("a", "")]).await;
        parked(mailer.next().await, cause).await;
    }
    let letters = t.letters("mailer", causes.len()).await;
    let found: Vec<_> = letters.into_iter().map(|letter| letter.cause).collect();
    assert_eq!(found, causes);
}
