//! What handlers send on, and what their own parameters hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use cqrs_core::layer::Authorize;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Answer, AnyRequest, App, Call, Command, Envelope, Error, ErrorKind, Event, EventType, Failure,
    Handler, Inject, Mediator, Metadata, Never, Origin, Problem, Query, Repository, Request,
    RequestKind, Res, Resources, Wire, Work,
};
use serde::{Deserialize, Serialize};

use crate::tower::{Hear, Heard, Tower};

macro_rules! request {
    ($kind:ident $name:ident, $text:literal, $output:ty) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        struct $name {
            n: u64,
        }
        impl $kind for $name {}
        impl Request for $name {
            const NAME: &'static str = $text;
            const KIND: RequestKind = RequestKind::$kind;
            type Output = $output;
            type Error = Never;
            fn wire() -> Option<Wire<Self>> {
                Some(Wire::json())
            }
            fn again(&self) -> Option<Self> {
                Some(self.clone())
            }
        }
    };
}
request!(Command Outer, "tower.outer", ());
request!(Query Ask, "tower.ask", u64);

async fn ask(a: Ask) -> Result<u64, Never> {
    Ok(a.n)
}

async fn outer(o: Outer, app: Mediator) -> Result<(), Failure<Never>> {
    app.send(Hear { n: o.n }).await
}

async fn heard(store: &MemoryStore) -> Vec<u64> {
    let towers = Repository::<Tower>::new(Arc::new(store.clone()));
    towers.load(&"old".into()).await.unwrap().into_state().0
}

#[tokio::test]
async fn queries_do_not_move_the_ids_of_commands() {
    /// Asks in its first run only, and fails in it after the command.
    async fn asks_first(
        o: Outer,
        app: Mediator,
        Res(run): Res<Arc<AtomicU32>>,
    ) -> Result<(), Failure<Never>> {
        let first = run.fetch_add(1, Ordering::Relaxed) == 0;
        if first {
            app.ask(Ask { n: 1 }).await?;
        }
        app.send(Hear { n: o.n }).await?;
        if first { Err(Error::new(ErrorKind::Unavailable, "gone").into()) } else { Ok(()) }
    }
    let store = MemoryStore::default();
    let app = App::builder()
        .store(store.clone())
        .resource(Arc::new(AtomicU32::new(0)))
        .handler(ask)
        .handler(asks_first)
        .decides::<Tower, Hear>()
        .build()
        .unwrap();
    let command = Metadata::default();
    app.send(Outer { n: 1 }).with(command.clone()).await.unwrap_err();
    app.send(Outer { n: 1 }).with(command).await.unwrap();
    assert_eq!(heard(&store).await, [1]);
}

#[tokio::test]
async fn a_handler_sends_to_handlers_of_every_kind() {
    struct Own;
    impl Handler<Hear> for Own {
        async fn handle(&self, _: Envelope<Hear>) -> Answer<Hear> {
            Ok(().into())
        }
    }
    async fn hear(_: Hear) -> Result<(), Never> {
        Ok(())
    }
    let own = App::builder().store(MemoryStore::default()).handler(Own).handler(outer);
    let no_store = App::builder().handler(hear).handler(outer);
    for builder in [own, no_store] {
        builder.build().unwrap().send(Outer { n: 1 }).await.unwrap();
    }
}

#[tokio::test]
async fn a_run_that_sends_something_else_is_told_so() {
    async fn fickle(
        _: Outer,
        app: Mediator,
        Res(again): Res<Arc<AtomicBool>>,
    ) -> Result<(), Failure<Never>> {
        let n = u64::from(again.swap(true, Ordering::Relaxed));
        app.send(Hear { n }).await
    }
    let app = App::builder()
        .store(MemoryStore::default())
        .resource(Arc::new(AtomicBool::new(false)))
        .handler(fickle)
        .decides::<Tower, Hear>()
        .build()
        .unwrap();
    let command = Metadata::default();
    app.send(Outer { n: 1 }).with(command.clone()).await.unwrap();
    let error = app.send(Outer { n: 1 }).with(command).await.unwrap_err();
    assert!(error.to_string().contains("sent `tower.hear` with another content"), "{error}");
}

#[tokio::test]
async fn a_layer_knows_what_the_service_asks_of_itself() {
    fn only_from_inside(request: &AnyRequest) -> cqrs_core::Result<()> {
        match (request.name(), request.origin()) {
            ("tower.hear", Origin::Handler) | ("tower.outer", _) => Ok(()),
            _ => Err(Error::new(ErrorKind::Forbidden, "not yours to ask")),
        }
    }
    let store = MemoryStore::default();
    let app = App::builder()
        .store(store.clone())
        .handler(outer)
        .decides::<Tower, Hear>()
        .layer(Authorize::by(only_from_inside))
        .build()
        .unwrap();
    app.send(Hear { n: 1 }).await.unwrap_err();
    app.send(Outer { n: 2 }).await.unwrap();
    assert_eq!(heard(&store).await, [2]);
}

/// A parameter of the user's that holds a unit of work.
struct Deps {
    work: Work,
}

impl Inject for Deps {
    type Ready = <Work as Inject>::Ready;
    fn resolve(from: &Resources, handler: &'static str) -> Result<Self::Ready, Problem> {
        Work::resolve(from, handler)
    }
    fn bind(ready: &Self::Ready, call: &Call) -> Self {
        Self { work: Work::bind(ready, call) }
    }
}

#[tokio::test]
async fn work_inside_another_parameter_is_committed() {
    async fn hear(h: Hear, deps: Deps) -> Result<(), Failure<Never>> {
        let mut tower = deps.work.load::<Tower>(&"old".into()).await?;
        deps.work.record(&mut tower, [Heard { n: h.n }])?;
        Ok(())
    }
    let store = MemoryStore::default();
    let app = App::builder().store(store.clone()).handler(hear).build().unwrap();
    assert_eq!(app.send(Hear { n: 1 }).reply().await.unwrap().position, Some(1));
    assert_eq!(heard(&store).await, [1]);
}

#[test]
fn a_query_with_work_inside_another_parameter_is_a_problem() {
    async fn writes(_: Ask, _: Deps) -> Result<u64, Never> {
        Ok(1)
    }
    let error = App::builder().store(MemoryStore::default()).handler(writes).build().unwrap_err();
    let ErrorKind::Build(problems) = error.kind() else { panic!("{error}") };
    assert_eq!(problems, &[Problem::QueryWrites { query: "tower.ask" }]);
}

#[test]
fn events_of_repositories_are_checked_and_listed() {
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Louder {
        n: u64,
    }
    impl Event for Louder {
        const TYPES: &'static [EventType] =
            &[EventType::new("tower.heard", "Louder").at_version(2)];
        fn event_type(&self) -> &'static EventType {
            &Self::TYPES[0]
        }
    }
    async fn count(_: Ask, towers: Repository<Tower>) -> Result<u64, Failure<Never>> {
        Ok(towers.load(&"old".into()).await?.0.len() as u64)
    }
    let builder = || App::builder().store(MemoryStore::default()).handler(count);
    assert_eq!(builder().build().unwrap().manifest().events[0].name, "tower.heard");
    let error = builder().reads::<Louder>().build().unwrap_err();
    let versions = Problem::EventVersions { event_type: "tower.heard", versions: [1, 2] };
    let ErrorKind::Build(problems) = error.kind() else { panic!("{error}") };
    assert!(problems.contains(&versions), "{error}");
    assert!(format!("{error:?}").contains(&versions.to_string()), "what `main` prints: {error:?}");
}
