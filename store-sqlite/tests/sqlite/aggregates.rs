//! Aggregates on a file: hot ones, and those that are stored as documents.

use std::sync::Arc;

use cqrs_core::{
    Aggregate, At, BoxError, Command, Context, Decide, Decision, Documents, Entity, Event,
    EventType, MessageId, Metadata, Never, Repository, Request, RequestKind, Storage, Store, Wire,
    Work,
};
use serde::{Deserialize, Serialize};
use store_sqlite::SqliteStore;

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Step {
    Counted { id: String },
    Cleared,
}

impl Event for Step {
    const TYPES: &'static [EventType] = &[
        EventType::new("counter.counted", "Counted"),
        EventType::new("counter.cleared", "Cleared"),
    ];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::Counted { .. } => &Self::TYPES[0],
            Self::Cleared => &Self::TYPES[1],
        }
    }
}

/// Counts so far, or clears at zero. Answers with the count before.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Count {
    id: String,
    times: i32,
}

impl Command for Count {}

impl Request for Count {
    const NAME: &'static str = "counter.count";
    const KIND: RequestKind = RequestKind::Command;
    type Output = u32;
    type Error = Never;

    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }
}

fn count(times: i32) -> Count {
    Count { id: "1".into(), times }
}

macro_rules! counter {
    ($name:ident in $category:literal, $storage:expr) => {
        #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
        struct $name {
            id: String,
            count: u32,
            cleared: bool,
        }

        impl Entity for $name {
            const COLLECTION: &'static str = $category;
            const INDEXED: &'static [&'static str] = &["count"];

            fn id(&self) -> String {
                self.id.clone()
            }
        }

        impl Aggregate for $name {
            const CATEGORY: &'static str = $category;
            type Id = String;
            type Event = Step;

            fn apply(&mut self, step: &Step) {
                match step {
                    Step::Counted { id } => {
                        self.id.clone_from(id);
                        self.count += 1;
                    }
                    Step::Cleared => self.cleared = true,
                }
            }

            fn storage() -> Storage<Self> {
                $storage
            }
        }

        impl Decide<Count> for $name {
            fn target(command: &Count) -> String {
                command.id.clone()
            }

            fn decide(&self, c: &Count, _: &Context<'_>) -> Result<Decision<Step, u32>, Never> {
                let events = match c.times {
                    ..0 => vec![Step::Cleared],
                    n => vec![Step::Counted { id: c.id.clone() }; n as usize],
                };
                Ok(Decision::events(events).returning(self.count))
            }
        }
    };
}
counter!(Folded in "folded", Storage::snapshots(4));
counter!(Whole in "whole", Storage::document().deleted_if(|counter: &Self| counter.cleared));

async fn opened() -> (tempfile::TempDir, Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("counters.db")).await.unwrap();
    (folder, Arc::new(store))
}

async fn send<A: Decide<Count>>(counters: &Repository<A>, times: i32) -> Result<u32, BoxError> {
    Ok(counters.execute(&count(times), &Metadata::default()).await?.output)
}

#[tokio::test]
async fn a_hot_aggregate_is_never_behind_the_file() -> Result<(), BoxError> {
    let (_folder, store) = opened().await;
    let plain = Repository::<Folded>::new(store.clone());
    let caches = [plain.clone().cached(10), plain.clone().cached(10), plain.clone()];
    for n in 0..30 {
        assert_eq!(send(&caches[n % 3], 1).await?, n as u32);
        assert_eq!(send(&caches[(n + 1) % 3], 0).await?, n as u32 + 1, "without an event");
    }
    assert_eq!(plain.load(&"1".to_owned()).await?.count, 30);
    Ok(())
}

#[tokio::test]
async fn a_document_and_its_events_are_one_commit() -> Result<(), BoxError> {
    let (_folder, store) = opened().await;
    let documents = Documents::<Whole>::new(store.clone());
    documents.declare().await?;
    let plain = Repository::<Whole>::new(store.clone());
    let id = "1".to_owned();
    for counters in [plain.clone(), plain.clone().cached(10)] {
        assert_eq!(send(&counters, 2).await?, 0);
        assert_eq!(send(&counters, 1).await?, 2);
        assert_eq!(documents.find("count", 3_i64).await?.len(), 1);
        let folded = plain.load_at(&id, At::Version(u64::MAX)).await?;
        assert_eq!(folded.state(), &*documents.get("1").await?.unwrap());
        send(&counters, -1).await?;
        assert!(documents.get("1").await?.is_none());
        assert!(!plain.load_at(&id, At::Version(u64::MAX)).await?.exists());
    }
    Ok(())
}

#[tokio::test]
async fn a_mark_is_no_version_of_a_hot_document() -> Result<(), BoxError> {
    let (_folder, store) = opened().await;
    let documents = Documents::<Whole>::new(store.clone());
    documents.declare().await?;
    let counters = Repository::<Whole>::new(store.clone()).cached(10);
    send(&counters, 1).await?;
    send(&counters, 1).await?;
    let metadata = Metadata::of(MessageId::fresh()).with_inbox("http");
    for _ in 0..2 {
        assert_eq!(counters.execute(&count(0), &metadata).await?.output, 2);
    }
    let work = Work::new(store.clone(), Metadata::default());
    let mut counter = work.get::<Whole>("1").await?.unwrap();
    counter.count = 100;
    work.save(&counter)?;
    work.commit().await?;
    assert_eq!(send(&counters, 1).await?, 100, "what was saved is not lost");
    assert_eq!(documents.get("1").await?.unwrap().count, 101);
    Ok(())
}
