//! `POST /commands/{name}` and `POST /queries/{name}`: calls by name, from the app's registry.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use cqrs_core::{Failure, RawRequest, RequestKind};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::http::gateway::Shared;
use crate::http::origin::Origin;
use crate::http::problem::Problem;
use crate::http::{body, idempotency};

type Name = Result<Path<String>, PathRejection>;

/// Sends a command.
pub(crate) async fn command(
    State(gateway): State<Arc<Shared>>,
    Extension(origin): Extension<Origin>,
    name: Name,
    request: Request,
) -> Result<Response, Problem> {
    call(&gateway, RequestKind::Command, &origin, name, request).await
}

/// Asks a query.
pub(crate) async fn query(
    State(gateway): State<Arc<Shared>>,
    Extension(origin): Extension<Origin>,
    name: Name,
    request: Request,
) -> Result<Response, Problem> {
    call(&gateway, RequestKind::Query, &origin, name, request).await
}

async fn call(
    gateway: &Shared,
    kind: RequestKind,
    origin: &Origin,
    name: Name,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let headers = head.headers;
    // Read in any case, so that the caller has said what it wants to say and hears the answer.
    let body = body::read(&headers, body).await;
    let name = match name {
        Ok(Path(name)) if gateway.knows(kind, &name) => name,
        _ => {
            let detail = "there is no request of this name that can be called from outside";
            return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_name", detail));
        }
    };
    body::must_be_json(&headers)?;
    let body = body?;
    let caller = gateway.caller(&headers).map_err(|error| Problem::failed(&name, &error))?;
    let mut metadata = caller.onto(origin.metadata());
    if kind == RequestKind::Command
        && let Some(key) = idempotency::key(&headers)?
    {
        metadata = metadata.with_local(key);
    }
    let request = RawRequest { kind: Some(kind), ..RawRequest::new(name.clone(), body) };
    match gateway.app.dispatch(request.with(metadata)).await {
        Ok(reply) => {
            let mut response = Response::new(Body::from(reply.body));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
            if let Some(position) = reply.position {
                gateway.tail.hint(position);
                headers.insert("x-position", HeaderValue::from(position));
            }
            Ok(response)
        }
        Err(Failure::Rejected(rejection)) => Err(Problem::rejected(&rejection)),
        Err(Failure::Failed(error)) => Err(Problem::failed(&name, &error)),
    }
}
