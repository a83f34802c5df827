//! Runs the partitions of one subscription, as the store says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::runtime::control::{Generation, Place};
use crate::runtime::controls::{self, Known};
use crate::runtime::feed::Feed;
use crate::runtime::key::Slice;
use crate::runtime::node::{Node, Quit};
use crate::runtime::slot::{Definition, Slot};

/// A partition that runs. When it is dropped, it ends at once.
struct Running {
    cancel: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// A partition, whatever it runs to: two of it never run at once.
type Which = (u32, u32);

/// The partitions of a subscription in this process.
struct Subscription {
    node: Arc<Node>,
    definition: Arc<Definition>,
    running: HashMap<Place, Running>,
    /// They end by themselves: none waits for another one that has something in hand for long.
    ending: HashSet<Which>,
    feeds: HashMap<u32, Arc<Feed>>,
}

/// Runs a subscription until the process stops. When the task is dropped, its partitions end at once.
pub(crate) async fn run(
    node: Arc<Node>,
    definition: Arc<Definition>,
    mut control: watch::Receiver<Known>,
) {
    let quit = Quit::new(node.clone(), watch::channel(false).1);
    let mut subscription = Subscription {
        node,
        definition,
        running: HashMap::new(),
        ending: HashSet::new(),
        feeds: HashMap::new(),
    };
    let mut ending = FuturesUnordered::new();
    loop {
        let known = control.borrow_and_update().clone();
        let wanted = if quit.is_set() { Vec::new() } else { subscription.wanted(&known) };
        for (place, mut running) in subscription.cancel(&wanted) {
            ending.push(async move {
                // A panic in it was told of where it was.
                let _ = (&mut running.task).await;
                place
            });
        }
        subscription.begin(wanted);
        if quit.is_set() && ending.is_empty() {
            return;
        }
        tokio::select! {
            changed = control.changed() => if changed.is_err() { return },
            Some((number, index, _)) = ending.next() => {
                subscription.ending.remove(&(number, index));
            }
            () = quit.set(), if !quit.is_set() => {}
        }
    }
}

impl Subscription {
    /// What is to run here. What another version of this program makes is for the nodes that have it.
    fn wanted(&self, known: &Known) -> Vec<(Place, Generation)> {
        let version = self.definition.subscriber.version();
        let mut wanted = known.places();
        wanted.retain(|(_, generation)| generation.version == version);
        wanted
    }

    /// Tells those to end that are not wanted.
    fn cancel(&mut self, wanted: &[(Place, Generation)]) -> Vec<(Place, Running)> {
        let is_wanted = |place: &Place| wanted.iter().any(|(wanted, _)| wanted == place);
        let gone: Vec<_> = self.running.extract_if(|place, _| !is_wanted(place)).collect();
        for ((number, index, _), running) in &gone {
            running.cancel.send_replace(true);
            self.ending.insert((*number, *index));
        }
        gone
    }

    /// Begins what is wanted and does not run, unless it has not ended yet.
    fn begin(&mut self, wanted: Vec<(Place, Generation)>) {
        self.feeds.retain(|number, _| wanted.iter().any(|((n, ..), _)| n == number));
        for (place, generation) in wanted {
            let (number, index, stop_at) = place;
            if self.running.contains_key(&place) || self.ending.contains(&(number, index)) {
                continue;
            }
            let feed = self.feeds.entry(number).or_insert_with(|| {
                let batch = self.definition.settings.batch;
                Arc::new(Feed::new(controls::filter(&self.definition), batch))
            });
            let slot = Slot {
                node: self.node.clone(),
                definition: self.definition.clone(),
                slice: Slice { index, of: generation.partitions },
                generation,
                feed: feed.clone(),
                stop_at,
            };
            let (cancel, cancelled) = watch::channel(false);
            let task = tokio::spawn(slot.run(Quit::new(self.node.clone(), cancelled)));
            self.running.insert(place, Running { cancel, task });
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
