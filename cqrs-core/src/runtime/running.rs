//! The runtime of an app while it runs: started, drained and stopped in order.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::{App, Inner};
use crate::error::{Error, ErrorKind, Result};
use crate::message::id::MessageId;
use crate::message::timestamp::Timestamp;
use crate::port::capabilities::{Capabilities, Support};
use crate::port::outgoing::FindOutgoing;
use crate::port::parked::FindParked;
use crate::port::timer::FindTimers;
use crate::runtime::controls::Controls;
use crate::runtime::inbound::Inbound;
use crate::runtime::key::Slice;
use crate::runtime::leases::Leases;
use crate::runtime::live::LiveProjection;
use crate::runtime::live_handler::Live;
use crate::runtime::node::{Activity, Node, Quit, Stopping};
use crate::runtime::progress::{Progress, SlotProgress, SlotState};
use crate::runtime::reached;
use crate::runtime::relay::{self, Relay};
use crate::runtime::slot::Definition;
use crate::runtime::subscriptions;
use crate::runtime::tail::Tail;
use crate::runtime::timers;

/// What the app and its runtime share once it is started.
pub(crate) struct Started {
    pub(crate) node: Arc<Node>,
    pub(crate) controls: Controls,
    pub(crate) definitions: Vec<Arc<Definition>>,
    pub(crate) sagas: Vec<&'static str>,
    /// How many partitions the relay has.
    pub(crate) relay: u32,
    /// Projections in memory.
    pub(crate) lives: Vec<Arc<dyn LiveProjection>>,
    ready: watch::Sender<bool>,
}

/// The runtime of an app: everything that follows its commits. Dropping it ends it at once, as if the
/// process had died: what was in hand is done again. See [`App::start`].
#[must_use = "the runtime ends when this is dropped"]
pub struct Running {
    /// What handles the commands that are sent.
    _app: App,
    started: Arc<Started>,
    /// What is finished when it is stopped.
    work: JoinSet<()>,
    /// What goes on until the work is finished.
    service: JoinSet<()>,
    /// What keeps the leases until nobody needs them.
    keeping: JoinSet<()>,
}

