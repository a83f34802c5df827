//! What operators see of the subscriptions, and what they can do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::app::App;
use crate::error::{Error, ErrorKind, Result};
use crate::port::Position;
use crate::port::outgoing::FindOutgoing;
use crate::port::parked::FindParked;
use crate::runtime::consumer::SubscriptionKind;
use crate::runtime::control::{Control, Generation, Moving};
use crate::runtime::controls::Known;
use crate::runtime::progress::SlotState;
use crate::runtime::running::Started;
use crate::runtime::slot::Definition;
use crate::runtime::{controls, reached, relay};

/// Entries that are counted; there may be more.
const COUNTED: usize = 1_000;

/// How long is waited for a replay to begin.
const BEGINS: Duration = Duration::from_secs(30);

const MOVES: &str = "is given another generation of partitions just now";
const PARKED: &str = "has parked events: retry or discard them";

/// How a subscription stands: [`Subscriptions::list`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: SubscriptionKind,
    /// Its partitions.
    pub partitions: u32,
    /// Up to here all of them have handled everything, or set it aside. The relay's: up to here
    /// everything is sent.
    pub position: Position,
    /// The end of the log.
    pub head: Position,
    /// Positions between the two.
    pub lag: u64,
    /// How it does.
    pub state: SubscriptionState,
    /// Entries that are set aside, those that wait behind others among them; at most 1,000 are counted.
    pub parked: u64,
    /// Partitions that this node runs.
    pub here: u32,
    /// How far what is built anew has come, where something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub building: Option<Position>,
}

/// How a subscription does. See [`SubscriptionStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "why")]
#[non_exhaustive]
pub enum SubscriptionState {
    /// It handles what comes.
    Running,
    /// It was paused.
    Paused,
    /// Its number of partitions is being changed.
    Moving,
    /// It is built anew, beside what is live.
    Building,
    /// Too much waits behind this key.
    Full(String),
    /// It fails, and is begun again and again.
    Failing(String),
}

/// The subscriptions of an app that is [started](App::start): what operators see and do.
///
/// ```
/// use cqrs_core::{App, Result};
///
/// async fn watch(app: &App) -> Result<()> {
///     for subscription in app.subscriptions()?.list().await? {
///         println!("{}: {} behind, {:?}", subscription.name, subscription.lag, subscription.state);
///     }
///     app.subscriptions()?.pause("shop.mailer").await
/// }
/// # let _ = watch;
/// ```
#[derive(Clone)]
pub struct Subscriptions(Arc<Started>);

impl App {
    /// Its subscriptions, once it is started.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when it is not.
    pub fn subscriptions(&self) -> Result<Subscriptions> {
        self.started().map(|started| Subscriptions(started.clone()))
    }
}

impl Subscriptions {
    /// How all of them stand, in the order of their names, and the relay, which sends what commits
    /// send. Handlers that run [live](crate::Subscription::live) have no place that could be told.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self) -> Result<Vec<SubscriptionStatus>> {
        let mut all = Vec::with_capacity(self.0.definitions.len());
        for definition in &self.0.definitions {
            all.push(self.status(definition).await?);
        }
        all.push(self.relay().await?);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// How one of them stands. The relay is called `cqrs.relay`.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName); when the store cannot be read.
    pub async fn get(&self, subscription: &str) -> Result<SubscriptionStatus> {
        match subscription {
            relay::NAME => self.relay().await,
            _ => self.status(self.definition(subscription)?).await,
        }
    }

    /// The relay stands before the first message that waits: for its turn, its time or an operator.
    async fn relay(&self) -> Result<SubscriptionStatus> {
        let node = &self.0.node;
        let mut first = FindOutgoing::after(0);
        first.page.events = 1;
        // Before the message is looked for: what comes meanwhile is behind it.
        let head = node.store.head().await?.position;
        let first = node.store.outgoing(first).await?.pop();
        let position = first.map_or(head, |first| head.min(first.position - 1));
        let find = FindParked::of(relay::NAME).limit(COUNTED as u32);
        let here = (0..self.0.relay)
            .filter_map(|index| node.progress.of(&(relay::NAME.to_owned(), index)));
        let here: Vec<SlotState> = here.map(|slot| slot.state).collect();
        let failing = here.iter().find_map(|state| match state {
            SlotState::Failing(why) => Some(SubscriptionState::Failing(why.clone())),
            _ => None,
        });
        Ok(SubscriptionStatus {
            name: relay::NAME.to_owned(),
            kind: SubscriptionKind::Relay,
            partitions: self.0.relay,
            position,
            head,
            lag: head - position,
            state: failing.unwrap_or(SubscriptionState::Running),
            parked: node.store.parked(find).await?.len() as u64,
            here: here.len() as u32,
            building: None,
        })
    }

