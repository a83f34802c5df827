//! What the store knows of a subscription: its partitions, whether it is paused, and what is built
//! beside it. A document, so that any node can change it.

use serde::{Deserialize, Serialize};

use crate::documents::{self, Versioned};
use crate::domain::entity::Entity;
use crate::error::Result;
use crate::port::Position;
use crate::port::commit::{Commit, DocumentWrite, Expected};
use crate::port::store::Store;

/// How a subscription is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Control {
    pub(crate) subscription: String,
    pub(crate) paused: bool,
    /// It runs in the commits of its events, and not behind the log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) inline: bool,
    pub(crate) live: Generation,
    /// What is built anew, beside the live one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) building: Option<Generation>,
    /// The live one goes on with another number of partitions, once all of them stand at a position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) moving: Option<Moving>,
    /// What nobody reads any more, and is to be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) retired: Vec<Generation>,
}

/// One run of a subscription through the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    /// Counts them, from 1.
    pub(crate) number: u32,
    /// Version of what the subscription makes of the events.
    pub(crate) version: u16,
    /// The name of its checkpoints.
    pub(crate) checkpoint: String,
    /// The name under which it sets things aside.
    pub(crate) parked: String,
    /// Counts its views apart from those of others; 1: under their own name.
    pub(crate) views: u32,
    pub(crate) partitions: u32,
    /// Where a partition without a checkpoint begins.
    pub(crate) start: Position,
    /// Up to here events were handled before: effects are silent.
    #[serde(default)]
    pub(crate) replay_to: Position,
}

/// Another number of partitions. See [`Control::moving`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moving {
    pub(crate) partitions: u32,
    pub(crate) at: Position,
}

impl Entity for Control {
    const COLLECTION: &'static str = "cqrs.subscriptions";

    fn id(&self) -> String {
        self.subscription.clone()
    }
}

impl Control {
    pub(crate) fn new(subscription: &str, version: u16, partitions: u32, start: Position) -> Self {
        let live = Generation {
            number: 1,
            version,
            checkpoint: subscription.to_owned(),
            parked: subscription.to_owned(),
            views: 1,
            partitions,
            start,
            replay_to: 0,
        };
        let subscription = subscription.to_owned();
        Self {
            subscription,
            paused: false,
            inline: false,
            live,
            building: None,
            moving: None,
            retired: Vec::new(),
        }
    }

    /// The generation that follows all there are, named for it.
    fn next_number(&self) -> u32 {
        let all = self.retired.iter().chain(&self.building).chain([&self.live]);
        all.map(|generation| generation.number).max().unwrap_or(0) + 1
    }

    /// The live generation, with another number of partitions from a position on.
    pub(crate) fn moved(&self, moving: Moving) -> Self {
        let number = self.next_number();
        let live = Generation {
            number,
            checkpoint: format!("{}~{number}", self.subscription),
            partitions: moving.partitions,
            start: moving.at,
            ..self.live.clone()
        };
        Self { live, moving: None, ..self.clone() }
    }

    /// A new generation from the beginning, beside the live one.
    pub(crate) fn rebuilding(&self, version: u16, partitions: u32) -> Self {
        let number = self.next_number();
        let name = format!("{}~{number}", self.subscription);
        let building = Generation {
            number,
            version,
            checkpoint: name.clone(),
            parked: name,
            views: number,
            partitions,
            start: 0,
            replay_to: 0,
        };
        let mut retired = self.retired.clone();
        retired.extend(self.building.clone());
        Self { building: Some(building), retired, ..self.clone() }
    }

    /// What was built is the live one from now on.
    pub(crate) fn switched(&self) -> Self {
        let Some(building) = self.building.clone() else { return self.clone() };
        let mut retired = self.retired.clone();
        retired.push(self.live.clone());
        Self { live: building, building: None, moving: None, retired, ..self.clone() }
    }

    /// A new generation from the beginning, at once in the place of the live one.
    pub(crate) fn remade(&self, version: u16, partitions: u32) -> Self {
        Self { inline: false, ..self.rebuilding(version, partitions).switched() }
    }

    /// The live generation, once more from the beginning, without effects up to a position.
    pub(crate) fn replayed(&self, to: Position) -> Self {
        let number = self.next_number();
        let live = Generation {
            number,
            checkpoint: format!("{}~{number}", self.subscription),
            start: 0,
            replay_to: to,
            ..self.live.clone()
        };
        Self { live, moving: None, ..self.clone() }
    }

    /// The generations that run.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Generation> {
        [&self.live].into_iter().chain(&self.building)
    }
}

/// Reads what the store knows of a subscription.
pub(crate) async fn read(
    store: &dyn Store,
    subscription: &str,
) -> Result<Option<Versioned<Control>>> {
    documents::get::<Control>(store, None, subscription).await
}

/// Writes it, where it is still as it was read; `None`: it is new.
pub(crate) async fn write(
    store: &dyn Store,
    before: Option<&Versioned<Control>>,
    control: &Control,
) -> Result<()> {
    let expected = before.map_or(Expected::NoStream, |b| Expected::Exactly(b.version()));
    let key = documents::key::<Control>(None, &control.subscription);
    let put = DocumentWrite::put(key, expected, documents::encode(control)?);
    store.commit(Commit { documents: vec![put], ..Commit::default() }).await?;
    Ok(())
}
