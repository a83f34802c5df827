//! Handlers of events: what they have not seen, in order, and what they cause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Aggregate, App, AppBuilder, Command, Context, Decide, Decision, ErrorKind, Event, EventType,
    HandlerError, Mediator, Metadata, Never, Problem, Repository, Request, RequestKind, Res, Store,
    Upcaster, Wire, Work,
};
use serde::{Deserialize, Serialize};

use crate::tower::{Hear, Heard, Tower};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rung {
    n: u64,
}
impl Event for Rung {
    const TYPES: &'static [EventType] = &[EventType::new("bell.rung", "Rung")];
    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// A bell; the tower, in another category, counts.
#[derive(Debug, Default)]
struct Bell {
    rung: Vec<u64>,
}
impl Aggregate for Bell {
    const CATEGORY: &'static str = "bell";
    type Id = String;
    type Event = Rung;
    fn apply(&mut self, event: &Rung) {
        self.rung.push(event.n);
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ring {
    n: u64,
}
impl Command for Ring {}
impl Request for Ring {
    const NAME: &'static str = "bell.ring";
    const KIND: RequestKind = RequestKind::Command;
    type Output = ();
    type Error = Never;
    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }
}
impl Decide<Ring> for Bell {
    fn target(_: &Ring) -> String {
        "big".into()
    }
    fn decide(&self, c: &Ring, _: &Context<'_>) -> Result<Decision<Rung>, Never> {
        Ok(Decision::event(Rung { n: c.n }))
    }
}

type Seen = Arc<Mutex<Vec<u64>>>;

/// Fails at 3 as long as 3 was not seen before, and fatally at 5.
async fn note(event: Rung, Res(seen): Res<Seen>) -> Result<(), HandlerError> {
    seen.lock().unwrap().push(event.n);
    let before = seen.lock().unwrap().iter().filter(|n| **n == event.n).count();
    match event.n {
        3 if before == 1 => Err("not yet".into()),
        5 => Err(HandlerError::fatal("never")),
        7 => panic!("seven"),
        _ => Ok(()),
    }
}

fn builder(store: &MemoryStore) -> AppBuilder {
    App::builder().store(store.clone()).decides::<Bell, Ring>().decides::<Tower, Hear>()
}

async fn ring(app: &App, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        app.send(Ring { n }).await.unwrap();
    }
}

#[tokio::test]
async fn a_handler_sees_each_event_once_in_order() {
    let (store, seen) = (MemoryStore::default(), Seen::default());
    let app = builder(&store).resource(seen.clone()).event_handler("note", note).build().unwrap();
    assert_eq!(app.catch_up("note").await.unwrap(), 0);
    ring(&app, [1, 2]).await;
    app.send(Hear { n: 9 }).await.unwrap();
    assert_eq!(app.catch_up("note").await.unwrap(), 3, "past what it does not handle");
    ring(&app, [4]).await;
    // Another process continues where this one stopped.
    let other = builder(&store).resource(seen.clone()).event_handler("note", note).build().unwrap();
    assert_eq!(other.catch_up("note").await.unwrap(), 4);
    assert_eq!(*seen.lock().unwrap(), [1, 2, 4]);
}

#[tokio::test]
async fn a_failing_handler_stops_there_and_goes_on_from_there() {
    let (store, seen) = (MemoryStore::default(), Seen::default());
    let app = builder(&store).resource(seen.clone()).event_handler("note", note).build().unwrap();
    ring(&app, [1, 3, 4, 5, 6]).await;
    let error = app.catch_up("note").await.unwrap_err();
    let at = |position, fatal| ErrorKind::EventNotHandled {
        handler: "note".into(),
        event_type: "bell.rung".into(),
        position,
        fatal,
    };
    assert_eq!(*error.kind(), at(2, false));
    assert!(error.to_string().contains("not yet"), "{error}");
    assert_eq!(*app.catch_up("note").await.unwrap_err().kind(), at(4, true));
    assert_eq!(*seen.lock().unwrap(), [1, 3, 3, 4, 5]);
}

#[tokio::test]
async fn a_panic_stops_the_handler_and_nothing_else() {
    let (store, seen) = (MemoryStore::default(), Seen::default());
    let app = builder(&store).resource(seen).event_handler("note", note).build().unwrap();
    ring(&app, [7]).await;
    let error = app.catch_up("note").await.unwrap_err();
    assert!(error.to_string().contains("panicked: seven"), "{error}");
    ring(&app, [1]).await;
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_stops_the_handler() {
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Other {
        text: String,
    }
    impl Event for Other {
        const TYPES: &'static [EventType] = Rung::TYPES;
        fn event_type(&self) -> &'static EventType {
            &Self::TYPES[0]
        }
    }
    async fn other(_: Other) -> Result<(), HandlerError> {
        Ok(())
    }
    let store = MemoryStore::default();
    let app = builder(&store).event_handler("other", other).build().unwrap();
    ring(&app, [1]).await;
    let error = app.catch_up("other").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Undecodable { position: 1, .. }), "{error:?}");
    assert_eq!(store.checkpoint("other", 0).await.unwrap(), None);
}

