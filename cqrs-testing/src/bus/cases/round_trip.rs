//! What comes is what was sent.

use cqrs_core::{MessageId, Metadata, Timestamp};

use crate::bus::cases::prelude::*;
use crate::bus::make::HOSTILE;

cases! { "round_trip":
    a_message_comes_with_its_body_and_all_its_metadata,
    a_message_comes_with_the_metadata_it_has_and_no_more,
    bodies_of_any_bytes_come_back_with_their_content_type,
    hostile_texts_come_back_exactly,
    a_message_at_the_limit_comes_back,
}

async fn a_message_comes_with_its_body_and_all_its_metadata(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let metadata = Metadata::default()
        .with_correlation("from-a-client")
        .with_causation(MessageId::fresh())
        .with_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .with_tenant("acme")
        .with_actor("ada")
        .with_schema_version(3)
        .with_occurred_at(Timestamp::from_micros(1_700_000_000_123_456))
        .with_deadline(Timestamp::from_micros(1_700_000_060_000_000))
        .with_extension("region", "eu")
        .with_extension("Sales-Channel", "shop");
    let mut sent = opened("17", r#"{"owner":"Ada"}"#).with_metadata(metadata.clone());
    sent.position = Some(41);
    t.send(vec![sent.clone()]).await;
    let (message, ticket) = mailer.next().await.split();
    assert_eq!(message.metadata, metadata.with_partition_key("17"), "its metadata");
    assert_eq!((&message.name, &message.body), (&sent.name, &sent.body), "its name and body");
    assert_eq!(message.content_type, sent.content_type, "its content type");
    assert_eq!(message.attempt, 1, "it comes for the first time");
    ticket.ack().await.expect("it must be acknowledged");
}

async fn a_message_comes_with_the_metadata_it_has_and_no_more(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let sent = named(OPENED, "{}");
    t.send(vec![sent.clone()]).await;
    let delivery = mailer.next().await;
    assert_eq!(delivery.message().metadata, sent.metadata, "nothing but an id");
    acked(delivery).await;
}

async fn bodies_of_any_bytes_come_back_with_their_content_type(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let all: Vec<u8> = (0..=255).collect();
    let cases = [
        ("application/json", Vec::new()),
        ("application/octet-stream", all),
        ("application/cbor", vec![0, 0, 0]),
        ("application/json; charset=utf-8", b"{}".to_vec()),
    ];
    for (content_type, body) in cases {
        let content_type = content_type.to_owned();
        let sent = OutboundMessage { content_type, body: body.into(), ..opened("a", "") };
        t.send(vec![sent.clone()]).await;
        let delivery = mailer.next().await;
        assert_eq!(delivery.message().body, sent.body, "a body of {}", sent.content_type);
        assert_eq!(delivery.message().content_type, sent.content_type, "its content type");
        acked(delivery).await;
    }
}

async fn hostile_texts_come_back_exactly(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    for text in HOSTILE {
        let metadata = Metadata::default()
            .with_tenant(text)
            .with_actor(text)
            .with_correlation(text)
            .with_extension("note", text)
            .with_extension(text, text)
            .with_extension("empty", "");
        let sent = opened(text, text).with_metadata(metadata.clone());
        t.send(vec![sent]).await;
        let delivery = mailer.next().await;
        let expected = metadata.with_partition_key(text);
        assert_eq!(delivery.message().metadata, expected, "with {text:?} everywhere");
        acked(delivery).await;
    }
}

async fn a_message_at_the_limit_comes_back(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let limits = t.capabilities().limits;
    let body = "x".repeat(limits.body);
    let sent = opened("k".repeat(limits.key), &body);
    t.send(vec![sent]).await;
    let delivery = mailer.next().await;
    assert_eq!(delivery.message().body.len(), limits.body, "a body of as many bytes as it takes");
    let key = delivery.message().metadata.partition_key().map(str::len);
    assert_eq!(key, Some(limits.key), "a key of as many bytes as it takes");
    acked(delivery).await;
}
