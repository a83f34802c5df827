//! Keeps what is known of the subscriptions up to date, and moves them on: another number of
//! partitions, the switch to what was built anew, and the removal of what nobody reads any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;

use crate::documents::Versioned;
use crate::error::{Error, ErrorKind, Result};
use crate::port::Position;
use crate::port::filter::Filter;
use crate::port::parked::FindParked;
use crate::port::read::{PageSize, ReadLog};
use crate::port::store::Store;
use crate::runtime::control::{self, Control, Generation, Moving, Standing};
use crate::runtime::node::Node;
use crate::runtime::reached;
use crate::runtime::settings::Start;
use crate::runtime::slot::Definition;

/// How the subscriptions of this process are run, as far as is known.
pub(crate) struct Controls(BTreeMap<&'static str, watch::Sender<Known>>);

/// What is known of a subscription.
pub(crate) type Known = Arc<Versioned<Control>>;

impl Controls {
    /// Reads what the store knows of each subscription, and tells it of those that are new.
    pub(crate) async fn load(node: &Arc<Node>, definitions: &[Arc<Definition>]) -> Result<Self> {
        node.store.declare(<Control as crate::Entity>::collection()).await?;
        node.store.declare(<Standing as crate::Entity>::collection()).await?;
        let mut all = BTreeMap::new();
        for definition in definitions {
            let control = load(node, definition).await?;
            all.insert(definition.name, watch::Sender::new(Arc::new(control)));
        }
        Ok(Self(all))
    }

    pub(crate) fn watch(&self, subscription: &str) -> Option<watch::Receiver<Known>> {
        self.0.get(subscription).map(watch::Sender::subscribe)
    }

    pub(crate) fn get(&self, subscription: &str) -> Option<Known> {
        self.0.get(subscription).map(|control| control.borrow().clone())
    }

    /// Takes note of what was read or written: others may have known something newer before.
    fn set(&self, control: Versioned<Control>) {
        let Some(known) = self.0.get(control.subscription.as_str()) else { return };
        known.send_if_modified(|known| {
            let is_new = control.version() > known.version();
            if is_new {
                *known = Arc::new(control);
            }
            is_new
        });
    }

    /// Changes what is known of a subscription, in the store and here.
    pub(crate) async fn change(
        &self,
        node: &Arc<Node>,
        definition: &Definition,
        change: impl Fn(&Control) -> Result<Option<Control>>,
    ) -> Result<()> {
        loop {
            let Some(before) = control::read(&*node.store, definition.name).await? else {
                return Err(unknown(definition.name));
            };
            let Some(after) = change(&before)? else {
                self.set(before);
                return Ok(());
            };
            prepare(node, definition, &after).await?;
            match write(&*node.store, Some(&before), after).await {
                Ok(after) => {
                    self.set(after);
                    return Ok(());
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks from time to time what other nodes changed, and does what is due, until it is dropped.
    pub(crate) async fn follow(&self, node: &Arc<Node>, definitions: &[Arc<Definition>]) {
        let pace = node.settings.poll.max(Duration::from_millis(50)) * 2;
        loop {
            for definition in definitions {
                if let Err(error) = self.look(node, definition).await {
                    let subscription = definition.name;
                    tracing::warn!(subscription, %error, "a subscription cannot be looked after");
                }
            }
            tokio::time::sleep(pace).await;
        }
    }

    async fn look(&self, node: &Arc<Node>, definition: &Arc<Definition>) -> Result<()> {
        let Some(before) = control::read(&*node.store, definition.name).await? else {
            return Ok(());
        };
        self.set(before.clone());
        let after = self.due(node, definition, &before).await?;
        if let Some(after) = after {
            match write(&*node.store, Some(&before), after).await {
                Ok(after) => {
                    tracing::info!(subscription = definition.name, "its partitions are moved on");
                    self.set(after);
                }
                // Another node did it.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is to be changed by itself.
    async fn due(
        &self,
        node: &Arc<Node>,
        definition: &Arc<Definition>,
        control: &Versioned<Control>,
    ) -> Result<Option<Control>> {
        if let Some(moving) = control.moving
            && let Some(at) = control::all_stand(&*node.store, &control.live, moving.at).await?
        {
            if at > moving.at {
                // One of them went on before it knew: the others follow.
                let moving = Some(Moving { at, ..moving });
                return Ok(Some(Control { moving, ..(**control).clone() }));
            }
            let parked = FindParked::of(&*control.live.parked).limit(1);
            if moving.replay && !node.store.parked(parked).await?.is_empty() {
                let subscription = definition.name;
                tracing::warn!(subscription, "it has parked events now, and is not replayed");
                return Ok(Some(Control { moving: None, ..(**control).clone() }));
            }
            return Ok(Some(control.followed(moving)));
        }
        if let Some(building) = &control.building
            // Another version may not know all of its events.
            && building.version == definition.subscriber.version()
        {
            // As far as the live one got: then it loses nothing that was seen.
            let live = reached::position(node, definition, &control.live).await?;
            if reached::position(node, definition, building).await? >= live {
                return Ok(Some(control.switched()));
            }
        }
        if let Some(retired) = control.retired.first() {
            let more = definition.subscriber.purge(node, retired).await?;
            if !more && !reached::purge_parked(node, control, retired).await? {
                let mut after = (**control).clone();
                after.retired.retain(|generation| generation != retired);
                return Ok(Some(after));
            }
        }
        Ok(None)
    }
}

/// Makes everything ready that is to run: no generation is known before that.
async fn prepare(node: &Arc<Node>, definition: &Definition, control: &Control) -> Result<()> {
    for generation in control.running() {
        definition.subscriber.prepare(node, generation).await?;
    }
    Ok(())
}

/// Writes it, and tells how it stands then.
async fn write(
    store: &dyn Store,
    before: Option<&Versioned<Control>>,
    control: Control,
) -> Result<Versioned<Control>> {
    control::write(store, before, &control).await?;
    let (id, version) = (control.subscription.clone(), before.map_or(0, Versioned::version) + 1);
    Ok(Versioned::new(control, id, version))
}

/// What the store knows of a subscription; told now if it is new.
async fn load(node: &Arc<Node>, definition: &Arc<Definition>) -> Result<Versioned<Control>> {
    let (name, store) = (definition.name, &*node.store);
    let version = definition.subscriber.version();
    let partitions = definition.settings.partitions;
    loop {
        let before = control::read(store, name).await?;
        let control = match &before {
            None => Control::new(name, version, partitions, start(store, definition).await?),
            // What it was in its commits does not tell how far it would have come behind the log.
            Some(known) if known.inline => known.remade(version, partitions),
            Some(known) => {
                let newest = known.building.as_ref().map_or(known.live.version, |b| b.version);
                if newest > version {
                    let context = format!(
                        "`{name}` was built by version {newest} of its projection, and this \
                         program has version {version}: start the newer program"
                    );
                    let (found, known) = (u32::from(newest), u32::from(version));
                    return Err(Error::new(ErrorKind::SchemaTooNew { found, known }, context));
                }
                if newest == version {
                    if known.live.partitions != partitions {
                        let stored = known.live.partitions;
                        tracing::warn!(
                            subscription = name,
                            stored,
                            asked = partitions,
                            "the number of partitions is changed by `repartition` only"
                        );
                    }
                    prepare(node, definition, known).await?;
                    return Ok(known.clone());
                }
                tracing::info!(subscription = name, version, "a newer version: building it anew");
                known.rebuilding(version, partitions)
            }
        };
        prepare(node, definition, &control).await?;
        match write(store, before.as_ref(), control).await {
            Ok(control) => return Ok(control),
            // Another node was faster.
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Where a subscription begins that runs for the first time.
async fn start(store: &dyn Store, definition: &Definition) -> Result<Position> {
    // It may have run without the runtime, as one partition.
    if let Some(position) = store.checkpoint(definition.name, 0).await? {
        return Ok(position);
    }
    let head = store.head().await?.position;
    match definition.settings.start {
        Start::Beginning => Ok(0),
        Start::Now => Ok(head),
        Start::After(position) if position <= head => Ok(position),
        Start::After(position) => {
            let context = format!(
                "`{}` is to start after {position}, and the log ends at {head}",
                definition.name
            );
            Err(Error::new(ErrorKind::BeyondHead { position, head }, context))
        }
        Start::Since(time) => {
            let filter = Filter::default().since(time);
            let page = PageSize { events: 1, ..PageSize::default() };
            let mut pages = store.read_log(ReadLog { page, ..ReadLog::after(0).filter(filter) });
            while let Some(page) = pages.next().await {
                if let Some(event) = page?.iter().next() {
                    return Ok(event.position - 1);
                }
            }
            Ok(head)
        }
    }
}

pub(crate) fn unknown(subscription: &str) -> Error {
    let name: String = subscription.chars().take(100).collect();
    let context = format!("no subscription is called {name:?}");
    Error::new(ErrorKind::UnknownName, context)
}

/// A generation's filter: what its subscriber takes, of what the settings let through.
pub(crate) fn filter(definition: &Definition) -> Filter {
    let Filter { categories, streams, tags, tenant, since, types: _ } =
        definition.settings.filter.clone();
    Filter { categories, streams, tags, tenant, since, ..definition.subscriber.filter() }
}

/// The name of a slot's checkpoint and lease.
pub(crate) fn slot(generation: &Generation, index: u32) -> (String, u32) {
    (generation.checkpoint.clone(), index)
}
