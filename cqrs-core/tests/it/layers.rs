//! Layers: what passes through them, what they add, what they refuse.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::layer::{
    Authorize, ConcurrencyLimit, Handled, Next, Observe, Observer, Outcome, Retry, Timeout, Trace,
    Validate, around,
};
use cqrs_core::{
    Answer, AnyRequest, App, AppBuilder, Clock, Command, Envelope, Error, ErrorKind, Failure,
    Handler, ManualClock, Mediator, MessageId, Metadata, Query, RawRequest, Rejection, Request,
    RequestKind, Res, Timestamp, Wire,
};
use serde::{Deserialize, Serialize};
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;

#[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[error("not today")]
pub(crate) struct NotToday;

impl Rejection for NotToday {
    fn code(&self) -> &'static str {
        "test.not_today"
    }
    fn field(&self) -> Option<&str> {
        Some("n")
    }
}

/// 0: rejected, 1: panics, 2: never answered, otherwise doubled.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Double {
    n: u64,
}

impl Query for Double {}
impl Request for Double {
    const NAME: &'static str = "test.double";
    const KIND: RequestKind = RequestKind::Query;
    type Output = u64;
    type Error = NotToday;
    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }
    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

async fn double(d: Double) -> Result<u64, NotToday> {
    match d.n {
        0 => Err(NotToday),
        1 => panic!("one"),
        2 => std::future::pending().await,
        n => Ok(n * 2),
    }
}

pub(crate) fn failed<T: std::fmt::Debug, E: std::fmt::Debug>(
    answer: Result<T, Failure<E>>,
) -> ErrorKind {
    match answer {
        Err(Failure::Failed(error)) => error.kind().clone(),
        other => panic!("{other:?}"),
    }
}

fn layered() -> AppBuilder {
    App::builder()
        .handler(double)
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
}

fn layered_for_one() -> AppBuilder {
    let layers = tower::ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(TimeoutLayer::new(Duration::from_secs(1)));
    App::builder().handler(double).layer_for::<Double, _>(layers)
}