    async fn status(&self, definition: &Arc<Definition>) -> Result<SubscriptionStatus> {
        let node = &self.0.node;
        let control = self.control(definition.name)?;
        let live = &control.live;
        // The head after the position: no lag is below zero.
        let position = reached::position(node, definition, live).await?;
        let head = node.store.head().await?.position.max(position);
        let building = match &control.building {
            Some(building) => Some(reached::position(node, definition, building).await?),
            None => None,
        };
        let find = FindParked::of(&*live.parked).limit(COUNTED as u32);
        let parked = node.store.parked(find).await?.len() as u64;
        Ok(SubscriptionStatus {
            name: definition.name.to_owned(),
            kind: definition.subscriber.kind(),
            partitions: live.partitions,
            position,
            head,
            lag: head - position,
            state: self.state(&control),
            parked,
            here: self.here(live).count() as u32,
            building,
        })
    }

    /// The partitions of a generation that run on this node.
    fn here<'a>(&'a self, live: &'a Generation) -> impl Iterator<Item = SlotState> + 'a {
        (0..live.partitions)
            .filter_map(|index| Some(self.0.node.progress.of(&controls::slot(live, index))?.state))
    }

    fn state(&self, control: &Control) -> SubscriptionState {
        let failing = self.here(&control.live).find_map(|state| match state {
            SlotState::Failing(why) => Some(SubscriptionState::Failing(why)),
            SlotState::Full(key) => Some(SubscriptionState::Full(key)),
            SlotState::Running | SlotState::Waiting(_) => None,
        });
        match (failing, control.moving, &control.building) {
            _ if control.paused => SubscriptionState::Paused,
            (Some(failing), ..) => failing,
            (None, Some(_), _) => SubscriptionState::Moving,
            (None, None, Some(_)) => SubscriptionState::Building,
            (None, None, None) => SubscriptionState::Running,
        }
    }

    /// Stops handing out events, on all nodes: within a second or so, what is in hand is finished.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName); when the store cannot be written.
    pub async fn pause(&self, subscription: &str) -> Result<()> {
        self.change(subscription, |control| Ok(Some(Control { paused: true, ..control.clone() })))
            .await
    }

    /// Goes on after a pause, where it was.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName); when the store cannot be written.
    pub async fn resume(&self, subscription: &str) -> Result<()> {
        self.change(subscription, |control| Ok(Some(Control { paused: false, ..control.clone() })))
            .await
    }

    /// Changes the number of partitions: all of them go on to where the log ends now, and the new ones
    /// begin there. No event is lost or handled twice. Returns when it is done; when the future is
    /// dropped, it goes on.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName); [`Invalid`](ErrorKind::Invalid) when it is paused, or
    /// its number is being changed already; [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) when it
    /// is not done within `patience`: it goes on, and another call waits on. When the store cannot be
    /// written.
    pub async fn repartition(
        &self,
        subscription: &str,
        partitions: u32,
        patience: Duration,
    ) -> Result<()> {
        let partitions = partitions.clamp(1, 1024);
        let node = &self.0.node;
        let at = node.store.head().await?.position;
        self.change(subscription, |control| match control.moving {
            _ if control.paused => Err(refused(subscription, "is paused: resume it first")),
            Some(moving) if moving.partitions == partitions && !moving.replay => Ok(None),
            Some(_) => Err(refused(subscription, MOVES)),
            None if control.live.partitions == partitions => Ok(None),
            None => {
                let moving = Some(Moving { partitions, at, replay: false });
                Ok(Some(Control { moving, ..control.clone() }))
            }
        })
        .await?;
        self.until(subscription, patience, |control| control.moving.is_none()).await
    }

