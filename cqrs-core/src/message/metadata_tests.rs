//! Metadata: what is passed on, and that all of it comes back from its JSON.

use super::*;
use proptest::prelude::*;

#[test]
fn a_clone_has_the_same_id() {
    let metadata = Metadata::default();
    assert_eq!(metadata.clone().id(), metadata.id());
}

#[test]
fn an_effect_keeps_the_conversation_and_drops_the_inbox() {
    let command = Metadata::default().with_correlation("from-a-client").with_inbox("http");
    let event = command.effect(MessageId::fresh());
    assert_eq!(event.correlation(), Some("from-a-client"));
    assert_eq!(event.inbox(), None);
    let next = event.effect(MessageId::fresh());
    assert_eq!(next.causation(), Some(event.id()));
}

#[test]
fn json_that_is_not_metadata_is_refused() {
    let id = MessageId::fresh();
    for json in ["", "[]x", r#"{"occurred_at":"soon"}"#] {
        assert!(Metadata::from_json(id, None, json).is_err(), "{json}");
    }
}

prop_compose! {
    fn any_metadata()(
        texts in prop::collection::vec(prop::option::of(".{0,20}"), 5),
        times in prop::collection::vec(prop::option::of(any::<i64>()), 2),
        causation in prop::option::of(any::<u128>()),
        id in any::<u128>(),
        version in prop::option::of(any::<u16>()),
        extensions in prop::collection::btree_map(".{0,9}", ".{0,9}", 0..4),
    ) -> Metadata {
        let uuid = |n| MessageId::from_uuid(uuid::Uuid::from_u128(n));
        let text = |n: usize| texts[n].clone().map(Into::into);
        let time = |n: usize| times[n].map(Timestamp::from_micros);
        let more = More {
            correlation_id: text(0),
            causation_id: causation.map(uuid),
            traceparent: text(1),
            actor: text(2),
            partition_key: text(3),
            schema_version: version,
            occurred_at: time(0),
            deadline: time(1),
            extensions,
            tenant: text(4),
            inbox: None,
            local: Locals::default(),
        };
        Metadata { id: OnceLock::from(uuid(id)), more: Some(Arc::new(more)) }
    }
}

proptest! {
    #[test]
    fn all_fields_come_back(metadata in any_metadata()) {
        let back = Metadata::from_json(metadata.id(), metadata.tenant(), &metadata.to_json()).unwrap();
        prop_assert_eq!(back, metadata);
    }

    #[test]
    fn hostile_json_never_panics(text in ".*") {
        let _ = Metadata::from_json(MessageId::fresh(), None, &text);
    }
}
