//! Tenants: the same names in two of them are two things.

use cqrs_core::{
    Conflict, DocumentKey, DocumentWrite, Expected, Filter, Guard, Metadata, NewEvent, ReadLog,
};
use serde_json::json;

use crate::store::cases::prelude::*;

cases! { "tenants":
    streams_of_tenants_are_apart,
    documents_of_tenants_are_apart,
    documents_are_found_in_their_tenant_only,
    unique_values_are_unique_in_a_tenant,
    a_guard_looks_at_its_tenant_only,
    an_event_has_the_tenant_of_its_stream,
    an_event_of_another_tenant_than_its_stream_is_refused,
}

const TENANTS: [Option<&str>; 3] = [None, Some("acme"), Some("bold")];

fn of(tenant: Option<&str>) -> StreamId {
    StreamId { tenant: tenant.map(Into::into), ..account("1") }
}

fn key_of(tenant: Option<&str>) -> DocumentKey {
    DocumentKey { tenant: tenant.map(Into::into), ..key("17") }
}

async fn streams_of_tenants_are_apart(t: Probe) {
    for (n, tenant) in TENANTS.into_iter().enumerate() {
        t.applied(appends(&of(tenant), Expected::NoStream, events(n + 1))).await;
    }
    for (n, tenant) in TENANTS.into_iter().enumerate() {
        let seen = t.stream(&of(tenant)).await;
        assert_eq!(seen.len(), n + 1, "the stream of {tenant:?}");
        assert!(seen.iter().all(|e| e.stream == of(tenant)), "only what is of {tenant:?}");
        let filter = Filter { streams: vec![of(tenant)], ..Filter::default() };
        let filtered = t.log_of(ReadLog::after(0).filter(filter)).await;
        assert_eq!(filtered, seen, "the log, filtered by the stream of {tenant:?}");
        let error = t.refused(appends(&of(tenant), Expected::NoStream, events(1))).await;
        assert_stream_at(&error, &of(tenant), n as u64 + 1, "each has its own version");
    }
}

async fn documents_of_tenants_are_apart(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    for (n, tenant) in TENANTS.into_iter().enumerate() {
        for _ in 0..=n {
            let says = body(&json!({ "n": n }));
            let put = DocumentWrite::put(key_of(tenant), Expected::Any, says);
            t.applied(writes(vec![put])).await;
        }
    }
    let deletion = DocumentWrite::delete(key_of(Some("bold")), Expected::Exists);
    t.applied(writes(vec![deletion])).await;
    for (n, tenant) in TENANTS.into_iter().enumerate() {
        let document = t.document(&key_of(tenant)).await.expect("it can be read");
        let says = document.map(|d| (d.version, d.body.decode::<serde_json::Value>().ok()));
        let expected = (n < 2).then(|| (n as u64 + 1, Some(json!({ "n": n }))));
        assert_eq!(says, expected, "the document of {tenant:?}");
    }
}

async fn documents_are_found_in_their_tenant_only(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("city")).await;
    for tenant in TENANTS {
        let id = format!("of {tenant:?}");
        let key = DocumentKey { id, ..key_of(tenant) };
        let put = DocumentWrite::put(key, Expected::Any, body(&json!({ "city": "London" })));
        t.applied(writes(vec![put])).await;
    }
    for tenant in TENANTS {
        for find in [FindDocuments::all(TUTOR), FindDocuments::by(TUTOR, "city", "London")] {
            let find = FindDocuments { tenant: tenant.map(Into::into), ..find };
            assert_eq!(t.found(find).await, [format!("of {tenant:?}")], "found for {tenant:?}");
        }
    }
}

async fn unique_values_are_unique_in_a_tenant(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    let says = || body(&json!({ "email": "ada@example.org" }));
    for tenant in TENANTS {
        t.applied(writes(vec![DocumentWrite::put(key_of(tenant), Expected::Any, says())])).await;
    }
    for tenant in TENANTS {
        let other = DocumentKey { id: "18".to_owned(), ..key_of(tenant) };
        let error = t.refused(writes(vec![DocumentWrite::put(other, Expected::Any, says())])).await;
        let taken =
            Conflict::Unique { collection: TUTOR.into(), id: "18".into(), field: "email".into() };
        assert_conflict(&error, taken, &format!("the second of {tenant:?}"));
    }
}

async fn a_guard_looks_at_its_tenant_only(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    t.applied(grows(&of(Some("acme")), 1)).await;
    let put = DocumentWrite::put(key_of(Some("acme")), Expected::Any, body(&json!({})));
    t.applied(writes(vec![put])).await;
    for tenant in [None, Some("bold")] {
        let filter = Filter { tenant: Some("bold".into()), ..Filter::default() };
        let guards = vec![
            Guard::Stream { stream: of(tenant), expected: Expected::NoStream },
            Guard::Document { key: key_of(tenant), expected: Expected::NoStream },
            Guard::NoneMatching { filter, after: 0 },
        ];
        t.applied(Commit { guards, ..grows(&account("beside"), 1) }).await;
    }
}

async fn an_event_has_the_tenant_of_its_stream(t: Probe) {
    let named = NewEvent {
        metadata: Metadata::default().with_tenant("acme").with_actor("ada"),
        ..event("bank.opened")
    };
    let commit = appends(&of(Some("acme")), Expected::Any, vec![named, event("bank.closed")]);
    t.applied(commit).await;
    t.applied(appends(&of(None), Expected::Any, vec![event("bank.opened")])).await;
    let tenants = t.log().await.into_iter().map(|e| e.metadata.tenant().map(str::to_owned));
    let acme = || Some("acme".to_owned());
    assert_eq!(tenants.collect::<Vec<_>>(), [acme(), acme(), None], "tenants in the metadata");
}

async fn an_event_of_another_tenant_than_its_stream_is_refused(t: Probe) {
    for tenant in [None, Some("bold")] {
        let metadata = Metadata::default().with_tenant("acme");
        let event = NewEvent { metadata, ..event("bank.opened") };
        let error = t.refused(appends(&of(tenant), Expected::Any, vec![event])).await;
        assert_invalid(&error, "tenant", &format!("an event of acme in a stream of {tenant:?}"));
    }
}
