//! Names that try to break out, or to be taken for another's: each comes back as it went in.

use cqrs_core::{
    DocumentKey, DocumentWrite, Error, ErrorKind, Expected, Filter, Guard, MessageId, NewEvent,
    Payload, ReadLog, ReadStream, SnapshotWrite,
};
use futures_util::StreamExt;
use serde_json::json;

use crate::store::cases::prelude::*;

cases! { "hostile":
    ids_of_streams_come_back_exactly_and_stay_apart,
    names_of_events_come_back_exactly_and_stay_apart,
    ids_of_documents_come_back_exactly_and_stay_apart,
    names_of_collections_stay_apart,
    names_of_consumers_and_subscriptions_stay_apart,
    texts_in_declared_fields_stay_apart,
    control_characters_are_refused_by_the_name_of_the_field,
    empty_names_are_refused_by_the_name_of_the_field,
    names_that_cannot_exist_match_nothing,
    names_of_fields_are_plain,
}

/// Short enough for every kind of name. Neighbours in the list are easily taken for one another.
pub(super) const NAMES: &[&str] = &[
    "17",
    "1",
    "171",
    "17 ",
    " 17",
    "17/1",
    "a/b",
    "a",
    "A",
    "aB",
    "Ab",
    "ab",
    "\"",
    "'",
    "''",
    "`",
    "\\",
    "\\\\",
    "\\0",
    "\\u0000",
    "%",
    "%%",
    "_",
    "__",
    "1%",
    "1_",
    "$",
    "$set",
    "$$ROOT",
    "a.b",
    "a.",
    ".a",
    ".",
    "..",
    "{}",
    "[]",
    "null",
    "NULL",
    "undefined",
    "true",
    "0",
    "-1",
    "1e3",
    "(",
    "*",
    "?",
    ";",
    "; DROP TABLE events; --",
    "' OR '1'='1",
    "x'); DELETE FROM events; --",
    "/*",
    "#",
    "&",
    "<script>",
    "\u{e9}",
    "e\u{301}",
    "E\u{301}",
    "ß",
    "ss",
    "SS",
    "ı",
    "i",
    "I",
    "İ",
    "\u{3a9}",
    "\u{2126}",
    "ﬁ",
    "fi",
    "日本語",
    "🦀",
    "👨\u{200d}👩\u{200d}👧",
    "\u{200b}",
    "\u{feff}",
    "\u{202e}abc",
    "\u{a0}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{10ffff}",
    "a:b",
    "a|b",
    "a,b",
    "a-b",
    "a=b",
    "a@b",
    "a+b",
    "~",
    "^",
];

/// All names, and a long one with its prefix.
pub(super) fn ids(limit: usize) -> Vec<String> {
    let long = "x".repeat(limit.min(1_000));
    let mut ids = NAMES.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    ids.extend([long[..long.len() - 1].to_owned(), long]);
    ids
}

async fn ids_of_streams_come_back_exactly_and_stay_apart(t: Probe) {
    let ids = ids(t.limits().id);
    for (n, id) in ids.iter().enumerate() {
        let event = NewEvent { payload: Payload::Json(body(&json!(n))), ..event("bank.opened") };
        t.applied(appends(&account(id), Expected::NoStream, vec![event])).await;
    }
    for (n, id) in ids.iter().enumerate() {
        let filter = Filter { streams: vec![account(id)], ..Filter::default() };
        let filtered = t.log_of(ReadLog::after(0).filter(filter)).await;
        for seen in [t.stream(&account(id)).await, filtered] {
            assert_eq!(seen.len(), 1, "the stream {id:?} holds what was written for it");
            assert_eq!((&seen[0].stream.id, &seen[0].body), (id, &Body::Json(json!(n))));
        }
        let error = t.refused(appends(&account(id), Expected::Exactly(7), events(1))).await;
        assert_stream_at(&error, &account(id), 1, "a conflict names the stream as it is");
    }
}