    /// Builds a projection anew from the beginning of the log, beside the views that are read
    /// meanwhile, and switches once it has caught up. It goes on after a restart. What an earlier call
    /// began is given up. A handler of events that is
    /// [replayable](crate::Subscription::replayable) is handed all events again instead, up to where
    /// it stood without effects: what it sends through its [`Work`](crate::Work) is left out.
    ///
    /// Returns when it has begun; [`get`](Self::get) tells how far it is. A handler begins once all its
    /// partitions, on all nodes, stand where the log ends now.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName); [`Invalid`](ErrorKind::Invalid) for a saga, a sink, a
    /// handler that is not replayable, is paused, or has parked events;
    /// [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) when a handler has not begun within half a
    /// minute: it will; when the store cannot be written.
    pub async fn rebuild(&self, subscription: &str) -> Result<()> {
        let definition = self.definition(subscription)?;
        let node = &self.0.node;
        match definition.subscriber.kind() {
            SubscriptionKind::Projection => {
                let version = definition.subscriber.version();
                self.change(subscription, |control| {
                    Ok(Some(control.rebuilding(version, control.live.partitions)))
                })
                .await
            }
            SubscriptionKind::Handler if definition.settings.replayable => {
                let control = self.control(subscription)?;
                let parked = FindParked::of(&*control.live.parked).limit(1);
                if !node.store.parked(parked).await?.is_empty() {
                    return Err(refused(subscription, PARKED));
                }
                let at = node.store.head().await?.position;
                self.change(subscription, |control| match control.moving {
                    _ if control.paused => Err(refused(subscription, "is paused: resume it first")),
                    Some(moving) if moving.replay => Ok(None),
                    Some(_) => Err(refused(subscription, MOVES)),
                    None => {
                        let partitions = control.live.partitions;
                        let moving = Some(Moving { partitions, at, replay: true });
                        Ok(Some(Control { moving, ..control.clone() }))
                    }
                })
                .await?;
                self.until(subscription, BEGINS, |control| control.moving.is_none()).await?;
                match self.control(subscription)?.live.number == control.live.number {
                    true => Err(refused(subscription, PARKED)),
                    false => Ok(()),
                }
            }
            SubscriptionKind::Handler => {
                Err(refused(subscription, "is not replayable: see `Subscription::replayable`"))
            }
            SubscriptionKind::Sink | SubscriptionKind::Saga | SubscriptionKind::Relay => {
                Err(refused(subscription, "cannot be built anew"))
            }
        }
    }

    /// Waits until a rebuild or a new version of a projection is what is read.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName); [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) when
    /// it is not built within `patience`; when the store cannot be read.
    pub async fn built(&self, subscription: &str, patience: Duration) -> Result<()> {
        self.definition(subscription)?;
        self.until(subscription, patience, |control| control.building.is_none()).await
    }

    async fn change(
        &self,
        subscription: &str,
        change: impl Fn(&Control) -> Result<Option<Control>>,
    ) -> Result<()> {
        let definition = self.definition(subscription)?;
        self.0.controls.change(&self.0.node, definition, change).await
    }

    async fn until(
        &self,
        subscription: &str,
        patience: Duration,
        is_done: impl Fn(&Control) -> bool,
    ) -> Result<()> {
        let watch = self.0.controls.watch(subscription);
        let mut watch = watch.ok_or_else(|| controls::unknown(subscription))?;
        let done = watch.wait_for(|control| is_done(control));
        if tokio::time::timeout(patience, done).await.is_ok() {
            return Ok(());
        }
        let context = format!("`{subscription}` is not done after {patience:?}; it goes on");
        Err(Error::new(ErrorKind::DeadlineExceeded, context))
    }

    fn definition(&self, subscription: &str) -> Result<&Arc<Definition>> {
        let found = self.0.definitions.iter().find(|known| known.name == subscription);
        found.ok_or_else(|| controls::unknown(subscription))
    }

    fn control(&self, subscription: &str) -> Result<Known> {
        self.0.controls.get(subscription).ok_or_else(|| controls::unknown(subscription))
    }
}

fn refused(subscription: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid { field: None }, format!("`{subscription}` {why}"))
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.definitions.iter().map(|definition| definition.name);
        f.debug_tuple("Subscriptions").field(&names.collect::<Vec<_>>()).finish()
    }
}
