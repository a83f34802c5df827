//! What a suite says of stores that cannot be made, never answer, or do not offer something.

use std::future;
use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_testing::{Outcome, Suite, store_suite};

const CASE: &str = "commit::an_empty_commit_is_applied";

fn memory() -> Suite {
    store_suite("memory", || async { MemoryStore::default() })
}

#[test]
fn a_store_that_cannot_be_made_is_a_failure_with_its_reason() {
    let missing = |there: bool| async move {
        assert!(there, "no server at 127.0.0.1:1");
        MemoryStore::default()
    };
    let outcome = store_suite("missing", move || missing(false)).run(CASE);
    assert_eq!(outcome, Outcome::Failed("no server at 127.0.0.1:1".to_owned()));
}

#[test]
fn a_store_that_never_answers_is_a_failure_after_the_bound() {
    let suite = store_suite("stuck", future::pending::<MemoryStore>);
    let outcome = suite.bound(Duration::from_millis(50)).run(CASE);
    assert_eq!(outcome, Outcome::Failed("it was not done after 50ms".to_owned()));
}

#[test]
fn a_case_of_what_is_not_offered_is_ignored_with_the_reason() {
    let outcome = memory().run("durable::a_store_that_is_opened_anew_has_everything");
    assert_eq!(outcome, Outcome::Ignored("it lives in the memory of one process".to_owned()));
}

#[test]
fn a_case_that_does_not_exist_is_a_failure() {
    assert!(matches!(memory().run("commit::no_such_case"), Outcome::Failed(_)));
}

#[test]
fn every_case_has_a_group_and_a_name_of_its_own() {
    let mut names = memory().cases().collect::<Vec<_>>();
    assert!(names.iter().all(|name| name.split("::").count() == 2), "{names:?}");
    let cases = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases, "no two cases share a name");
}