impl App {
    /// Starts what follows the commits of this app, its subscriptions, sagas, timers, and the relay
    /// that sends what commits send; and what listens to other services. Once for each app.
    ///
    /// Several processes may run the same app on one store: each partition is run by one of them, and
    /// another takes over when that one dies.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cqrs_core::memory::MemoryStore;
    /// use cqrs_core::{App, HandlerError};
    /// # use cqrs_core::{Append, Commit, Event, EventType, Expected, Json, NewEvent, Payload, Store, StreamId};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Debug, Clone, Serialize, Deserialize)]
    /// # struct Opened { owner: String }
    /// # impl Event for Opened {
    /// #     const TYPES: &'static [EventType] = &[EventType::new("bank.opened", "Opened")];
    /// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
    /// # }
    ///
    /// async fn welcome(event: Opened) -> Result<(), HandlerError> {
    ///     println!("Welcome, {}!", event.owner);
    ///     Ok(())
    /// }
    ///
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// let store = MemoryStore::default();
    /// let app = App::builder().store(store.clone()).event_handler("bank.welcome", welcome).build()?;
    /// let running = app.start().await?;
    /// # let event = NewEvent::new("bank.opened", Payload::Json(Json::parse(r#"{"owner":"Ada"}"#)?));
    /// # let append = Append { stream: StreamId::new("account", "17"), expected: Expected::Any, events: vec![event] };
    /// # store.commit(Commit { appends: vec![append], ..Commit::default() }).await?;
    /// running.settled().await?;
    /// running.stop(Duration::from_secs(10)).await?;
    /// # Ok::<_, cqrs_core::BoxError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when it was started before, or has no store;
    /// [`Unsupported`](ErrorKind::Unsupported) when the store lacks what the runtime needs;
    /// [`SchemaTooNew`](ErrorKind::SchemaTooNew) when a newer program built a projection; when the
    /// store cannot be read or written. With listeners, [`Invalid`](ErrorKind::Invalid) as well when
    /// the inbox of the store forgets messages before the bus does (P18), or the bus refuses a group. A
    /// bus that is out of reach is no error: it is tried again.
    pub async fn start(&self) -> Result<Running> {
        let Some(store) = self.store().cloned() else {
            let context = "an app without a store has nothing to run: `AppBuilder::store`";
            return Err(Error::new(ErrorKind::Invalid { field: None }, context));
        };
        offers_all(store.capabilities())?;
        self.0.following.ready().await?;
        let settings = self.0.settings;
        let head = store.head().await?.position;
        let node = Arc::new(Node {
            clock: self.0.clock.clone(),
            settings,
            tail: Tail::at(head),
            leases: Leases::new(MessageId::fresh().to_string(), settings.lease),
            progress: Progress::default(),
            stopping: watch::Sender::new(Stopping::No),
            parked_changed: watch::Sender::new(0),
            suspects: tokio::sync::Mutex::default(),
            timers_changed: tokio::sync::Notify::new(),
            activity: Activity::default(),
            store,
        });
        let (live, definitions): (Vec<_>, Vec<_>) =
            self.0.definitions.iter().cloned().partition(|known| known.settings.live);
        let controls = Controls::load(&node, &definitions).await?;
        let sagas = self.0.sagas.keys().copied().collect();
        let relay = relay::partitions::partitions(&node).await?;
        let inbound = match &self.0.bus {
            Some(bus) => Some(Inbound::join(&node, bus, &self.0.listeners).await?),
            None => None,
        };
        let lives = self.0.following.lives.clone();
        let ready = watch::Sender::new(definitions.is_empty() && lives.is_empty());
        let started = Arc::new(Started { node, controls, definitions, sagas, lives, relay, ready });
        if self.0.started.set(started.clone()).is_err() {
            let context = "the app was started before: it has one runtime";
            return Err(Error::new(ErrorKind::Invalid { field: None }, context));
        }
        let mut running = Running {
            _app: self.clone(),
            started: started.clone(),
            work: JoinSet::new(),
            service: JoinSet::new(),
            keeping: JoinSet::new(),
        };
        running.spawn_service(head);
        for live in &started.lives {
            let quit = Quit::new(started.node.clone(), watch::channel(false).1);
            running.work.spawn(live.clone().run(started.node.clone(), quit));
        }
        for definition in &started.definitions {
            let Some(control) = started.controls.watch(definition.name) else { continue };
            running.work.spawn(subscriptions::run(
                started.node.clone(),
                definition.clone(),
                control,
            ));
        }
        for partition in live.iter().flat_map(|live| Live::all(&started.node, live, head)) {
            let (never, cancelled) = watch::channel(false);
            let quit = Quit::new(started.node.clone(), cancelled);
            running.work.spawn(async move {
                let _never = never;
                partition.run(quit).await;
            });
        }
        running.spawn_sending(&Arc::new(Relay::new(
            Arc::downgrade(&self.0),
            self.0.sagas.clone(),
            self.0.bus.clone(),
        )));
        if let Some(inbound) = inbound {
            running.work.spawn(inbound.run());
        }
        Ok(running)
    }

    pub(crate) fn started(&self) -> Result<&Arc<Started>> {
        self.0.started()
    }
}

impl Inner {
    pub(crate) fn started(&self) -> Result<&Arc<Started>> {
        self.started.get().ok_or_else(|| {
            let context = "the app is not started: `App::start`";
            Error::new(ErrorKind::Invalid { field: None }, context)
        })
    }
}

impl Running {
    /// The relay, and the timers of sagas.
    fn spawn_sending(&mut self, relay: &Arc<Relay>) {
        let (node, of) = (&self.started.node, self.started.relay);
        for index in 0..of {
            let (never, cancelled) = watch::channel(false);
            let (relay, quit) = (relay.clone(), Quit::new(node.clone(), cancelled));
            let node = node.clone();
            self.work.spawn(async move {
                let _never = never;
                relay.run(node, Slice { index, of }, quit).await;
            });
        }
        let (never, cancelled) = watch::channel(false);
        let (quit, node) = (Quit::new(node.clone(), cancelled), node.clone());
        let sagas = self.started.sagas.clone();
        self.work.spawn(async move {
            let _never = never;
            timers::run(node, sagas, quit).await;
        });
    }

    fn spawn_service(&mut self, head: u64) {
        let of = || self.started.clone();
        let (tail, leases, control, ready) = (of(), of(), of(), of());
        self.service.spawn(async move {
            let node = &tail.node;
            node.tail.follow(&node.store, node.settings.poll).await;
        });
        self.keeping.spawn(async move { leases.node.leases.keep(&*leases.node.store).await });
        self.service.spawn(async move {
            control.controls.follow(&control.node, &control.definitions).await;
        });
        self.service.spawn(async move { ready.become_ready(head).await });
    }

