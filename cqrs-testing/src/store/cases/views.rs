//! Derived documents: written as others are, and no part of what makes a repeat the same commit.

use cqrs_core::{Committed, DocumentWrite, Expected};
use serde_json::{Value, json};

use crate::store::cases::prelude::*;

cases! { "views":
    views_are_written_with_their_commit,
    a_commit_that_fails_leaves_no_view,
    a_view_is_held_to_its_expectation,
    a_repeat_with_other_views_is_the_same_commit_and_writes_none,
    a_document_is_no_view_of_the_same_commit,
    views_are_found_by_their_fields,
}

/// An append, and a view.
fn projects(n: u64, view: DocumentWrite) -> Commit {
    let expected = if n == 0 { Expected::NoStream } else { Expected::Exactly(n) };
    Commit { views: vec![view], ..appends(&account("a"), expected, events(1)) }
}

fn counts(n: u64, expected: Expected) -> DocumentWrite {
    put("view", expected, &json!({ "n": n }))
}

async fn declared(t: &Probe) {
    t.declared(Collection::new(TUTOR).indexed("n")).await;
}

async fn views_are_written_with_their_commit(t: Probe) {
    declared(&t).await;
    t.applied(projects(0, counts(1, Expected::NoStream))).await;
    t.applied(projects(1, counts(2, Expected::Exactly(1)))).await;
    let both =
        Commit { documents: vec![put("17", Expected::NoStream, &json!({}))], ..Commit::default() };
    let both = Commit { views: vec![counts(3, Expected::Exactly(2))], ..both };
    t.applied(both).await;
    let view = t.tutor("view").await.expect("the view is there");
    assert_eq!(view.version, 3, "the version of a view");
    assert!(t.tutor("17").await.is_some(), "the document beside it");
    t.applied(projects(2, DocumentWrite::delete(key("view"), Expected::Exactly(3)))).await;
    assert_eq!(t.tutor("view").await, None, "a view that was deleted");
}

async fn a_commit_that_fails_leaves_no_view(t: Probe) {
    declared(&t).await;
    let late = projects(7, counts(1, Expected::NoStream));
    let error = t.refused(late).await;
    assert_stream_at(&error, &account("a"), 0, "an append that does not hold");
    assert_eq!(t.tutor("view").await, None, "nothing of it is written");
}

async fn a_view_is_held_to_its_expectation(t: Probe) {
    declared(&t).await;
    t.applied(projects(0, counts(1, Expected::NoStream))).await;
    let late = projects(1, counts(2, Expected::NoStream));
    let error = t.refused(late).await;
    assert_document_at(&error, &key("view"), 1, "a view that is there");
    assert_eq!(t.end().await, 1, "no event of it is written");
}

async fn a_repeat_with_other_views_is_the_same_commit_and_writes_none(t: Probe) {
    declared(&t).await;
    let first = projects(0, counts(1, Expected::NoStream));
    t.applied(first.clone()).await;
    t.applied(projects(1, counts(2, Expected::Exactly(1)))).await;
    for views in [vec![counts(9, Expected::Exactly(2))], Vec::new(), first.views.clone()] {
        let again = t.commit(Commit { views, ..first.clone() }).await;
        let before = Committed::Before { position: 1, reply: None };
        assert_eq!(again.expect("it is a repeat"), before, "whatever its views are");
    }
    let view = t.tutor("view").await.expect("the view is there");
    let says = view.body.decode::<Value>().expect("it is JSON");
    assert_eq!(says, json!({ "n": 2 }), "the views of a repeat are not written");
}

async fn a_document_is_no_view_of_the_same_commit(t: Probe) {
    declared(&t).await;
    let twice = Commit {
        documents: vec![counts(1, Expected::NoStream)],
        views: vec![counts(2, Expected::NoStream)],
        ..Commit::default()
    };
    let error = t.refused(twice).await;
    assert_invalid(&error, "documents", "a document that is a view as well");
    assert_eq!(t.tutor("view").await, None, "nothing of it is written");
}

async fn views_are_found_by_their_fields(t: Probe) {
    declared(&t).await;
    t.applied(projects(0, counts(1, Expected::NoStream))).await;
    t.applied(projects(1, counts(2, Expected::Exactly(1)))).await;
    let by = |n: i64| FindDocuments::by(TUTOR, "n", n);
    assert_eq!(t.found(by(2)).await.len(), 1, "by the value of now");
    assert!(t.found(by(1)).await.is_empty(), "not by the one of before");
}
