//! `/admin`: what those who look after the service see and do. Only with a token.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cqrs_core::{
    Error, ErrorKind, FindParked, Json, ParkedEntry, ParkedId, ParkedState, Payload,
    SubscriptionStatus,
};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::body;
use crate::http::gateway::{Shared, not_found, only_get, only_post};
use crate::http::problem::Problem;
use crate::http::token::{self, AdminToken};

/// Entries that a page has unless the caller says otherwise, and at most.
const PAGE: u32 = 100;
const PAGE_AT_MOST: u32 = 1_000;
/// Characters that a reason has at most.
const REASON: usize = 500;

/// The routes. Nothing is said to those who do not bring the token, not even what is there.
pub(crate) fn routes(token: AdminToken) -> Router<Arc<Shared>> {
    Router::new()
        .route("/subscriptions", get(subscriptions).fallback(only_get))
        .route("/parked", get(parked).fallback(only_get))
        .route("/parked/{id}/retry", post(retry).fallback(only_post))
        .route("/parked/{id}/discard", post(discard).fallback(only_post))
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

/// Shows how far the subscriptions are.
async fn subscriptions(State(gateway): State<Arc<Shared>>) -> Result<Response, Problem> {
    let listed = async { gateway.app.subscriptions()?.list().await };
    let listed = listed.await.map_err(|error| refused(&gateway, &error))?;
    Ok(answer(&Listed { items: listed.iter().map(subscription).collect(), next: None }))
}

/// A subscription, as it is shown: its state is a word, with the reason beside it.
fn subscription(status: &SubscriptionStatus) -> Value {
    // Texts and numbers: there is nothing in it that JSON cannot take.
    let mut shown = serde_json::to_value(status).unwrap_or_default();
    let state = shown["state"].take();
    shown["state"] = state["is"].clone();
    if let Some(why) = state.get("why") {
        shown["why"] = why.clone();
    }
    shown
}

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Lists what is set aside.
async fn parked(State(gateway): State<Arc<Shared>>, query: Pairs) -> Result<Response, Problem> {
    let pairs = query.map_err(|error| Problem::invalid("query", error.body_text()))?.0;
    let find = find(pairs)?;
    let limit = find.limit as usize;
    let found = async { gateway.app.parked()?.list(find).await };
    let found = found.await.map_err(|error| refused(&gateway, &error))?;
    let next = found.last().filter(|_| found.len() == limit).map(cursor);
    Ok(answer(&Listed { items: found.into_iter().map(Entry::from).collect(), next }))
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

type Id = Result<Path<String>, PathRejection>;

/// Asks for another attempt, with another body where there is one in the request.
async fn retry(
    State(gateway): State<Arc<Shared>>,
    id: Id,
    request: Request,
) -> Result<Response, Problem> {
    let mut fields = fields(request, &["body"]).await?;
    let id = parse(id)?;
    let parked = gateway.app.parked().map_err(|error| refused(&gateway, &error))?;
    let asked = match fields.remove("body") {
        None => parked.retry(&id).await,
        Some(body) => {
            let body =
                Json::encode(&body).map_err(|error| undecodable("body", error.to_string()))?;
            parked.edit(&id, Payload::Json(body)).await
        }
    };
    asked.map_err(|error| refused(&gateway, &error))?;
    Ok(answer(&json!({ "id": id.to_string(), "state": ParkedState::Retrying.name() })))
}

/// Gives an entry up.
async fn discard(
    State(gateway): State<Arc<Shared>>,
    id: Id,
    request: Request,
) -> Result<Response, Problem> {
    let fields = fields(request, &["reason"]).await?;
    let id = parse(id)?;
    let reason = fields.get("reason").and_then(Value::as_str);
    let reason = reason.ok_or_else(|| undecodable("reason", "`reason` is a text, and needed"))?;
    if !(1..=REASON).contains(&reason.chars().count()) {
        let detail = format!("a reason has 1 to {REASON} characters");
        return Err(Problem::invalid("reason", detail));
    }
    let discarded = async { gateway.app.parked()?.discard(&id, reason).await };
    discarded.await.map_err(|error| refused(&gateway, &error))?;
    Ok(answer(&json!({ "id": id.to_string(), "state": ParkedState::Discarding.name() })))
}

fn parse(id: Id) -> Result<ParkedId, Problem> {
    let parsed = id.ok().and_then(|Path(id)| id.parse().ok());
    parsed.ok_or_else(|| Problem::invalid("id", "an id is a position and a name: 17@mailer"))
}

/// The fields of the body, which may be left out as a whole. One that is not known is an error: who
/// mistypes `body` does not want the old one to be tried.
async fn fields(request: Request, known: &[&str]) -> Result<Map<String, Value>, Problem> {
    let (head, body) = request.into_parts();
    let body = body::read(&head.headers, body).await?;
    if body.is_empty() {
        return Ok(Map::new());
    }
    body::must_be_json(&head.headers)?;
    let fields: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "decode", error.to_string()))?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(undecodable(name, format!("{name:?} is not known here"))),
        None => Ok(fields),
    }
}

fn undecodable(field: &str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "decode", detail).with_field(Some(field))
}

fn refused(gateway: &Shared, error: &Error) -> Problem {
    match error.kind() {
        ErrorKind::UnknownName => {
            Problem::new(StatusCode::NOT_FOUND, "not_found", error.to_string())
        }
        _ => gateway.unreadable("admin", error),
    }
}

fn answer(value: &impl Serialize) -> Response {
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
