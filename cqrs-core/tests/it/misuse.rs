//! What must be refused before it does harm: unreadable events, past states, work used wrongly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Aggregate, Answer, App, At, BoxError, Command, Context, Decide, Decision, Entity, Envelope,
    Error, ErrorKind, Event, EventType, Failure, Handler, Json, Metadata, Never, Problem, Query,
    RawRequest, Repository, Request, RequestKind, Res, Result, Store, Wire, Work,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mixed {
    Right { level: f64 },
    Other { level: f64 },
    Renamed {},
}

impl Event for Mixed {
    const TYPES: &'static [EventType] = &[
        EventType::new("mixed.right", "right"),
        EventType::new("mixed.other", "other"),
        EventType::new("mixed.renamed", "Renamed"),
    ];

    fn event_type(&self) -> &'static EventType {
        match self {
            // Wrong for `Other`: it would be read as `Right`.
            Self::Right { .. } | Self::Other { .. } => &Self::TYPES[0],
            // Wrong name: serde calls it `renamed`.
            Self::Renamed {} => &Self::TYPES[2],
        }
    }
}

#[derive(Debug, Default)]
struct Gauge(f64);

impl Aggregate for Gauge {
    const CATEGORY: &'static str = "gauge";
    type Id = u32;
    type Event = Mixed;

