//! An HTTP client, and what it is answered.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing listens here, and nothing that asks for any free port gets this one.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Calls one service. Its clones call the same one, wherever that is now.
#[derive(Clone)]
pub(crate) struct Client {
    base: Arc<RwLock<String>>,
    http: hyper_util::client::legacy::Client<HttpConnector, Body>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// There is no answer, or none that is whole.
pub(crate) type Result<T> = std::result::Result<T, String>;

impl Client {
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self::at(format!("http://{address}"))
    }

    pub(crate) fn at(base: String) -> Self {
        Self {
            base: Arc::new(RwLock::new(base)),
            http: hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Whether it calls the same service.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.base, &other.base)
    }

    /// The service is to be killed. Nobody keeps a port for the dead: whoever called it there might get
    /// another one, of another test.
    pub(crate) fn go_nowhere(&self) {
        self.go_to(NOWHERE);
    }

    /// The service has started again.
    pub(crate) fn go_to(&self, address: SocketAddr) {
        *self.base.write().unwrap() = format!("http://{address}");
    }

    /// A JSON body, with more headers; the answer, or that there is none.
    pub(crate) async fn try_post(
        &self,
        path: &str,
        body: impl Into<Body>,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let response = self.begin(Method::POST, path, body.into(), headers).await?;
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("it hangs");
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        body: impl Into<Body>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let with = [("content-type", "application/json")];
        let headers: Vec<_> = with.iter().chain(headers).copied().collect();
        self.try_post(path, body, &headers).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).await
    }

    /// The same with the token of those who look after the service.
    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        let headers = [("authorization", format!("Bearer {token}"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.call_with(Method::GET, path, Body::empty(), &headers).await
    }

    /// A JSON body, or none, with that token.
    pub(crate) async fn post_as(&self, token: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = format!("Bearer {token}");
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.call_with(Method::POST, path, body, &headers).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str) -> Answer {
        self.call_with(method, path, Body::empty(), &[]).await
    }

    async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Body,
        headers: &[(&str, &str)],
    ) -> Answer {
        let (head, body) = self.begin(method, path, body, headers).await.unwrap().into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("it hangs");
        let body = body.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// The answer while it comes.
    pub(crate) async fn begin(
        &self,
        method: Method,
        path: &str,
        body: Body,
        headers: &[(&str, &str)],
    ) -> Result<Response<Incoming>> {
        let uri = format!("{}{path}", self.base.read().unwrap());
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = self.http.request(request.body(body).unwrap());
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        answered.expect("there is no answer").map_err(|error| error.to_string())
    }

    /// A command of the learning side.
    pub(crate) async fn command(&self, name: &str, body: &Value) -> Answer {
        self.post(&format!("/commands/learning.{name}"), body.to_string(), &[]).await
    }

    /// The same under a key.
    pub(crate) async fn keyed(&self, name: &str, body: &Value, key: &str) -> Answer {
        let path = format!("/commands/learning.{name}");
        self.post(&path, body.to_string(), &[("idempotency-key", key)]).await
    }

    /// A query by its whole name, which is answered.
    pub(crate) async fn ask(&self, name: &str, body: &Value) -> Value {
        self.post(&format!("/queries/{name}"), body.to_string(), &[]).await.ok()
    }

    /// A query of the learning side.
    pub(crate) async fn query(&self, name: &str, body: &Value) -> Answer {
        self.post(&format!("/queries/learning.{name}"), body.to_string(), &[]).await
    }
}

impl Answer {
    /// The output, after a request that was answered.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The problem, after a request that was not.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert!(self.header("x-correlation-id").is_some(), "every answer has one");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("urn:problem:{code}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for text in ["title", "detail"] {
            assert!(!problem[text].as_str().unwrap().is_empty(), "{text} in {problem}");
        }
        problem
    }

    /// The problem, with the field to blame.
    #[track_caller]
    pub(crate) fn blames(&self, status: u16, code: &str, field: &str) {
        let problem = self.problem(status, code);
        assert_eq!(problem["field"], field, "{problem}");
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Where the commit lies in the log.
    #[track_caller]
    pub(crate) fn position(&self) -> u64 {
        self.header("x-position").expect("nothing was written").parse().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
