//! What cannot be taken is refused by name, and nothing is sent (P24).

use cqrs_core::Metadata;

use crate::bus::cases::prelude::*;

cases! { "refused":
    a_message_over_the_limit_is_refused_by_name,
    metadata_over_the_limit_are_refused_by_name,
    what_is_no_name_is_refused,
    what_is_no_key_and_no_tenant_is_refused,
    what_is_no_subscription_is_refused,
}

async fn kind(t: &Probe, message: OutboundMessage) -> ErrorKind {
    let told = format!("{message:?}");
    match t.publish(vec![message]).await {
        Ok(()) => panic!("it is taken: {told}"),
        Err(unpublished) => unpublished.into_first().kind().clone(),
    }
}

fn is_of(kind: &ErrorKind, wanted: &str) -> bool {
    matches!(kind, ErrorKind::Invalid { field: Some(field) } if field == wanted)
}

async fn a_message_over_the_limit_is_refused_by_name(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let limit = t.capabilities().limits.body;
    let refused = kind(&t, opened("a", "x".repeat(limit + 1))).await;
    let expected = ErrorKind::TooLarge { what: OPENED.to_owned(), size: limit + 1, limit };
    assert_eq!(refused, expected);
    mailer.is_quiet().await;
}

async fn metadata_over_the_limit_are_refused_by_name(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    let limit = t.capabilities().limits.headers;
    let metadata = Metadata::default().with_extension("note", "x".repeat(limit));
    let refused = kind(&t, opened("a", 1).with_metadata(metadata)).await;
    let of_headers =
        matches!(&refused, ErrorKind::TooLarge { what, .. } if what.contains("headers"));
    assert!(of_headers, "{refused:?}");
    let key = "k".repeat(t.capabilities().limits.key + 1);
    let refused = kind(&t, opened(key, 1)).await;
    let of_key = matches!(&refused, ErrorKind::TooLarge { what, .. } if what == "key");
    assert!(of_key, "{refused:?}");
    mailer.is_quiet().await;
}

async fn what_is_no_name_is_refused(t: Probe) {
    let mut wiretap = t.listen("wiretap", &["*", "*.*", "*.*.*"]).await;
    for name in ["", ".", "a.", ".a", "a..b", "*", "a.*", "a.>", "#", "a b", "a\n", "a\0b", "a*"] {
        let refused = kind(&t, named(name, 1)).await;
        assert!(is_of(&refused, "name"), "{name:?}: {refused:?}");
    }
    let long = "n".repeat(t.capabilities().limits.name + 1);
    let refused = kind(&t, named(&long, 1)).await;
    assert!(matches!(refused, ErrorKind::TooLarge { .. }), "{refused:?}");
    wiretap.is_quiet().await;
}

async fn what_is_no_key_and_no_tenant_is_refused(t: Probe) {
    let mut mailer = t.listen("mailer", &[OPENED]).await;
    for text in ["", "a\r\nb", "\0", "\u{1f}"] {
        let refused = kind(&t, opened(text, 1)).await;
        assert!(is_of(&refused, "key"), "{text:?}: {refused:?}");
        let of_tenant = Metadata::default().with_tenant(text);
        let refused = kind(&t, opened("a", 1).with_metadata(of_tenant)).await;
        assert!(is_of(&refused, "tenant"), "{text:?}: {refused:?}");
    }
    mailer.is_quiet().await;
}

async fn what_is_no_subscription_is_refused(t: Probe) {
    let right = listens("mailer", &[OPENED]);
    let group = |group: &str| BusSubscription { group: group.to_owned(), ..right.clone() };
    let cases = [
        (group(""), "group"),
        (group("a b"), "group"),
        (group("a.*"), "group"),
        (group("a\n"), "group"),
        (listens("mailer", &[]), "names"),
        (listens("mailer", &[""]), "names"),
        (listens("mailer", &["bank."]), "names"),
        (listens("mailer", &["bank.>"]), "names"),
        (listens("mailer", &["bank.opened*"]), "names"),
        (BusSubscription { at_once: 0, ..right.clone() }, "at_once"),
        (BusSubscription { deliveries: 0, ..right.clone() }, "deliveries"),
        (
            BusSubscription { settle_within: std::time::Duration::ZERO, ..right.clone() },
            "settle_within",
        ),
    ];
    for (subscription, field) in cases {
        let refused = t.refuses(subscription.clone()).await.kind().clone();
        assert!(is_of(&refused, field), "{subscription:?}: {refused:?}");
    }
}
