//! What a case of the runtime works with: a store, a clock, the hand of the handlers, and processes.

use std::collections::BTreeSet;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cqrs_core::{
    App, AppBuilder, Commit, Documents, Error, FindParked, ManualClock, NewEvent, ParkedEntry,
    ParkedState, Position, RetryPolicy, RuntimeSettings, Store, Timestamp,
};
use futures_util::future::BoxFuture;

use crate::runtime::hand::Hand;
use crate::runtime::node::{Node, PATIENCE};
use crate::runtime::notes::{Tally, noted, to_stream};
use crate::runtime::sink::SinkHand;
use crate::runtime::tap::{Fate, Mishap, Tap, TapSink};
use crate::store::probe::Probe;
use crate::store::waiting::until;

/// A lease that the other nodes can wait for.
pub(crate) const SHORT: Duration = Duration::from_millis(500);

/// A lease that is not over before the case is.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// The world of a case.
pub(crate) struct World {
    pub(crate) probe: Probe,
    /// That of the apps. The store has its own.
    pub(crate) clock: ManualClock,
    pub(crate) hand: Hand,
    pub(crate) settings: RuntimeSettings,
    has_sink: bool,
}

/// The name of the sink.
pub(crate) const ROWS: &str = "rows";

impl World {
    /// One with leases of a few seconds: they last as long as their node lives.
    pub(crate) async fn new(probe: Probe) -> Self {
        let settings = RuntimeSettings {
            lease: Duration::from_secs(4),
            poll: Duration::from_millis(20),
            checkpoint: Duration::from_millis(50),
            relay_retry: RetryPolicy { attempts: 3, ..RetryPolicy::default() },
            ..RuntimeSettings::tests()
        };
        let tallies = Documents::<Tally>::new(probe.another().await.shared());
        tallies.declare().await.unwrap_or_else(|e| panic!("cannot be declared: {e:?}"));
        let clock = ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000));
        Self { probe, clock, hand: Hand::default(), settings, has_sink: false }
    }

    /// Another term of leases.
    pub(crate) fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// Every app has a sink of notes, [`ROWS`].
    pub(crate) fn with_sink(mut self) -> Self {
        self.has_sink = true;
        self
    }

    /// What was noted under a key, as the sink has it.
    pub(crate) async fn rows(&self, key: &str) -> Vec<u32> {
        let rows = self.probe.sinks().rows().await;
        rows.into_iter().filter(|row| row.key == key).map(|row| row.n).collect()
    }

    /// An app on a handle of its own, as another process has it; and its fate.
    #[track_caller]
    pub(crate) fn node<'a>(
        &'a self,
        add: impl FnOnce(AppBuilder) -> AppBuilder + Send + 'a,
    ) -> BoxFuture<'a, Node> {
        let at = Location::caller();
        Box::pin(async move {
            let node = self.try_node(add).await;
            node.unwrap_or_else(|e| panic!("{at}: the app does not start: {e:?}"))
        })
    }

    /// The same, to which this happens at the commit after so many others.
    #[track_caller]
    pub(crate) fn doomed<'a>(
        &'a self,
        commits: u32,
        mishap: Mishap,
        add: impl FnOnce(AppBuilder) -> AppBuilder + Send + 'a,
    ) -> BoxFuture<'a, Node> {
        let at = Location::caller();
        let fate = Fate::default();
        fate.after(commits, mishap);
        Box::pin(async move {
            let node = self.begun(fate, add).await;
            node.unwrap_or_else(|e| panic!("{at}: the app does not start: {e:?}"))
        })
    }

    /// One that may not start.
    pub(crate) async fn try_node(
        &self,
        add: impl FnOnce(AppBuilder) -> AppBuilder,
    ) -> Result<Node, Error> {
        self.begun(Fate::default(), add).await
    }

    async fn begun(
        &self,
        fate: Fate,
        add: impl FnOnce(AppBuilder) -> AppBuilder,
    ) -> Result<Node, Error> {
        let (store, sink) = match self.has_sink {
            false => (self.probe.another().await.shared(), None),
            true => {
                let hand = SinkHand::new(self.hand.clone());
                let (store, sink) = self.probe.sinks().open_sink(hand).await;
                (store, Some(TapSink::new(sink, fate.clone())))
            }
        };
        let mut base = App::builder()
            .store(Tap::new(store, fate.clone()))
            .clock(self.clock.clone())
            .resource(self.hand.clone())
            .runtime(self.settings);
        if let Some(sink) = sink {
            base = base.sink(ROWS, Arc::new(sink));
        }
        Node::start(add(base).build()?, fate, self.clock.clone()).await
    }

    /// The store, as another process has it.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        self.probe.another().await.shared()
    }

    /// Notes something, and tells its position.
    #[track_caller]
    pub(crate) fn note(&self, key: &str, n: u32) -> BoxFuture<'_, Position> {
        self.write(key, vec![noted(key, n)])
    }

    /// Notes several things under one key.
    #[track_caller]
    pub(crate) fn notes(
        &self,
        key: &str,
        numbers: impl IntoIterator<Item = u32>,
    ) -> BoxFuture<'_, Position> {
        self.write(key, numbers.into_iter().map(|n| noted(key, n)).collect())
    }

    /// Does something for one number after the other until something else is done, and ten times at
    /// least. What came of that, and the number after the last one.
    pub(crate) async fn meanwhile<T, F: Future<Output = ()>>(
        &self,
        first: u32,
        each: impl Fn(u32) -> F,
        work: impl Future<Output = T>,
    ) -> (T, u32) {
        let is_done = AtomicBool::new(false);
        let work = async {
            let done = work.await;
            is_done.store(true, Ordering::SeqCst);
            done
        };
        let writing = async {
            let mut n = first;
            while !is_done.load(Ordering::SeqCst) || n < first + 10 {
                each(n).await;
                n += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            n
        };
        tokio::join!(work, writing)
    }

    /// Notes a number under `key-0`, `key-1` and so on.
    pub(crate) async fn note_all(&self, keys: u32, n: u32) {
        for key in 0..keys {
            self.note(&format!("key-{key}"), n).await;
        }
    }

    /// Gives a subscription other numbers of partitions, one after the other.
    pub(crate) async fn moves(
        &self,
        node: &Node,
        name: &str,
        numbers: impl IntoIterator<Item = u32>,
    ) {
        for partitions in numbers {
            let done = node.subscriptions().repartition(name, partitions, PATIENCE).await;
            done.unwrap_or_else(|e| panic!("to {partitions}: {e:?}"));
            assert_eq!(node.status(name).await.partitions, partitions);
        }
    }

    /// Writes events to the stream of a key.
    #[track_caller]
    pub(crate) fn write(&self, key: &str, events: Vec<NewEvent>) -> BoxFuture<'_, Position> {
        self.commit(to_stream(key, events))
    }

    /// Commits something, as others do.
    #[track_caller]
    pub(crate) fn commit(&self, commit: Commit) -> BoxFuture<'_, Position> {
        self.probe.applied(commit)
    }

    /// What handlers with a `Work` have kept under a key.
    #[track_caller]
    pub(crate) fn tally<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Vec<u32>> {
        let at = Location::caller();
        Box::pin(async move {
            let tallies = Documents::<Tally>::new(self.probe.handle().shared());
            let tally = tallies.get(key).await.unwrap_or_else(|e| panic!("{at}: {e:?}"));
            tally.map(|tally| tally.into_inner().notes).unwrap_or_default()
        })
    }

    /// What a subscription has set aside.
    #[track_caller]
    pub(crate) fn aside(&self, subscription: &str) -> BoxFuture<'_, Vec<ParkedEntry>> {
        let (at, find) = (Location::caller(), FindParked::of(subscription).limit(10_000));
        Box::pin(async move {
            self.probe.parked(find).await.unwrap_or_else(|e| panic!("{at}: no entries: {e:?}"))
        })
    }

    /// How many entries of a subscription are in a state.
    #[track_caller]
    pub(crate) fn count<'a>(
        &'a self,
        subscription: &'a str,
        state: ParkedState,
    ) -> BoxFuture<'a, usize> {
        let aside = self.aside(subscription);
        Box::pin(async move { aside.await.iter().filter(|e| e.state == state).count() })
    }

    /// Lets virtual time pass, a little at a time, until something is done: far less of it than a trip
    /// waits.
    pub(crate) async fn passing<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(Duration::from_millis(10)) => {
                    self.clock.advance(Duration::from_millis(100));
                }
            }
        }
    }

    /// Waits until each of two nodes runs some partitions of a subscription, and no other node does.
    #[track_caller]
    pub(crate) fn shared<'a>(&'a self, name: &'a str, nodes: [&'a Node; 2]) -> BoxFuture<'a, ()> {
        until("partitions on both nodes", move || async move {
            let [one, other] = nodes.map(|node| node.status(name));
            let (one, other) = (one.await, other.await);
            let is_shared = one.here > 0 && other.here > 0;
            (is_shared && one.here + other.here == one.partitions).then_some(())
        })
    }

    /// Waits until one node runs all partitions of a subscription.
    #[track_caller]
    pub(crate) fn alone<'a>(&'a self, name: &'a str, node: &'a Node) -> BoxFuture<'a, ()> {
        until("all partitions on one node", move || async move {
            let status = node.status(name).await;
            (status.here == status.partitions).then_some(())
        })
    }

    /// Waits until the partitions of the relay are with so many nodes.
    #[track_caller]
    pub(crate) fn relayed_by(&self, nodes: usize) -> BoxFuture<'_, ()> {
        until("the relay with its nodes", move || async move {
            let held = self.probe.held("cqrs.relay/").await;
            let holders: BTreeSet<_> = held.iter().map(|lease| &lease.holder).collect();
            let all = self.settings.relay_partitions as usize;
            (held.len() == all && holders.len() == nodes).then_some(())
        })
    }

    /// Waits until so many notes were handled.
    #[track_caller]
    pub(crate) fn handled(&self, notes: usize) -> BoxFuture<'_, ()> {
        until("notes handled", move || async move { (self.hand.count() >= notes).then_some(()) })
    }

    /// Where a partition's checkpoint stands; 0: nowhere yet.
    #[track_caller]
    pub(crate) fn stands(&self, name: &str, partition: u32) -> BoxFuture<'_, Position> {
        let stands = self.probe.stands(name, partition);
        Box::pin(async move { stands.await.unwrap_or(0) })
    }
}
