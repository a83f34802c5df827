//! Snapshots that cannot be kept or read: no commit fails, it is told once, and tried less often.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};

use cqrs_core::{Aggregate, BoxError, Metadata, Repository, Storage, Work};
use serde::{Deserialize, Serialize, Serializer};

use crate::logged::Log;
use crate::tally::Step;
use crate::watched::Watched;

/// What is wrong with a state.
trait Fault: Default + Send + Sync + 'static {
    /// How often a state with it was encoded.
    fn encoded() -> &'static AtomicU32;

    fn encode<S: Serializer>(events: u32, to: S) -> Result<S::Ok, S::Error>;
}

macro_rules! faults {
    ($($name:ident, $events:ident => $value:expr;)*) => { $(
        #[derive(Default)]
        struct $name;

        impl Fault for $name {
            fn encoded() -> &'static AtomicU32 {
                static ENCODED: AtomicU32 = AtomicU32::new(0);
                &ENCODED
            }

            fn encode<S: Serializer>($events: u32, to: S) -> Result<S::Ok, S::Error> {
                Self::encoded().fetch_add(1, Ordering::SeqCst);
                $value.serialize(to)
            }
        }
    )* };
}
faults! {
    // JSON has no such keys.
    Unspeakable, events => BTreeMap::from([(vec![events], events)]);
    // And no such number, once something happened.
    Unreadable, events => (events == 0).then_some(events);
    // It gets well again.
    Passing, events => (events == 0 || events >= 5).then_some(events);
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(bound(serialize = "F: Fault", deserialize = ""))]
struct Ill<F> {
    #[serde(serialize_with = "encoded::<F, _>")]
    events: u32,
    #[serde(skip)]
    fault: PhantomData<F>,
}

fn encoded<F: Fault, S: Serializer>(events: &u32, to: S) -> Result<S::Ok, S::Error> {
    F::encode(*events, to)
}

impl<F: Fault> Aggregate for Ill<F> {
    const CATEGORY: &'static str = "ill";
    type Id = u32;
    type Event = Step;

    fn apply(&mut self, _: &Step) {
        self.events += 1;
    }

    fn storage() -> Storage<Self> {
        Storage::snapshots(1)
    }
}

/// Records so many events one by one.
async fn record<F: Fault>(store: &Watched, events: u32) -> Result<(), BoxError> {
    for _ in 0..events {
        let work = Work::new(store.shared(), Metadata::default());
        let mut ill = work.load::<Ill<F>>(&1).await?;
        work.record(&mut ill, [Step::Doubled])?;
        work.commit().await?;
    }
    Ok(())
}

async fn cannot_be_kept<F: Fault>() -> Result<(), BoxError> {
    let (log, store) = (Log::default(), Watched::default());
    let _guard = log.listen();
    record::<F>(&store, 100).await?;
    assert_eq!(store.seen().snapshots, 0);
    assert_eq!(Repository::<Ill<F>>::new(store.shared()).load(&1).await?.events, 100);
    let tried = F::encoded().load(Ordering::SeqCst);
    assert!(tried < 10, "{tried} times");
    let log = log.text();
    assert_eq!(log.matches("a snapshot cannot be kept").count(), 1, "{log}");
    Ok(())
}

#[tokio::test]
async fn a_state_that_cannot_be_encoded_makes_no_commit_fail() -> Result<(), BoxError> {
    assert!(Ill::<Unspeakable>::storage().restored(&Ill::default()).is_err());
    cannot_be_kept::<Unspeakable>().await
}

#[tokio::test]
async fn a_state_that_could_not_be_read_again_makes_no_commit_fail() -> Result<(), BoxError> {
    cannot_be_kept::<Unreadable>().await
}

#[tokio::test]
async fn a_state_that_can_be_kept_again_is() -> Result<(), BoxError> {
    let store = Watched::default();
    record::<Passing>(&store, 30).await?;
    let snapshots = store.seen().snapshots;
    assert!(snapshots > 10, "{snapshots}");
    Ok(())
}