    /// Whether every subscription has caught up with where the log was when this node was started,
    /// here or on another node, none is failing, and the stop has not begun.
    pub fn is_ready(&self) -> bool {
        self.readiness().is_ready()
    }

    /// Tells whether it is ready, from elsewhere.
    pub fn readiness(&self) -> Readiness {
        Readiness(self.started.clone())
    }

    /// Waits until it is ready.
    pub async fn ready(&self) {
        let mut ready = self.started.ready.subscribe();
        // The sender lives in what is started.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Waits until nothing is left to do now: all events are handled or set aside, everything is sent
    /// that can be, and no timer is due. What waits for its time goes on waiting. For tests: on a
    /// node of its own, with nobody else writing.
    ///
    /// # Errors
    /// When the store cannot be read; [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) when it does
    /// not come to rest within half a minute.
    pub async fn settled(&self) -> Result<()> {
        let settled = async {
            loop {
                if let Some(begun) = self.is_settled().await?
                    && self.is_settled().await? == Some(begun)
                {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled).await.unwrap_or_else(|_| {
            let left = self.started.node.progress.all();
            let context = format!("it did not come to rest within 30 s: {left:?}");
            Err(Error::new(ErrorKind::DeadlineExceeded, context))
        })
    }

    /// How much was begun so far, when nothing is left to do.
    async fn is_settled(&self) -> Result<Option<u64>> {
        let node = &self.started.node;
        let Some(begun) = node.activity.idle() else { return Ok(None) };
        let head = node.store.head().await?.position;
        if node.tail.end() < head || !self.slots_are_at(head) {
            return Ok(None);
        }
        let now = node.clock.now();
        let mut open = self.next_timer().await?.is_some_and(|due| due <= now);
        for name in self.at_work() {
            let due = FindParked::of(name).due_by(now).limit(1);
            open = open || !node.store.parked(due).await?.is_empty();
        }
        Ok((!open && node.activity.idle() == Some(begun)).then_some(begun))
    }

    /// The names under which things are set aside that are tried again: not those of what is paused.
    fn at_work(&self) -> Vec<String> {
        let Started { controls, definitions, .. } = &*self.started;
        let controls = definitions.iter().filter_map(|known| controls.get(known.name));
        let mut names = vec![relay::NAME.to_owned()];
        for control in controls.filter(|control| !control.paused) {
            names.extend(control.running().map(|generation| generation.parked.clone()));
        }
        names
    }

    /// Whether all partitions run here and have come so far, or wait for an operator.
    fn slots_are_at(&self, head: u64) -> bool {
        let Started { node, controls, definitions, lives, relay, .. } = &*self.started;
        // Those without a checkpoint.
        let others = node.progress.all();
        let mut others = others.iter().filter(|((name, _), _)| name.ends_with(" (live)"));
        let now = node.clock.now();
        let waits = |state: &SlotState| matches!(state, SlotState::Waiting(due) if *due > now);
        let is_sent = |index| {
            let slot = node.progress.of(&(relay::NAME.to_owned(), index));
            slot.is_some_and(|slot| match slot.state {
                // What is due now is not sent yet.
                SlotState::Waiting(due) if due <= now => false,
                _ => slot.position >= head,
            })
        };
        others.all(|(_, slot)| slot.position >= head || waits(&slot.state))
            && (0..*relay).all(is_sent)
            && lives.iter().all(|live| live.at().is_some_and(|at| at >= head))
            && definitions.iter().all(|definition| {
                let Some(control) = controls.get(definition.name) else { return true };
                let is_at = |slot: SlotProgress| match slot.state {
                    // It begins again, maybe with something in hand.
                    SlotState::Failing(_) => false,
                    SlotState::Full(_) => true,
                    SlotState::Running | SlotState::Waiting(_) => slot.position >= head,
                };
                let mut slots = control.running().flat_map(|generation| {
                    (0..generation.partitions)
                        .map(|index| crate::runtime::controls::slot(generation, index))
                });
                let mut are_at = || slots.all(|slot| node.progress.of(&slot).is_some_and(is_at));
                control.paused || (control.moving.is_none() && are_at())
            })
    }

    async fn next_timer(&self) -> Result<Option<Timestamp>> {
        let mut next = None;
        for owner in &self.started.sagas {
            let find = FindTimers { owner: (*owner).to_owned(), due_by: Timestamp::MAX, limit: 1 };
            let timer = self.started.node.store.timers(find).await?.pop();
            next = [next, timer.map(|timer| timer.due)].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// When the next thing happens that waits for its time: a timer, a message that is not to be sent
    /// earlier, another attempt. For tests with a [`ManualClock`](crate::ManualClock).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next_due(&self) -> Result<Option<Timestamp>> {
        let store = &self.started.node.store;
        let now = self.started.node.clock.now();
        let waits = self.started.node.progress.all().into_iter().filter_map(|(_, slot)| {
            let SlotState::Waiting(due) = slot.state else { return None };
            Some(due)
        });
        let mut next = self.next_timer().await?.into_iter().chain(waits).min();
        for name in self.at_work() {
            let mut find = FindParked::of(name).due_by(Timestamp::MAX);
            loop {
                let page = store.parked(find.clone()).await?;
                next = page.iter().filter_map(|entry| entry.due).chain(next).min();
                match page.last().filter(|_| page.len() == find.limit as usize) {
                    Some(last) => find = find.after(last.place()),
                    None => break,
                }
            }
        }
        let mut find = FindOutgoing::after(0);
        loop {
            let page = store.outgoing(find).await?;
            let later = page.iter().filter_map(|pending| pending.message.not_before);
            next = later.filter(|due| *due > now).chain(next).min();
            match page.last() {
                Some(last) => find.after = last.position,
                None => return Ok(next),
            }
        }
    }

    /// Stops: takes in nothing new, finishes what is in hand, writes the checkpoints, and gives its
    /// leases back. What is not finished within the bound is given up, and done again at the next
    /// start; it costs no attempt (P16).
    ///
    /// # Errors
    /// When the leases could not be given back: they run out.
    pub async fn stop(mut self, bound: Duration) -> Result<()> {
        let node = self.started.node.clone();
        self.started.ready.send_replace(false);
        node.stopping.send_replace(Stopping::Draining);
        let finish = async |work: &mut JoinSet<()>| while work.join_next().await.is_some() {};
        if tokio::time::timeout(bound, finish(&mut self.work)).await.is_err() {
            tracing::warn!(?bound, "not everything was finished; giving up the rest");
            node.stopping.send_replace(Stopping::Abandoning);
            let grace = Duration::from_secs(1);
            let _ = tokio::time::timeout(grace, finish(&mut self.work)).await;
        }
        self.work.shutdown().await;
        self.service.shutdown().await;
        node.leases.end();
        // No longer than what is asked for would last.
        let _ = tokio::time::timeout(node.settings.lease, finish(&mut self.keeping)).await;
        self.keeping.shutdown().await;
        node.leases.release_all(&*node.store).await
    }
}

impl Started {
    /// Notes when all subscriptions have caught up, and when they do not any more.
    async fn become_ready(&self, head: u64) {
        let node = &self.node;
        let mut waiting: Vec<_> = self.definitions.iter().collect();
        while !waiting.is_empty() {
            let mut still = Vec::new();
            for definition in waiting {
                let Some(control) = self.controls.get(definition.name) else { continue };
                let at = reached::is_at(node, definition, &control.live, head).await;
                // A newer version is not read before it is built.
                let is_built = control.live.version >= definition.subscriber.version();
                if !(control.paused || at.unwrap_or(false)) || !is_built {
                    still.push(definition);
                }
            }
            waiting = still;
            if !waiting.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        for live in &self.lives {
            live.reach(head).await;
        }
        self.ready.send_replace(true);
    }
}

/// Tells whether the runtime is ready. See [`Running::is_ready`].
#[derive(Clone)]
pub struct Readiness(Arc<Started>);

impl Readiness {
    /// Whether it is.
    pub fn is_ready(&self) -> bool {
        let is_failing = || {
            let all = self.0.node.progress.all();
            all.iter().any(|(_, slot)| matches!(slot.state, SlotState::Failing(_)))
        };
        *self.0.ready.borrow() && !self.0.node.is_stopping() && !is_failing()
    }
}

/// What the runtime needs of a store.
fn offers_all(capabilities: &Capabilities) -> Result<()> {
    let Capabilities { leases, timers, outgoing, parked, .. } = capabilities;
    let parts =
        [("leases", leases), ("timers", timers), ("outgoing", outgoing), ("parked", parked)];
    for (part, support) in parts {
        if let Support::No(reason) = support {
            let context = format!("the runtime needs {part}, which this store lacks: {reason}");
            return Err(Error::new(ErrorKind::Unsupported { part }, context));
        }
    }
    Ok(())
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("work", &self.work.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.is_ready()).finish()
    }
}