#[tokio::test]
async fn an_upcaster_that_panics_is_an_event_that_cannot_be_decoded() {
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Louder {
        n: u64,
    }
    impl Event for Louder {
        const TYPES: &'static [EventType] = &[EventType::new("bell.rung", "Louder").at_version(2)];
        const UPCASTERS: &'static [Upcaster] =
            &[Upcaster { event_type: "bell.rung", from: 1, lift: |_| panic!("no body") }];
        fn event_type(&self) -> &'static EventType {
            &Self::TYPES[0]
        }
    }
    async fn louder(_: Louder) -> Result<(), HandlerError> {
        Ok(())
    }
    let store = MemoryStore::default();
    ring(&builder(&store).build().unwrap(), [1]).await;
    let app = App::builder().store(store).event_handler("louder", louder).build().unwrap();
    let error = app.catch_up("louder").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Undecodable { position: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("no body"), "{error}");
}

#[tokio::test]
async fn work_is_committed_with_the_checkpoint() {
    async fn hear(event: Rung, work: Work) -> Result<(), HandlerError> {
        let mut tower = work.load::<Tower>(&"old".into()).await?;
        work.record(&mut tower, [Heard { n: event.n }])?;
        if event.n == 3 {
            return Err("too loud".into());
        }
        Ok(())
    }
    let store = MemoryStore::default();
    let app = builder(&store).event_handler("hear", hear).build().unwrap();
    ring(&app, [1, 2, 3]).await;
    for _ in 0..2 {
        app.catch_up("hear").await.unwrap_err();
        assert_eq!(store.checkpoint("hear", 0).await.unwrap(), Some(2));
    }
    let towers = Repository::<Tower>::new(Arc::new(store));
    assert_eq!(towers.load(&"old".into()).await.unwrap().0, [1, 2]);
}

#[tokio::test]
async fn an_event_whose_commit_fails_is_not_passed() {
    async fn hear(
        event: Rung,
        work: Work,
        store: Arc<dyn Store>,
        Res(calm): Res<Arc<AtomicBool>>,
    ) -> Result<(), HandlerError> {
        let mut tower = work.load::<Tower>(&"old".into()).await?;
        work.record(&mut tower, [Heard { n: event.n }])?;
        if !calm.swap(true, Ordering::Relaxed) {
            // Somebody else is faster.
            let other = Work::new(store, Metadata::default());
            let mut tower = other.load::<Tower>(&"old".into()).await?;
            other.record(&mut tower, [Heard { n: 100 }])?;
            other.commit().await?;
        }
        Ok(())
    }
    let store = MemoryStore::default();
    let builder = builder(&store).resource(Arc::new(AtomicBool::new(false)));
    let app = builder.event_handler("hear", hear).build().unwrap();
    ring(&app, [1]).await;
    assert!(app.catch_up("hear").await.unwrap_err().is_conflict());
    assert_eq!(store.checkpoint("hear", 0).await.unwrap(), None);
    app.catch_up("hear").await.unwrap();
    let towers = Repository::<Tower>::new(Arc::new(store));
    assert_eq!(towers.load(&"old".into()).await.unwrap().0, [100, 1]);
}

#[tokio::test]
async fn commands_of_a_handler_are_applied_once() {
    async fn hear(event: Rung, app: Mediator, Res(seen): Res<Seen>) -> Result<(), HandlerError> {
        app.send(Hear { n: event.n }).await?;
        // As if the process died before the checkpoint was written.
        let mut seen = seen.lock().unwrap();
        seen.push(event.n);
        if seen.iter().filter(|n| **n == event.n).count() < 3 {
            Err("again".into())
        } else {
            Ok(())
        }
    }
    let (store, seen) = (MemoryStore::default(), Seen::default());
    let builder = builder(&store).resource(seen.clone());
    let app = builder.event_handler("a", hear).event_handler("b", hear).build().unwrap();
    ring(&app, [1]).await;
    for handler in ["a", "b", "a", "b", "a", "b"] {
        let _ = app.catch_up(handler).await;
    }
    let towers = Repository::<Tower>::new(Arc::new(store));
    // Once for each of the two handlers of the event.
    assert_eq!(towers.load(&"old".into()).await.unwrap().0, [1, 1]);
}

#[tokio::test]
async fn handlers_of_events_are_checked_and_listed() {
    let store = MemoryStore::default();
    let error =
        App::builder().event_handler("note", note).event_handler("note", note).build().unwrap_err();
    let ErrorKind::Build(problems) = error.kind() else { panic!() };
    assert!(problems.contains(&Problem::MissingStore { handler: "note".into() }), "{error}");
    assert!(problems.contains(&Problem::DuplicateEventHandler { name: "note" }), "{error}");
    assert_eq!(problems.len(), 3, "{error}"); // and the resource

    let builder = builder(&store).resource(Seen::default());
    let app = builder.event_handler("note", note).build().unwrap();
    let listed = &app.manifest().event_handlers[0];
    assert_eq!((listed.name, &listed.events[..]), ("note", &["bell.rung"][..]));
    assert_eq!(*app.catch_up("nobody").await.unwrap_err().kind(), ErrorKind::UnknownName);
}