async fn names_of_events_come_back_exactly_and_stay_apart(t: Probe) {
    for (n, &name) in NAMES.iter().enumerate() {
        let stream = StreamId::new(name, "1").with_tenant(name);
        let mut commit = appends(&stream, Expected::NoStream, vec![tagged(name, &[name])]);
        commit.appends[0].events[0].payload = Payload::Json(body(&json!(n)));
        t.applied(commit).await;
    }
    for (n, &name) in NAMES.iter().enumerate() {
        let filters = [
            ("type", Filter { types: vec![name.into()], ..Filter::default() }),
            ("category", Filter { categories: vec![name.into()], ..Filter::default() }),
            ("tag", Filter { tags: vec![name.to_owned()], ..Filter::default() }),
            ("tenant", Filter { tenant: Some(name.into()), ..Filter::default() }),
        ];
        for (what, filter) in filters {
            let seen = t.log_of(ReadLog::after(0).filter(filter)).await;
            assert_eq!(seen.len(), 1, "one event has the {what} {name:?}: {seen:?}");
            assert_eq!(seen[0].body, Body::Json(json!(n)), "the one of the {what} {name:?}");
            assert_eq!(seen[0].event_type, name, "its type");
            assert_eq!(seen[0].tags, [name], "its tag");
            assert_eq!(seen[0].stream, StreamId::new(name, "1").with_tenant(name), "its stream");
        }
    }
}

async fn ids_of_documents_come_back_exactly_and_stay_apart(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let mut ids = ids(t.limits().id);
    for (n, id) in ids.iter().enumerate() {
        t.applied(writes(vec![put(id, Expected::NoStream, &json!({ "n": n }))])).await;
    }
    for (n, id) in ids.iter().enumerate() {
        let document = t.tutor(id).await.unwrap_or_else(|| panic!("no document {id:?}"));
        assert_eq!((&document.id, document.version), (id, 1), "the document {id:?}");
        let says: serde_json::Value = document.body.decode().expect("it is JSON");
        assert_eq!(says, json!({ "n": n }), "the document {id:?}");
    }
    ids.sort();
    let found = t.found(FindDocuments::all(TUTOR).limit(1_000)).await;
    assert_eq!(found, ids, "all of them, in the order of their bytes");
}

async fn names_of_collections_stay_apart(t: Probe) {
    for &name in NAMES {
        t.declared(Collection::new(name).indexed("n")).await;
    }
    for (n, &name) in NAMES.iter().enumerate() {
        let key = DocumentKey::new(name, "17").with_tenant("acme");
        let put = DocumentWrite::put(key, Expected::NoStream, body(&json!({ "n": n })));
        t.applied(writes(vec![put])).await;
    }
    for (n, &name) in NAMES.iter().enumerate() {
        let find = FindDocuments::by(name, "n", n as i64).with_tenant("acme");
        assert_eq!(t.found(find).await, ["17"], "the collection {name:?} holds its own");
    }
}

async fn names_of_consumers_and_subscriptions_stay_apart(t: Probe) {
    let (names, message) = (ids(t.limits().id), MessageId::fresh());
    let mut at = Vec::new();
    for name in &names {
        let head = t.applied(grows(&account("1"), 1)).await;
        let checkpoint = Some(moves(name, 0, head));
        let inbox = vec![mark(name, message, None)];
        at.push(t.applied(Commit { checkpoint, inbox, ..Commit::default() }).await);
    }
    for (name, position) in names.iter().zip(at) {
        assert_eq!(t.stands(name, 0).await, Some(position), "the checkpoint of {name:?}");
        let entry = t.inbox(name, message).await.expect("the inbox can be read");
        let entry = entry.map(|entry| entry.position);
        assert_eq!(entry, Some(position), "the mark of {name:?}");
    }
}

async fn texts_in_declared_fields_stay_apart(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("name").indexed("city")).await;
    for (n, &name) in NAMES.iter().chain(&["", "two\nlines", "\t"]).enumerate() {
        t.applied(puts(&format!("{n:03}"), &json!({ "name": name, "city": name }))).await;
    }
    for (n, &name) in NAMES.iter().chain(&["", "two\nlines", "\t"]).enumerate() {
        for field in ["name", "city"] {
            let found = t.found(FindDocuments::by(TUTOR, field, name)).await;
            assert_eq!(found, [format!("{n:03}")], "found by {field} {name:?}");
        }
    }
}

