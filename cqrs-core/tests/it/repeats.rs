//! Repeats and reruns: one effect, one answer, and never somebody else's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Aggregate, App, BoxError, Command, Context, Decide, Decision, ErrorKind, Event, EventType,
    Failure, Mediator, MessageId, Metadata, Never, Repository, Request, RequestKind, Res, Wire,
    Work,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counted {
    by: i64,
}

impl Event for Counted {
    const TYPES: &'static [EventType] = &[EventType::new("counter.counted", "Counted")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

#[derive(Debug, Default)]
struct Counter(i64);

impl Aggregate for Counter {
    const CATEGORY: &'static str = "counter";
    type Id = String;
    type Event = Counted;

    fn apply(&mut self, event: &Counted) {
        self.0 += event.by;
    }
}

macro_rules! command {
    ($name:ident { $($field:ident: $type:ty),* } = $wire:literal) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        struct $name { $($field: $type),* }

        impl Command for $name {}

        impl Request for $name {
            const NAME: &'static str = $wire;
            const KIND: RequestKind = RequestKind::Command;
            type Output = i64;
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

macro_rules! counts {
    ($name:ident by $by:literal) => {
        impl Decide<$name> for Counter {
            fn target(command: &$name) -> String {
                command.id.clone()
            }

            fn decide(&self, _: &$name, _: &Context<'_>) -> Result<Decision<Counted, i64>, Never> {
                Ok(Decision::event(Counted { by: $by }).returning(self.0 + $by))
            }
        }
    };
}

command!(Up { id: String } = "counter.up");
command!(Down { id: String } = "counter.down");
command!(Labelled { id: String, labels: HashMap<String, u32> } = "counter.labelled");
command!(Cascade { id: String } = "counter.cascade");
counts!(Up by 1);
counts!(Down by -1);
counts!(Labelled by 1);

fn counters(store: &MemoryStore) -> cqrs_core::AppBuilder {
    App::builder()
        .store(store.clone())
        .decides::<Counter, Up>()
        .decides::<Counter, Down>()
        .decides::<Counter, Labelled>()
}

fn up() -> Up {
    Up { id: "a".into() }
}

async fn value(store: &MemoryStore) -> i64 {
    let counters = Repository::<Counter>::new(Arc::new(store.clone()));
    counters.load(&"a".to_owned()).await.unwrap().into_state().0
}

fn assert_reused<T: std::fmt::Debug>(answer: Result<T, Failure<Never>>) {
    match answer {
        Err(Failure::Failed(error)) => {
            assert!(matches!(error.kind(), ErrorKind::IdReused { .. }), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_id_of_another_command_tenant_or_actor_is_no_repeat() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = counters(&store).build()?;
    let id = MessageId::fresh();
    let once = || Metadata::of(id).with_inbox("http").with_actor("ada");
    app.send(up()).with(once()).await?;
    assert_reused(app.send(Down { id: "a".into() }).with(once()).await);
    assert_reused(app.send(up()).with(once().with_actor("eve")).await);
    assert_reused(app.send(up()).with(once().with_tenant("south")).await);
    assert_eq!(value(&store).await, 1);
    Ok(())
}

#[tokio::test]
async fn each_consumer_of_a_message_applies_it_once() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = counters(&store).build()?;
    let id = MessageId::fresh();
    for _ in 0..2 {
        for (consumer, answer) in [("billing", 1), ("mail", 2)] {
            let metadata = Metadata::of(id).with_inbox(consumer);
            assert_eq!(app.send(up()).with(metadata).await?, answer);
        }
    }
    assert_eq!(value(&store).await, 2);
    Ok(())
}

#[tokio::test]
async fn the_order_of_a_hash_map_makes_no_other_request() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = counters(&store).build()?;
    let id = MessageId::fresh();
    for _ in 0..20 {
        // Made anew each time: a map of its own seed has an order of its own.
        let labels = (0..20).map(|n| (n.to_string(), n)).collect();
        let metadata = Metadata::of(id).with_inbox("http");
        let answer = app.send(Labelled { id: "a".into(), labels }).with(metadata).await?;
        assert_eq!(answer, 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_handler_that_runs_again_does_not_repeat_what_it_sent() -> Result<(), BoxError> {
    /// Sends a command, and loses the race for its own commit on the first run.
    async fn cascade(
        c: Cascade,
        work: Work,
        app: Mediator,
        Res(runs): Res<Arc<AtomicU32>>,
        Res(store): Res<MemoryStore>,
    ) -> Result<i64, Failure<Never>> {
        let mut own = work.load::<Counter>(&"own".to_owned()).await?;
        let sent = app.send(Up { id: c.id }).await?;
        if runs.fetch_add(1, Ordering::SeqCst) == 0 {
            let rival = Repository::<Counter>::new(Arc::new(store));
            rival.execute(&Up { id: "own".into() }, &Metadata::default()).await?;
        }
        work.record(&mut own, [Counted { by: 10 }])?;
        Ok(sent)
    }
    let store = MemoryStore::default();
    let runs = Arc::new(AtomicU32::new(0));
    let app =
        counters(&store).resource(runs.clone()).resource(store.clone()).handler(cascade).build()?;
    assert_eq!(app.send(Cascade { id: "a".into() }).await?, 1);
    assert_eq!(runs.load(Ordering::SeqCst), 2, "it did not run again");
    assert_eq!(value(&store).await, 1, "what it sent was applied twice");
    Ok(())
}
