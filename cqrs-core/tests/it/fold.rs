//! Laws of loading: however a stream is cut into pages, commits and moments, the fold is the same.

use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Aggregate, At, Capabilities, Collection, Commit, Committed, Document, DocumentKey, Event,
    EventType, FindDocuments, Head, InboxEntry, MessageId, Metadata, Pages, Position, ReadLog,
    ReadStream, Repository, Result, Store, Work,
};
use cqrs_core::{
    FindOutgoing, FindParked, FindTimers, Hint, Lease, LeaseRequest, ParkedEntry, PendingMessage,
    Timer,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Step {
    Pushed { value: i64 },
    Doubled,
}

impl Event for Step {
    const TYPES: &'static [EventType] =
        &[EventType::new("fold.pushed", "Pushed"), EventType::new("fold.doubled", "Doubled")];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::Pushed { .. } => &Self::TYPES[0],
            Self::Doubled => &Self::TYPES[1],
        }
    }
}

/// A fold in which the order counts.
#[derive(Debug, Default, Clone, PartialEq)]
struct Sum(i64);

impl Aggregate for Sum {
    const CATEGORY: &'static str = "sum";
    type Id = u32;
    type Event = Step;

    fn apply(&mut self, event: &Step) {
        self.0 = match event {
            Step::Pushed { value } => self.0.wrapping_add(*value),
            Step::Doubled => self.0.wrapping_mul(2),
        };
    }
}

fn fold(steps: &[Step]) -> Sum {
    steps.iter().fold(Sum::default(), |mut sum, step| {
        sum.apply(step);
        sum
    })
}

/// Reads streams in pages of a few events.
#[derive(Debug)]
struct SmallPages(MemoryStore, u32);

#[async_trait]
impl Store for SmallPages {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.0.commit(commit).await
    }

    fn read_stream(&self, read: ReadStream) -> Pages {
        self.0.read_stream(read.page(self.1))
    }

    fn read_log(&self, read: ReadLog) -> Pages {
        self.0.read_log(read)
    }

    async fn head(&self) -> Result<Head> {
        self.0.head().await
    }

    async fn declare(&self, collection: Collection) -> Result<()> {
        self.0.declare(collection).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Document>> {
        self.0.document(key).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>> {
        self.0.find_documents(find).await
    }

    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>> {
        self.0.inbox(consumer, message).await
    }

    async fn checkpoint(&self, subscription: &str, partition: u32) -> Result<Option<Position>> {
        self.0.checkpoint(subscription, partition).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.0.lease(request).await
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<()> {
        self.0.release(holder, names).await
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Lease>> {
        self.0.leases(prefix).await
    }

    async fn timers(&self, find: FindTimers) -> Result<Vec<Timer>> {
        self.0.timers(find).await
    }

    async fn outgoing(&self, find: FindOutgoing) -> Result<Vec<PendingMessage>> {
        self.0.outgoing(find).await
    }

    async fn parked(&self, find: FindParked) -> Result<Vec<ParkedEntry>> {
        self.0.parked(find).await
    }

    async fn purge_documents(&self, collection: &str, limit: u32) -> Result<u32> {
        self.0.purge_documents(collection, limit).await
    }

    fn hint(&self) -> Hint {
        self.0.hint()
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![any::<i64>().prop_map(|value| Step::Pushed { value }), Just(Step::Doubled)]
}

proptest! {
    #[test]
    fn a_load_is_the_fold_of_the_events(
        commits in prop::collection::vec(prop::collection::vec(step(), 1..5), 0..8),
        page in 1..4u32,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store: Arc<dyn Store> = Arc::new(SmallPages(MemoryStore::default(), page));
            let sums = Repository::<Sum>::new(store.clone());
            let mut steps = Vec::new();
            for commit in commits {
                let work = Work::new(store.clone(), Metadata::default());
                let mut sum = work.load::<Sum>(&1).await.unwrap();
                work.record(&mut sum, commit.clone()).unwrap();
                steps.extend(commit);
                // The state at hand has taken the new events in already.
                assert_eq!((sum.state(), sum.version()), (&fold(&steps), steps.len() as u64));
                work.commit().await.unwrap();
            }
            let now = sums.load(&1).await.unwrap();
            assert_eq!((now.state(), now.version()), (&fold(&steps), steps.len() as u64));
            for version in 0..=steps.len() {
                let then = sums.load_at(&1, At::Version(version as u64)).await.unwrap();
                assert_eq!(then.state(), &fold(&steps[..version]));
            }
        });
    }
}