/// A commit for every place where a name goes, and the field that an error must name.
fn everywhere(name: &str) -> Vec<(&'static str, Commit)> {
    let one = |event: NewEvent| appends(&account("1"), Expected::Any, vec![event]);
    let document =
        |key: DocumentKey| writes(vec![DocumentWrite::put(key, Expected::Any, body(&json!({})))]);
    let guard = |guard| Commit { guards: vec![guard], ..grows(&account("1"), 1) };
    let content = Payload::Binary { content_type: name.to_owned().into(), bytes: b"x"[..].into() };
    let marked = vec![mark(name, MessageId::fresh(), None)];
    let forgets = |stream| Commit {
        snapshots: vec![SnapshotWrite::Forget { stream }],
        ..grows(&account("1"), 1)
    };
    vec![
        ("tenant", grows(&account("1").with_tenant(name), 1)),
        ("category", grows(&StreamId::new(name.to_owned(), "1"), 1)),
        ("stream", grows(&account(name), 1)),
        ("event_type", one(event(name))),
        ("tag", one(tagged("bank.opened", &["red", name]))),
        ("content_type", one(NewEvent { payload: content, ..event("bank.opened") })),
        ("tenant", document(key("17").with_tenant(name))),
        ("collection", document(DocumentKey::new(name.to_owned(), "17"))),
        ("document", document(key(name))),
        ("stream", guard(Guard::Stream { stream: account(name), expected: Expected::Any })),
        ("document", guard(Guard::Document { key: key(name), expected: Expected::Any })),
        ("stream", forgets(account(name))),
        ("tenant", forgets(account("1").with_tenant(name))),
        ("consumer", Commit { inbox: marked, ..grows(&account("1"), 1) }),
        ("subscription", Commit { checkpoint: Some(moves(name, 0, 0)), ..Commit::default() }),
    ]
}

async fn control_characters_are_refused_by_the_name_of_the_field(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    for name in ["\0", "a\0b", "a\n", "\u{1f}", "a\u{7f}", "\u{85}"] {
        for (field, commit) in everywhere(name) {
            assert_invalid(&t.refused(commit).await, field, &format!("{name:?} as a {field}"));
        }
        let error = t.declare(Collection::new(name)).await.expect_err("a control character");
        assert_invalid(&error, "collection", &format!("{name:?} as a collection"));
    }
}

async fn empty_names_are_refused_by_the_name_of_the_field(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    for (field, commit) in everywhere("") {
        assert_invalid(&t.refused(commit).await, field, &format!("an empty {field}"));
    }
    let error = t.declare(Collection::new("")).await.expect_err("an empty name");
    assert_invalid(&error, "collection", "an empty collection");
}

/// Nothing there, or an error that says that the name is to blame.
#[track_caller]
pub(super) fn assert_nothing<T: std::fmt::Debug>(answer: Result<Option<T>, Error>, why: &str) {
    match answer {
        Ok(found) => assert!(found.is_none(), "{why}: {found:?}"),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{why}: {error:?}");
        }
    }
}

async fn names_that_cannot_exist_match_nothing(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    t.applied(appends(&account("1"), Expected::Any, vec![tagged("bank.opened", &["red"])])).await;
    t.applied(puts("17", &json!({}))).await;
    for name in ["", "a\0b", "\n"] {
        let filters = [
            Filter { types: vec![name.into()], ..Filter::default() },
            Filter { categories: vec![name.into()], ..Filter::default() },
            Filter { tags: vec![name.to_owned()], ..Filter::default() },
            Filter { tenant: Some(name.into()), ..Filter::default() },
            Filter { streams: vec![account(name)], ..Filter::default() },
            Filter { streams: vec![account("1").with_tenant(name)], ..Filter::default() },
        ];
        for filter in filters {
            let seen = t.log_of(ReadLog::after(0).filter(filter.clone())).await;
            assert!(seen.is_empty(), "{filter:?} matches nothing, not {seen:?}");
        }
        for stream in [account(name), account("1").with_tenant(name)] {
            let page = t.read_stream(ReadStream::of(stream.clone())).next().await.transpose();
            assert_nothing(page, &format!("the stream {stream:?} does not exist"));
        }
        for key in [key(name), key("17").with_tenant(name)] {
            assert_nothing(t.document(&key).await, &format!("{key:?} does not exist"));
        }
        let find = FindDocuments::all(TUTOR).with_tenant(name);
        let found = t.find_documents(find).await.map(|found| found.into_iter().next());
        assert_nothing(found, &format!("the tenant {name:?} has no documents"));
    }
}

async fn names_of_fields_are_plain(t: Probe) {
    for field in ["", "a b", "a.b", "$a", "a'", "a\"", "é", "a\0", "a-b", "a->b"] {
        let error = t.declare(Collection::new(TUTOR).indexed(field.to_owned())).await;
        let error = error.expect_err("a field that is no plain name");
        assert_invalid(&error, "field", &format!("the field {field:?}"));
    }
    let twice = Collection::new(TUTOR).indexed("city").unique("city");
    let error = t.declare(twice).await.expect_err("a field declared twice");
    assert_invalid(&error, "field", "a field declared twice");
    let error = t.find_documents(FindDocuments::all(TUTOR)).await;
    assert_invalid(&error.expect_err("nothing was declared"), "collection", "refused above");
}
