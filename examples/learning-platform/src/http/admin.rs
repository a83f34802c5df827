//! `/admin`: what those who look after the service see and do. Only with a token.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cqrs_core::{FindParked, ParkedEntry, ParkedId, ParkedState};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

use crate::http::gateway::{Shared, not_found, only_get};
use crate::http::problem::Problem;
use crate::http::token::{self, AdminToken};

/// Entries that a page has unless the caller says otherwise, and at most.
const PAGE: u32 = 100;
const PAGE_AT_MOST: u32 = 1_000;

/// The routes. Nothing is said to those who do not bring the token, not even what is there.
pub(crate) fn routes(token: AdminToken) -> Router<Arc<Shared>> {
    Router::new()
        .route("/parked", get(parked).fallback(only_get))
        .fallback(not_found)
        .layer(from_fn_with_state(token, token::guard))
}

/// A page of something.
#[derive(Serialize)]
struct Listed<T> {
    items: Vec<T>,
    /// What to ask `after` for the next page; `None`: this is the last one.
    next: Option<String>,
}

/// An entry that is set aside, as it is shown.
#[derive(Serialize)]
struct Entry {
    id: String,
    subscription: String,
    position: u64,
    partition: u32,
    key: String,
    message: String,
    state: &'static str,
    cause: String,
    attempts: u32,
    since: String,
    due: Option<String>,
    is_edited: bool,
}

impl From<ParkedEntry> for Entry {
    fn from(entry: ParkedEntry) -> Self {
        Self {
            id: entry.id().to_string(),
            state: entry.state.name(),
            since: entry.since.to_string(),
            due: entry.due.map(|due| due.to_string()),
            is_edited: entry.edited.is_some(),
            subscription: entry.subscription,
            position: entry.position,
            partition: entry.partition,
            key: entry.key,
            message: entry.message,
            cause: entry.cause,
            attempts: entry.attempts,
        }
    }
}

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Lists what is set aside.
async fn parked(State(gateway): State<Arc<Shared>>, query: Pairs) -> Result<Response, Problem> {
    let pairs = query.map_err(|error| Problem::invalid("query", error.body_text()))?.0;
    let find = find(pairs)?;
    let limit = find.limit as usize;
    let found = gateway.store.parked(find).await;
    let found = found.map_err(|error| gateway.unreadable("admin", &error))?;
    let next = found.last().filter(|_| found.len() == limit).map(cursor);
    Ok(json(&Listed { items: found.into_iter().map(Entry::from).collect(), next }))
}

/// What is to be found, as the query of the address says it.
fn find(pairs: Vec<(String, String)>) -> Result<FindParked, Problem> {
    let mut find = FindParked::default().limit(PAGE);
    let mut seen = Vec::new();
    for (name, value) in pairs {
        match &*name {
            "subscription" => find.subscription = Some(value),
            "state" => find.state = Some(state(&value)?),
            "limit" => find.limit = limit(&value)?,
            "after" => find.after = Some(after(&value)?),
            _ => continue,
        }
        if seen.contains(&name) {
            return Err(Problem::invalid(&name, "it is given once"));
        }
        seen.push(name);
    }
    Ok(find)
}

fn state(name: &str) -> Result<ParkedState, Problem> {
    ParkedState::named(name).ok_or_else(|| {
        let names = ParkedState::ALL.map(ParkedState::name).join(", ");
        Problem::invalid("state", format!("a state is one of {names}"))
    })
}

fn limit(text: &str) -> Result<u32, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_AT_MOST).contains(limit));
    limit.ok_or_else(|| {
        Problem::invalid("limit", format!("a limit is a whole number from 1 to {PAGE_AT_MOST}"))
    })
}

/// Where a page ends: the id of its last entry, and its key, for an event may have several entries.
fn cursor(last: &ParkedEntry) -> String {
    format!("{}\n{}", last.id(), last.key)
}

fn after(cursor: &str) -> Result<(String, u64, String), Problem> {
    // After an id alone: after all entries of that event.
    let (id, key) = cursor.split_once('\n').unwrap_or((cursor, "\u{10ffff}"));
    let id: ParkedId = id.parse().map_err(|_| {
        Problem::invalid("after", "it is what `next` said, or an id such as 17@mailer")
    })?;
    Ok((id.subscription, id.position, key.to_owned()))
}

fn json(value: &impl Serialize) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    // Texts and numbers: there is nothing in it that JSON cannot take.
    (headers, Body::from(serde_json::to_vec(value).unwrap_or_default())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pairs: &[(&str, &str)]) -> Result<FindParked, Problem> {
        find(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_query_says_what_to_find() {
        assert_eq!(found(&[]).unwrap(), FindParked::default());
        let all = [
            ("subscription", "mailer"),
            ("state", "parked"),
            ("limit", "7"),
            ("after", "17@mailer\naccount-4"),
            ("what", "else"),
        ];
        let expected = FindParked {
            subscription: Some("mailer".into()),
            state: Some(ParkedState::Parked),
            limit: 7,
            after: Some(("mailer".into(), 17, "account-4".into())),
            ..FindParked::default()
        };
        assert_eq!(found(&all).unwrap(), expected);
        let id_alone = found(&[("after", "17@mailer")]).unwrap().after.unwrap();
        assert!(id_alone > ("mailer".into(), 17, "zebra".into()));
        assert!(id_alone < ("mailer".into(), 18, String::new()));
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for pair in [("state", ""), ("limit", "0"), ("limit", "1001"), ("after", "17")] {
            assert_eq!(found(&[pair]).unwrap_err().code(), "invalid", "{pair:?}");
        }
        let twice = [("state", "parked"), ("state", "parked")];
        assert_eq!(found(&twice).unwrap_err().code(), "invalid");
    }
}
