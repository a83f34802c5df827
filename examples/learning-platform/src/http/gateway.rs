//! The gateway: an app's public requests and its log, behind one router.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cqrs_core::{App, Error, ErrorKind, Readiness, RequestKind, Store, Visibility};
use hyper::{HeaderMap, StatusCode};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::http::caller::{Caller, Identify};
use crate::http::problem::Problem;
use crate::http::stop::Stop;
use crate::http::tail::Tail;
use crate::http::token::AdminToken;
use crate::http::{admin, call, events, health, manifest, origin};

/// Puts an app on HTTP.
#[derive(Debug)]
#[must_use = "nothing is served until its router is"]
pub struct Gateway {
    app: App,
    store: Arc<dyn Store>,
    stop: Stop,
    identify: Option<Identify>,
    readiness: Option<Readiness>,
    admin: Option<AdminToken>,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) app: App,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) stop: Stop,
    identify: Option<Identify>,
    readiness: Option<Readiness>,
    /// What can be called from outside.
    requests: HashSet<(RequestKind, &'static str)>,
}

impl Gateway {
    /// The gateway of an app, whose log is in this store. Its streams end when the word to stop is
    /// given.
    pub fn new(app: App, store: Arc<dyn Store>, stop: Stop) -> Self {
        Self { app, store, stop, identify: None, readiness: None, admin: None }
    }

    /// `GET /health/ready` follows the runtime of the app. Default: it is ready until the stop.
    pub fn readiness(self, readiness: Readiness) -> Self {
        Self { readiness: Some(readiness), ..self }
    }

    /// `/admin` answers those who bring this token. Default, or with `None`: it is not there.
    pub fn admin(self, token: Option<AdminToken>) -> Self {
        Self { admin: token, ..self }
    }

    /// Finds out from the headers who calls. Default: nobody in particular.
    ///
    /// An error of `find` is the answer: best one of the kinds
    /// [`Unauthenticated`](cqrs_core::ErrorKind::Unauthenticated) and
    /// [`Forbidden`](cqrs_core::ErrorKind::Forbidden).
    pub fn identify(
        self,
        find: impl Fn(&HeaderMap) -> Result<Caller, Error> + Send + Sync + 'static,
    ) -> Self {
        Self { identify: Some(Identify::by(find)), ..self }
    }

    /// The routes, to which a service adds its own with [`Router::merge`]; those answer through the
    /// same [`finish`].
    pub fn router(self) -> Router {
        let Self { app, store, stop, identify, readiness, admin } = self;
        let shared = Arc::new(Shared {
            requests: public(&app).collect(),
            tail: Arc::new(Tail::of(Arc::clone(&store))),
            streams: Arc::new(Semaphore::new(events::STREAMS)),
            app,
            store,
            stop,
            identify,
            readiness,
        });
        let admin = admin.map(|token| Router::new().nest("/admin", admin::routes(token)));
        admin
            .unwrap_or_default()
            .route("/commands/{name}", post(call::command).fallback(only_post))
            .route("/queries/{name}", post(call::query).fallback(only_post))
            .route("/events", get(events::events).fallback(only_get))
            .route("/manifest", get(manifest::manifest).fallback(only_get))
            .route("/health", get(health::health).fallback(only_get))
            .route("/health/ready", get(health::ready).fallback(only_get))
            .with_state(shared)
    }
}

/// What every route has: a problem for what is not there, for a panic, and the headers of its
/// origin.
pub fn finish(router: Router) -> Router {
    router
        .fallback(not_found)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(origin::trace))
}

impl Shared {
    /// Whether a request of this kind and name can be called from outside.
    pub(crate) fn knows(&self, kind: RequestKind, name: &str) -> bool {
        self.requests.contains(&(kind, name))
    }

    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        self.identify.as_ref().map_or_else(|| Ok(Caller::default()), |find| find.caller(headers))
    }

    pub(crate) fn is_ready(&self) -> bool {
        let is_ready = self.readiness.as_ref().is_none_or(Readiness::is_ready);
        is_ready && !self.stop.is_given()
    }

    /// What the caller of a resource is told when the store cannot be read; what it is not told, the
    /// log is. (What goes wrong inside the app, the app's own layers log.)
    pub(crate) fn unreadable(&self, resource: &str, error: &Error) -> Problem {
        let problem = Problem::failed("", error);
        if problem.is_ours() {
            tracing::error!(resource, ?error, "the store could not be read");
        }
        problem
    }
}

