//! Hot aggregates: the state after the last command on one, kept for the next.
//!
//! What is kept is never trusted. It says at which version it is, the commit expects that version,
//! and what is not committed is looked up first.

use std::any::{Any, TypeId};
use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::domain::aggregate::Aggregate;
use crate::load::Loaded;
use crate::port::stream_id::StreamId;

/// How long a command waits for the one that holds the seat, which waits for the store. As long as
/// the seat changes hands, the queue is as long as it is: whoever left it would race for the version
/// with those in it. When the store stalls, the waits must not add up.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bounded number of states, of aggregates of any kind in one store. Its clones are the same.
///
/// Commands on one aggregate take turns: each finds the state as the one before it left it, and no
/// two of them race for the same version.
#[derive(Clone)]
pub(crate) struct Cache(Arc<quick_cache::sync::Cache<Key, Arc<Seat>>>);

/// Two kinds of aggregates may share a category.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Key {
    aggregate: TypeId,
    stream: StreamId,
}

/// Where the state lies while nobody uses it. It is taken out and put back, so that no aggregate
/// need be `Clone`.
#[derive(Default)]
struct Seat {
    state: Arc<Mutex<State>>,
    /// How often somebody took it.
    turns: AtomicU64,
}

type State = Option<Box<dyn Any + Send>>;

impl Seat {
    /// `None`: it did not change hands for as long as anybody waits.
    async fn take(&self) -> Option<Hot> {
        let guard = match Arc::clone(&self.state).try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => self.wait().await?,
        };
        self.turns.fetch_add(1, Relaxed);
        Some(Hot(guard))
    }

    async fn wait(&self) -> Option<OwnedMutexGuard<State>> {
        // One place in the queue, kept over all that happens before it.
        let mut turn = pin!(Arc::clone(&self.state).lock_owned());
        loop {
            let before = self.turns.load(Relaxed);
            if let Ok(guard) = tokio::time::timeout(PATIENCE, turn.as_mut()).await {
                return Some(guard);
            }
            if self.turns.load(Relaxed) == before {
                return None;
            }
        }
    }
}

impl Cache {
    pub(crate) fn of(aggregates: usize) -> Self {
        Self(Arc::new(quick_cache::sync::Cache::new(aggregates)))
    }

    /// The seat of an aggregate, once those who came before have left it. `None`: one of them stays
    /// too long.
    pub(crate) async fn seat<A: Aggregate>(&self, stream: &StreamId) -> Option<Hot> {
        let key = Key { aggregate: TypeId::of::<A>(), stream: stream.clone() };
        let fresh = || Ok::<_, Infallible>(Arc::<Seat>::default());
        let Ok(seat) = self.0.get_or_insert_with(&key, fresh);
        seat.take().await
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("aggregates", &self.0.len()).finish_non_exhaustive()
    }
}

/// The seat of an aggregate, held by one command.
pub(crate) struct Hot(OwnedMutexGuard<State>);

impl Hot {
    /// What the command before left. Who does not put it back leaves the seat empty.
    pub(crate) fn take<A: Aggregate>(&mut self) -> Option<Loaded<A>> {
        self.0.take()?.downcast().ok().map(|loaded| *loaded)
    }

    pub(crate) fn put<A: Aggregate>(mut self, loaded: Loaded<A>) {
        *self.0 = Some(Box::new(loaded));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(n: usize) -> StreamId {
        StreamId::new("account", n.to_string())
    }

    #[derive(Default, Clone, serde::Serialize, serde::Deserialize)]
    struct Nothing;

    impl crate::Event for Nothing {
        const TYPES: &'static [crate::EventType] = &[crate::EventType::new("nothing", "Nothing")];

        fn event_type(&self) -> &'static crate::EventType {
            &Self::TYPES[0]
        }
    }

    macro_rules! kinds {
        ($($name:ident)*) => { $(
            #[derive(Default)]
            struct $name(usize);

            impl Aggregate for $name {
                const CATEGORY: &'static str = "account";
                type Id = String;
                type Event = Nothing;

                fn apply(&mut self, _: &Nothing) {
                    self.0 += 1;
                }
            }
        )* };
    }
    kinds!(One Other);

    fn loaded(n: usize) -> Loaded<One> {
        let mut loaded = Loaded::<One>::nothing(stream(n));
        loaded.state.0 = n;
        loaded
    }

    #[tokio::test]
    async fn what_was_put_is_taken_once_and_by_its_kind_only() {
        let cache = Cache::of(100);
        cache.seat::<One>(&stream(1)).await.unwrap().put(loaded(1));
        assert!(cache.seat::<Other>(&stream(1)).await.unwrap().take::<Other>().is_none());
        assert!(cache.seat::<One>(&stream(2)).await.unwrap().take::<One>().is_none());
        let taken = cache.seat::<One>(&stream(1)).await.unwrap().take::<One>();
        assert_eq!(taken.unwrap().state.0, 1);
        assert!(cache.seat::<One>(&stream(1)).await.unwrap().take::<One>().is_none());
    }

    #[tokio::test]
    async fn it_holds_so_many_and_not_more() {
        for size in [0, 1, 10, 64] {
            let cache = Cache::of(size);
            for n in 0..1_000 {
                cache.seat::<One>(&stream(n)).await.unwrap().put(loaded(n));
            }
            assert!(cache.0.len() <= size, "{} of {size}", cache.0.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let cache = Cache::of(100);
        let held = cache.seat::<One>(&stream(1)).await.unwrap();
        assert!(cache.seat::<One>(&stream(1)).await.is_none());
        assert!(cache.seat::<One>(&stream(2)).await.is_some());
        drop(held);
        assert!(cache.seat::<One>(&stream(1)).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_a_queue_that_moves_is_not_sent_away() {
        let cache = Cache::of(100);
        let tasks = (0..20).map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let hot = cache.seat::<One>(&stream(1)).await;
                tokio::time::sleep(PATIENCE * 9 / 10).await;
                hot.is_some()
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert!(task.await.unwrap());
        }
    }
}