    fn apply(&mut self, event: &Mixed) {
        if let Mixed::Right { level } | Mixed::Other { level } = event {
            self.0 = *level;
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Set {
    level: u32,
}

impl Command for Set {}

impl Request for Set {
    const NAME: &'static str = "gauge.set";
    const KIND: RequestKind = RequestKind::Command;
    type Output = ();
    type Error = Never;

    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }

    fn validate(&self) -> Result<()> {
        assert_ne!(self.level, 666, "a validation that panics");
        if self.level > 100 {
            return Err(Error::invalid_field("level", "0 to 100"));
        }
        Ok(())
    }

    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Decide<Set> for Gauge {
    fn target(_: &Set) -> u32 {
        1
    }

    fn decide(&self, c: &Set, _: &Context<'_>) -> Result<Decision<Mixed>, Never> {
        Ok(Decision::event(Mixed::Right { level: f64::from(c.level) }))
    }
}

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

#[tokio::test]
async fn an_event_that_could_not_be_read_again_is_not_recorded() -> Result<(), BoxError> {
    let store = store();
    for event in [Mixed::Other { level: 1.0 }, Mixed::Renamed {}, Mixed::Right { level: f64::NAN }]
    {
        let work = Work::new(store.clone(), Metadata::default());
        let mut gauge = work.load::<Gauge>(&1).await?;
        let error = work.record(&mut gauge, [event.clone()]).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Internal, "{event:?}: {error}");
        work.commit().await?;
    }
    assert_eq!(store.head().await?.position, 0);
    Ok(())
}

#[tokio::test]
async fn nothing_is_recorded_on_a_state_of_the_past() -> Result<(), BoxError> {
    let store = store();
    let gauges = Repository::<Gauge>::new(store.clone());
    gauges.execute(&Set { level: 1 }, &Metadata::default()).await?;
    let mut past = gauges.load_at(&1, At::Version(1)).await?;
    let work = Work::new(store, Metadata::default());
    assert!(work.record(&mut past, [Mixed::Right { level: 2.0 }]).is_err());
    assert!(work.guard(&past).is_err());
    Ok(())
}

#[tokio::test]
async fn a_repository_of_a_tenant_writes_to_that_tenant() -> Result<(), BoxError> {
    let store = store();
    let north = Repository::<Gauge>::new(store.clone()).of_tenant("north");
    north.execute(&Set { level: 1 }, &Metadata::default()).await?;
    assert_eq!(north.load(&1).await?.version(), 1);
    assert_eq!(Repository::<Gauge>::new(store).load(&1).await?.version(), 0);
    let other = north.execute(&Set { level: 2 }, &Metadata::default().with_tenant("south")).await;
    assert!(
        matches!(other, Err(Failure::Failed(e)) if matches!(e.kind(), ErrorKind::Invalid { .. }))
    );
    Ok(())
}

#[tokio::test]
async fn a_handler_without_an_inbox_says_so() -> Result<(), BoxError> {
    struct Own;
    impl Handler<Set> for Own {
        async fn handle(&self, _: Envelope<Set>) -> Answer<Set> {
            Ok(().into())
        }
    }
    let app = App::builder().handler(Own).build()?;
    app.send(Set { level: 1 }).await?;
    let once = app.send(Set { level: 1 }).with(Metadata::default().with_inbox("http")).await;
    let Err(Failure::Failed(error)) = once else { panic!("the inbox was ignored") };
    assert_eq!(*error.kind(), ErrorKind::Unsupported { part: "inbox" });
    Ok(())
}

#[tokio::test]
async fn a_panic_outside_the_async_part_is_an_error_too() -> Result<(), BoxError> {
    struct Eager;
    impl Handler<Set> for Eager {
        fn handle(&self, _: Envelope<Set>) -> impl Future<Output = Answer<Set>> + Send {
            panic!("before there is a future");
            #[expect(unreachable_code, reason = "it gives the function its type")]
            async {
                Ok(().into())
            }
        }
    }
    let app = App::builder().handler(Eager).build()?;
    for level in [1, 666] {
        let Err(Failure::Failed(error)) = app.send(Set { level }).await else { panic!() };
        assert_eq!(*error.kind(), ErrorKind::Panicked);
    }
    Ok(())
}

#[tokio::test]
async fn what_comes_from_outside_is_cut_and_its_field_named() -> Result<(), BoxError> {
    let app = App::builder().store(MemoryStore::default()).decides::<Gauge, Set>().build()?;
    for (body, field) in [
        ("{}".to_owned(), Some("level")),
        (r#"{"level":"high"}"#.to_owned(), Some("level")),
        (r#"{"level":101}"#.to_owned(), Some("level")),
        ("[".to_owned(), None),
        (format!("\"{}\\n\"", "x".repeat(100_000)), None),
    ] {
        let Err(Failure::Failed(error)) =
            app.dispatch(RawRequest::new("gauge.set", body.clone())).await
        else {
            panic!("{body}");
        };
        let (ErrorKind::Decode { field: named, .. } | ErrorKind::Invalid { field: named }) =
            error.kind()
        else {
            panic!("{error:?}");
        };
        assert_eq!(named.as_deref(), field, "{error}");
        assert!(error.to_string().len() < 1_000 && !error.to_string().contains('\n'), "{error}");
    }
    Ok(())
}

#[test]
fn json_is_checked_as_strictly_as_it_is_read() {
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    for text in [deep.as_str(), r#""\ud800""#, "1e999", "{", "1 2", "nul"] {
        assert!(Json::parse(text).is_err(), "{text:.20}");
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct User {
    id: String,
    email: String,
}

impl Entity for User {
    const COLLECTION: &'static str = "user";
    const UNIQUE: &'static [&'static str] = &["email"];

    fn id(&self) -> String {
        self.id.clone()
    }
}

#[tokio::test]
async fn a_taken_value_is_met_with_one_rerun() -> Result<(), BoxError> {
    async fn register(
        c: Set,
        work: Work,
        Res(runs): Res<Arc<AtomicU32>>,
    ) -> Result<(), Failure<Never>> {
        runs.fetch_add(1, Ordering::SeqCst);
        Ok(work.insert(&User { id: c.level.to_string(), email: "a@example.org".into() })?)
    }
    let store = MemoryStore::default();
    store.declare(User::collection()).await?;
    let runs = Arc::new(AtomicU32::new(0));
    let app = App::builder().store(store).resource(runs.clone()).handler(register).build()?;
    app.send(Set { level: 1 }).await?;
    let Err(Failure::Failed(error)) = app.send(Set { level: 2 }).await else { panic!() };
    assert!(error.is_conflict(), "{error:?}");
    assert_eq!(runs.load(Ordering::SeqCst), 1 + 2);
    Ok(())
}

#[tokio::test]
async fn the_work_of_a_handler_is_not_committed_by_hand() -> Result<(), BoxError> {
    async fn impatient(_: Set, work: Work) -> Result<(), Failure<Never>> {
        let mut gauge = work.load::<Gauge>(&1).await?;
        work.record(&mut gauge, [Mixed::Right { level: 1.0 }])?;
        work.commit().await?;
        Ok(())
    }
    let store = MemoryStore::default();
    let app = App::builder().store(store.clone()).handler(impatient).build()?;
    assert!(app.send(Set { level: 1 }).await.is_err());
    assert_eq!(store.head().await?.position, 0, "it failed, and was applied");
    Ok(())
}

#[tokio::test]
async fn guards_are_checked_when_nothing_is_written() -> Result<(), BoxError> {
    let store = store();
    let gauges = Repository::<Gauge>::new(store.clone());
    for changed in [false, true] {
        let work = Work::new(store.clone(), Metadata::default());
        work.guard(&work.load::<Gauge>(&1).await?)?;
        if changed {
            gauges.execute(&Set { level: 1 }, &Metadata::default()).await?;
        }
        assert_eq!(work.commit().await.is_err(), changed);
    }
    Ok(())
}

struct Peek;

impl Query for Peek {}

impl Request for Peek {
    const NAME: &'static str = "gauge.peek";
    const KIND: RequestKind = RequestKind::Query;
    type Output = ();
    type Error = Never;
}

#[test]
fn a_query_that_would_write_is_found_out_at_build() {
    let builder = App::builder().store(MemoryStore::default());
    let error = builder.handler(async |_: Peek, _: Work| Ok::<_, Never>(())).build().unwrap_err();
    let expected = [Problem::QueryWrites { query: "gauge.peek" }];
    assert_eq!(*error.kind(), ErrorKind::Build(expected.to_vec()));
}

#[tokio::test]
async fn a_conflict_that_is_not_met_again_says_why() -> Result<(), BoxError> {
    struct Once;

    impl Command for Once {}

    impl Request for Once {
        const NAME: &'static str = "gauge.once";
        const KIND: RequestKind = RequestKind::Command;
        type Output = ();
        type Error = Never;
    }

    async fn once(_: Once, work: Work, store: Arc<dyn Store>) -> Result<(), Failure<Never>> {
        let mut gauge = work.load::<Gauge>(&1).await?;
        let rival = Repository::<Gauge>::new(store);
        rival.execute(&Set { level: 1 }, &Metadata::default()).await?;
        Ok(work.record(&mut gauge, [Mixed::Right { level: 2.0 }])?)
    }
    let app = App::builder().store(MemoryStore::default()).handler(once).build()?;
    let Err(Failure::Failed(error)) = app.send(Once).await else { panic!("no conflict") };
    assert!(error.is_conflict() && error.to_string().contains("Request::again"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_guard_on_an_old_copy_is_refused() -> Result<(), BoxError> {
    let store = store();
    let work = Work::new(store.clone(), Metadata::default());
    let old = work.load::<Gauge>(&1).await?;
    Repository::<Gauge>::new(store.clone())
        .execute(&Set { level: 1 }, &Metadata::default())
        .await?;
    let mut fresh = work.load::<Gauge>(&1).await?;
    let other = work.load::<Gauge>(&2).await?;
    // The iterator may use the work itself.
    let events = std::iter::once_with(|| {
        work.guard(&other).unwrap();
        Mixed::Right { level: 2.0 }
    });
    work.record(&mut fresh, events)?;
    assert!(work.guard(&old).is_err(), "the old copy went unguarded");
    Ok(())
}