fn public(app: &App) -> impl Iterator<Item = (RequestKind, &'static str)> {
    let requests = app.manifest().requests.iter().filter(|request| {
        request.visibility == Visibility::Public && request.content_type.is_some()
    });
    requests.map(|request| (request.kind, request.name))
}

pub(crate) async fn only_post() -> Problem {
    Problem::method_not_allowed("POST")
}

pub(crate) async fn only_get() -> Problem {
    Problem::only_get()
}

pub(crate) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

/// A handler's panic is an error of the app. This one is the gateway's own, and the log has it.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::failed("", &Error::new(ErrorKind::Panicked, "")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use cqrs_core::memory::MemoryStore;
    use cqrs_core::{Failure, Metadata, Never};
    use http_body_util::BodyExt;
    use serde::{Deserialize, Serialize};
    use tower::ServiceExt;

    use super::*;

    /// Who asks, as a handler knows it.
    #[derive(Clone, Serialize, Deserialize, cqrs_derive::Query)]
    #[query(name = "test.who", output = Option<String>, shared)]
    struct Who {}

    async fn who(_: Who, metadata: Metadata) -> Result<Option<String>, Failure<Never>> {
        Ok(metadata.actor().map(|actor| format!("{actor} of {:?}", metadata.tenant())))
    }

    fn router(gateway: impl FnOnce(Gateway) -> Gateway) -> Router {
        let store = Arc::new(MemoryStore::default());
        let app = App::builder().shared_store(store.clone()).handler(who).build().unwrap();
        let (_, stop) = Stop::new();
        finish(gateway(Gateway::new(app, store, stop)).router().route("/panics", get(panics)))
    }

    async fn panics() -> Problem {
        panic!("a route that is broken")
    }

    async fn answer(router: Router, request: Request) -> (u16, String) {
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        assert!(response.headers().contains_key("x-correlation-id"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn asks(token: &str) -> Request {
        let request = Request::post(format!("/queries/{}", <Who as cqrs_core::Request>::NAME))
            .header("content-type", "application/json")
            .header("authorization", token);
        request.body(Body::from("{}")).unwrap()
    }

    #[tokio::test]
    async fn who_calls_is_known_to_the_handler_or_refused() {
        let find = |headers: &HeaderMap| match headers["authorization"].to_str() {
            Ok("ada") => Ok(Caller { tenant: Some("acme".into()), actor: Some("ada".into()) }),
            Ok("eve") => Err(Error::new(ErrorKind::Forbidden, "not you")),
            _ => Err(Error::new(ErrorKind::Unauthenticated, "who are you?")),
        };
        let router = router(|gateway| gateway.identify(find));
        let (status, body) = answer(router.clone(), asks("ada")).await;
        assert_eq!((status, body.as_str()), (200, r#""ada of Some(\"acme\")""#));
        let (status, body) = answer(router.clone(), asks("eve")).await;
        assert!(status == 403 && body.contains(r#""code":"forbidden""#), "{status} {body}");
        let (status, body) = answer(router, asks("nobody")).await;
        assert!(status == 401 && body.contains(r#""code":"unauthenticated""#), "{status} {body}");
    }

    #[tokio::test]
    async fn nobody_in_particular_calls_unless_somebody_finds_out() {
        let (status, body) = answer(router(|gateway| gateway), asks("ada")).await;
        assert_eq!((status, body.as_str()), (200, "null"));
    }

    #[tokio::test]
    async fn a_route_that_panics_is_a_problem_like_others() {
        let request = Request::get("/panics").body(Body::empty()).unwrap();
        let (status, body) = answer(router(|gateway| gateway), request).await;
        assert!(status == 503 && body.contains(r#""code":"panicked""#), "{status} {body}");
    }
}