#[tokio::test(start_paused = true)]
async fn outputs_rejections_and_errors_keep_their_types() {
    for builder in [layered(), layered_for_one()] {
        let app = builder.build().unwrap();
        assert_eq!(app.ask(Double { n: 4 }).await.unwrap(), 8);
        let refused = app.ask(Double { n: 0 }).await;
        assert!(matches!(refused, Err(Failure::Rejected(NotToday))));
        assert_eq!(failed(app.ask(Double { n: 1 }).await), ErrorKind::Panicked);
        assert_eq!(failed(app.ask(Double { n: 2 }).await), ErrorKind::DeadlineExceeded);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_by_name_pass_through_the_same_layers() {
    for builder in [layered(), layered_for_one()] {
        let app = builder.build().unwrap();
        let call = |n: u64| app.dispatch(RawRequest::new("test.double", format!(r#"{{"n":{n}}}"#)));
        assert_eq!(&call(4).await.unwrap().body[..], b"8");
        let Err(Failure::Rejected(no)) = call(0).await else { panic!() };
        assert_eq!((no.code, no.field.as_deref()), ("test.not_today", Some("n")));
        assert_eq!(&no.body[..], b"null");
        assert_eq!(failed(call(1).await), ErrorKind::Panicked);
        assert_eq!(failed(call(2).await), ErrorKind::DeadlineExceeded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_sees_that_the_next_one_is_not_ready() {
    for builder in [layered(), layered_for_one()] {
        let app = builder.build().unwrap();
        let (slow, shed) = tokio::join!(app.ask(Double { n: 2 }), app.ask(Double { n: 4 }));
        assert_eq!(failed(slow), ErrorKind::DeadlineExceeded);
        assert_eq!(failed(shed), ErrorKind::Overloaded);
        assert_eq!(app.ask(Double { n: 4 }).await.unwrap(), 8, "the permit came back");
    }
}

#[tokio::test]
async fn the_first_layer_is_the_outermost() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let seen = seen.clone();
        around(move |request: AnyRequest, next: Next| {
            seen.lock().unwrap().push(name);
            next.run(request)
        })
    };
    let app =
        App::builder().layer(note("first")).handler(double).layer(note("second")).build().unwrap();
    app.ask(Double { n: 3 }).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["first", "second"]);
}

#[tokio::test]
async fn a_layer_that_panics_is_an_error_of_the_call() {
    let broken = around(|request: AnyRequest, next: Next| async move {
        assert!(request.metadata.actor().is_some(), "nobody");
        next.run(request).await
    });
    let app = App::builder().handler(double).layer(broken).build().unwrap();
    assert_eq!(failed(app.ask(Double { n: 3 }).await), ErrorKind::Panicked);
}

#[tokio::test]
async fn a_layer_that_panics_is_seen_by_those_around_it() {
    let ends = Arc::new(Ends::default());
    let broken = around(|_: AnyRequest, _: Next| async move { panic!("a layer") });
    let builder = App::builder().handler(double).layer(Observe::with(ends.clone()));
    let app = builder.layer(broken).build().unwrap();
    assert_eq!(failed(app.ask(Double { n: 3 }).await), ErrorKind::Panicked);
    assert_eq!(*ends.0.lock().unwrap(), ["test.double Panicked"]);
}

#[tokio::test]
async fn a_layer_sees_a_typed_request_or_its_bytes() {
    let look = around(|request: AnyRequest, next: Next| async move {
        match (request.get::<Double>(), request.body()) {
            (Some(double), None) => assert_eq!(double.n, 7),
            (None, Some(body)) => assert_eq!(&body[..], br#"{"n":7}"#),
            _ => panic!("{request:?}"),
        }
        next.run(request).await
    });
    let app = App::builder().handler(double).layer(look).build().unwrap();
    assert_eq!(app.ask(Double { n: 7 }).await.unwrap(), 14);
    let reply = app.dispatch(RawRequest::new("test.double", r#"{"n":7}"#)).await.unwrap();
    assert_eq!(&reply.body[..], b"14");
}

#[tokio::test]
async fn a_field_to_blame_is_cut_and_escaped() {
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Counts {
        counts: std::collections::BTreeMap<String, u64>,
    }
    impl Query for Counts {}
    impl Request for Counts {
        const NAME: &'static str = "test.counts";
        const KIND: RequestKind = RequestKind::Query;
        type Output = usize;
        type Error = cqrs_core::Never;
        fn wire() -> Option<Wire<Self>> {
            Some(Wire::json())
        }
    }
    async fn counts(c: Counts) -> Result<usize, cqrs_core::Never> {
        Ok(c.counts.len())
    }
    let app = App::builder().handler(counts).build().unwrap();
    let key = format!("\\u001b[31m{}", "x".repeat(100_000));
    let body = format!(r#"{{"counts":{{"{key}":-1}}}}"#);
    let refused = failed(app.dispatch(RawRequest::new("test.counts", body)).await);
    let ErrorKind::Decode { field: Some(field), .. } = refused else { panic!("{refused:?}") };
    assert!(field.len() < 1_000 && !field.contains('\u{1b}'), "{field}");
}

#[tokio::test]
async fn a_layer_for_a_request_without_a_handler_is_a_problem() {
    let error = App::builder()
        .layer_for::<Double, _>(TimeoutLayer::new(Duration::from_secs(1)))
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("nobody handles `test.double`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_begins_nothing() {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    let timeout = Timeout::deadlines().clock(clock.clone());
    let app = App::builder().handler(double).layer(timeout).build().unwrap();
    let with = |deadline| Metadata::default().with_deadline(Timestamp::from_micros(deadline));
    let late = app.ask(Double { n: 1 }).with(with(1_000_000)).await;
    assert_eq!(failed(late), ErrorKind::DeadlineExceeded);
    let slow = app.ask(Double { n: 2 }).with(with(3_000_000)).await;
    assert_eq!(failed(slow), ErrorKind::DeadlineExceeded);
    assert_eq!(app.ask(Double { n: 3 }).with(with(3_000_000)).await.unwrap(), 6);
}

#[derive(Debug, Clone)]
struct Deadline;
impl Query for Deadline {}
impl Request for Deadline {
    const NAME: &'static str = "test.deadline";
    const KIND: RequestKind = RequestKind::Query;
    type Output = Option<Timestamp>;
    type Error = cqrs_core::Never;
}

struct Outer;
impl Query for Outer {}
impl Request for Outer {
    const NAME: &'static str = "test.outer";
    const KIND: RequestKind = RequestKind::Query;
    type Output = Option<Timestamp>;
    type Error = cqrs_core::Never;
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_sends_on_has_the_same_deadline() {
    async fn deadline(_: Deadline, m: Metadata) -> Result<Option<Timestamp>, cqrs_core::Never> {
        Ok(m.deadline())
    }
    async fn outer(
        _: Outer,
        app: Mediator,
    ) -> Result<Option<Timestamp>, Failure<cqrs_core::Never>> {
        app.ask(Deadline).await
    }
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let app = App::builder()
        .handler(deadline)
        .handler(outer)
        .layer(Timeout::after(Duration::from_secs(2)).clock(clock.clone()))
        .build()
        .unwrap();
    assert_eq!(
        app.ask(Outer).await.unwrap(),
        Some(clock.now().saturating_add(Duration::from_secs(2)))
    );
}

#[tokio::test]
async fn the_limit_refuses_and_recovers() {
    let app = App::builder().handler(double).layer(ConcurrencyLimit::at_most(1)).build().unwrap();
    let mut held = Box::pin(app.ask(Double { n: 2 }));
    assert!(futures_util::poll!(&mut held).is_pending());
    assert_eq!(failed(app.ask(Double { n: 3 }).await), ErrorKind::Overloaded);
    drop(held);
    assert_eq!(app.ask(Double { n: 3 }).await.unwrap(), 6);
}

#[tokio::test]
async fn authorisation_is_asked_before_anything_is_decoded() {
    fn nobody(_: &AnyRequest) -> cqrs_core::Result<()> {
        Err(Error::new(ErrorKind::Forbidden, "nobody may"))
    }
    let app = App::builder().handler(double).layer(Authorize::by(nobody)).build().unwrap();
    assert_eq!(failed(app.ask(Double { n: 3 }).await), ErrorKind::Forbidden);
    let broken = app.dispatch(RawRequest::new("test.double", "no json")).await;
    assert_eq!(failed(broken), ErrorKind::Forbidden);
}

#[tokio::test]
async fn a_check_beside_the_type_names_its_field() {
    let even = |d: &Double| match d.n % 2 {
        0 => Ok(()),
        _ => Err(Error::invalid_field("n", "even numbers only")),
    };
    let app = App::builder()
        .handler(double)
        .layer_for::<Double, _>(Validate::with(even))
        .build()
        .unwrap();
    let odd = app.ask(Double { n: 3 }).await;
    assert_eq!(failed(odd), ErrorKind::Invalid { field: Some("n".into()) });
    assert_eq!(app.ask(Double { n: 4 }).await.unwrap(), 8);
}

#[derive(Default)]
struct Ends(Mutex<Vec<String>>);

impl Observer for Ends {
    fn handled(&self, handled: &Handled<'_>) {
        let outcome = match &handled.outcome {
            Outcome::Answered => "answered".to_owned(),
            Outcome::Rejected { code } => (*code).to_owned(),
            Outcome::Failed(error) => format!("{:?}", error.kind()),
            _ => "abandoned".to_owned(),
        };
        self.0.lock().unwrap().push(format!("{} {outcome}", handled.name));
    }
}

#[tokio::test]
async fn every_end_is_observed_once() {
    let ends = Arc::new(Ends::default());
    let app = App::builder().handler(double).layer(Observe::with(ends.clone())).build().unwrap();
    for n in [3, 0, 1] {
        let _ = app.ask(Double { n }).await;
    }
    let mut held = Box::pin(app.ask(Double { n: 2 }));
    assert!(futures_util::poll!(&mut held).is_pending());
    drop(held);
    let seen = ends.0.lock().unwrap();
    let ended = ["answered", "test.not_today", "Panicked", "abandoned"];
    assert_eq!(*seen, ended.map(|end| format!("test.double {end}")));
}

#[tokio::test]
async fn the_trace_tells_names_ids_and_outcomes_and_no_payload() {
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    let app = App::builder().handler(double).layer(Trace::new()).build().unwrap();
    let guard = tracing::subscriber::set_default(subscriber);
    let id = MessageId::fresh();
    let metadata = Metadata::of(id).with_correlation("conversation").with_actor("ada");
    app.ask(Double { n: 987_654_321 }).with(metadata).await.unwrap();
    let _ = app.ask(Double { n: 0 }).await;
    let _ = app.ask(Double { n: 1 }).await;
    // What a decoder says of a body quotes it.
    let quoted = RawRequest::new("test.double", r#"{"n":"my secret"}"#);
    app.dispatch(quoted).await.expect_err("no number");
    drop(guard);
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    for told in ["test.double", "conversation", "ada", "answered", "test.not_today", "failed"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(text.contains(&id.to_string()), "{text}");
    assert!(!text.contains("987654321") && !text.contains("1975308642"), "{text}");
    assert!(!text.contains("my secret"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_command_of_unknown_outcome_is_tried_again_where_an_inbox_tells() {
    struct Told(AtomicU32);
    impl Handler<Flaky> for Told {
        const ANSWERS_REPEATS: bool = true;
        async fn handle(&self, _: Envelope<Flaky>) -> Answer<Flaky> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Error::new(ErrorKind::OutcomeUnknown, "the line broke").into()),
                n => Ok(n.into()),
            }
        }
    }
    let builder = App::builder().handler(Told(AtomicU32::new(0)));
    let app = builder.layer(Retry::attempts_at_most(3)).build().unwrap();
    let told = app.send(Flaky).with(Metadata::default().with_inbox("desk"));
    assert_eq!(told.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_must_run_once_is_not_tried_again_by_name_either() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Once;
    impl Command for Once {}
    impl Request for Once {
        const NAME: &'static str = "test.once";
        const KIND: RequestKind = RequestKind::Command;
        type Output = ();
        type Error = cqrs_core::Never;
        fn wire() -> Option<Wire<Self>> {
            Some(Wire::json())
        }
    }
    async fn once(
        _: Once,
        Res(runs): Res<Arc<AtomicU32>>,
    ) -> Result<(), Failure<cqrs_core::Never>> {
        runs.fetch_add(1, Ordering::Relaxed);
        Err(Error::new(ErrorKind::Unavailable, "later").into())
    }
    let runs = Arc::new(AtomicU32::new(0));
    let builder = App::builder().resource(runs.clone()).handler(once);
    let app = builder.layer(Retry::attempts_at_most(3)).build().unwrap();
    app.send(Once).await.unwrap_err();
    app.dispatch(RawRequest::new("test.once", "null")).await.unwrap_err();
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

/// Fails as often as the counter says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Flaky;
impl Command for Flaky {}
impl Request for Flaky {
    const NAME: &'static str = "test.flaky";
    const KIND: RequestKind = RequestKind::Command;
    type Output = u32;
    type Error = NotToday;
    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }
    fn again(&self) -> Option<Self> {
        Some(Self)
    }
}

#[derive(Clone)]
struct Failures {
    left: Arc<AtomicU32>,
    kind: ErrorKind,
    calls: Arc<AtomicU32>,
}

async fn flaky(_: Flaky, Res(f): Res<Failures>) -> Result<u32, Failure<NotToday>> {
    f.calls.fetch_add(1, Ordering::Relaxed);
    let left = f.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    match left {
        Ok(_) => Err(Error::new(f.kind, "it failed").into()),
        Err(_) => Ok(f.calls.load(Ordering::Relaxed)),
    }
}

fn flaky_app(left: u32, kind: ErrorKind) -> (App, Failures) {
    let failures = Failures { left: Arc::new(left.into()), kind, calls: Arc::default() };
    let builder = App::builder().resource(failures.clone()).handler(flaky);
    (builder.layer(Retry::attempts_at_most(3)).build().unwrap(), failures)
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_no_more_than_that() {
    let (app, _) = flaky_app(2, ErrorKind::Unavailable);
    assert_eq!(app.send(Flaky).await.unwrap(), 3);
    let (app, _) = flaky_app(2, ErrorKind::Overloaded);
    assert_eq!(&app.dispatch(RawRequest::new("test.flaky", "null")).await.unwrap().body[..], b"3");
    let (app, failures) = flaky_app(9, ErrorKind::Unavailable);
    assert_eq!(failed(app.send(Flaky).await), ErrorKind::Unavailable);
    assert_eq!(failures.calls.load(Ordering::Relaxed), 3);
    // Whether the command was applied is not known, and nobody would tell.
    for kind in [ErrorKind::OutcomeUnknown, ErrorKind::Internal] {
        let (app, failures) = flaky_app(9, kind.clone());
        assert_eq!(failed(app.send(Flaky).await), kind);
        assert_eq!(failures.calls.load(Ordering::Relaxed), 1);
    }
}
