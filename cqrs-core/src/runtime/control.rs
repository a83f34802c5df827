//! What the store knows of a subscription: its partitions, whether it is paused, and what is built
//! beside it. A document, so that any node can change it.

use serde::{Deserialize, Serialize};

use crate::documents::{self, Versioned};
use crate::error::Result;
use crate::port::Position;
use crate::port::commit::{Commit, DocumentWrite, Expected, Fence};
use crate::port::store::Store;
use crate::schema::entity::Entity;

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
    /// Another one follows the live one, once all of its partitions stand at a position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) moving: Option<Moving>,
    /// What nobody reads any more, and is to be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) retired: Vec<Generation>,
    /// The highest number that a generation ever had: what it wrote under its name is still there.
    #[serde(default)]
    pub(crate) last: u32,
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

/// Another generation in the place of the live one. See [`Control::moving`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moving {
    pub(crate) partitions: u32,
    pub(crate) at: Position,
    /// It begins again, without effects up to there.
    #[serde(default)]
    pub(crate) replay: bool,
}

/// A partition that stands where the live generation ends, and goes no further. Its checkpoint alone
/// does not tell: a node that does not know yet may be handling the next event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Standing {
    slot: String,
    pub(crate) at: Position,
}

/// A place that runs: which generation, which partition, and how far it goes.
pub(crate) type Place = (u32, u32, Option<Position>);

impl Entity for Control {
    const COLLECTION: &'static str = "cqrs.subscriptions";

    fn id(&self) -> String {
        self.subscription.clone()
    }
}

impl Entity for Standing {
    const COLLECTION: &'static str = "cqrs.standing";

    fn id(&self) -> String {
        self.slot.clone()
    }
}

impl Generation {
    /// The name of a partition, for its lease and for where it stands.
    pub(crate) fn slot(&self, index: u32) -> String {
        format!("{}/{index}", self.checkpoint)
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
            last: 1,
        }
    }

    /// The generation that follows all there are, named for it.
    fn next_number(&self) -> u32 {
        let all = self.retired.iter().chain(&self.building).chain([&self.live]);
        all.map(|generation| generation.number).fold(self.last, u32::max) + 1
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
        Self { live, moving: None, last: number, ..self.clone() }
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
        Self { building: Some(building), retired, last: number, ..self.clone() }
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
        Self { live, moving: None, last: number, ..self.clone() }
    }

    /// The next generation, now that all partitions of the live one stand.
    pub(crate) fn followed(&self, moving: Moving) -> Self {
        match moving.replay {
            true => self.replayed(moving.at),
            false => self.moved(moving),
        }
    }

    /// The partitions that are to run.
    pub(crate) fn places(&self) -> Vec<(Place, Generation)> {
        if self.paused {
            return Vec::new();
        }
        let mut places = Vec::new();
        for generation in self.running() {
            let is_live = generation.number == self.live.number;
            let stop_at = self.moving.filter(|_| is_live).map(|moving| moving.at);
            for index in 0..generation.partitions {
                places.push(((generation.number, index, stop_at), generation.clone()));
            }
        }
        places
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
    let mut documents = vec![DocumentWrite::put(key, expected, documents::encode(control)?)];
    if let Some(before) = before.filter(|b| b.moving.is_some() && control.moving.is_none()) {
        // What was said of a generation that is to stand does not hold for one that goes on.
        let slots = (0..before.live.partitions).map(|index| before.live.slot(index));
        let keys = slots.map(|slot| documents::key::<Standing>(None, &slot));
        documents.extend(keys.map(|key| DocumentWrite::delete(key, Expected::Any)));
    }
    store.commit(Commit { documents, ..Commit::default() }).await?;
    Ok(())
}

/// Tells that a partition stands, and goes no further as long as its lease is held.
pub(crate) async fn stand(
    store: &dyn Store,
    slot: String,
    at: Position,
    fence: Fence,
) -> Result<()> {
    let standing = Standing { slot, at };
    let key = documents::key::<Standing>(None, &standing.slot);
    let put = DocumentWrite::put(key, Expected::Any, documents::encode(&standing)?);
    store.commit(Commit { documents: vec![put], fences: vec![fence], ..Commit::default() }).await?;
    Ok(())
}

/// Where all partitions of a generation stand, the one that is furthest; `None`: not all stand, so far
/// at least.
pub(crate) async fn all_stand(
    store: &dyn Store,
    generation: &Generation,
    so_far: Position,
) -> Result<Option<Position>> {
    let mut furthest = so_far;
    for index in 0..generation.partitions {
        let slot = generation.slot(index);
        match documents::get::<Standing>(store, None, &slot).await? {
            Some(standing) if standing.at >= so_far => furthest = furthest.max(standing.at),
            _ => return Ok(None),
        }
    }
    Ok(Some(furthest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_generation_has_the_name_of_an_earlier_one() {
        let mut control = Control::new("balances", 1, 4, 0);
        let mut names = vec![control.live.checkpoint.clone()];
        for partitions in 5..9 {
            control = control.rebuilding(1, 4);
            names.extend(control.building.iter().map(|building| building.checkpoint.clone()));
            control = control.moved(Moving { partitions, at: 9, replay: false });
            names.push(control.live.checkpoint.clone());
            // The other one takes its place, and nothing is left of it.
            control = Control { retired: Vec::new(), ..control.switched() };
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }
}
