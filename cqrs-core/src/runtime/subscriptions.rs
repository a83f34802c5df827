//! Runs the partitions of one subscription, as the store says.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::runtime::control::Place;
use crate::runtime::controls::{self, Known};
use crate::runtime::feed::Feed;
use crate::runtime::key::Slice;
use crate::runtime::node::{Node, Quit};
use crate::runtime::slot::{Definition, Slot};

struct Running {
    cancel: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Runs a subscription until the process stops. When the task is dropped, its partitions end at once.
pub(crate) async fn run(
    node: Arc<Node>,
    definition: Arc<Definition>,
    mut control: watch::Receiver<Known>,
) {
    let mut running: HashMap<Place, Running> = HashMap::new();
    let mut feeds: HashMap<u32, Arc<Feed>> = HashMap::new();
    let nothing = watch::channel(false);
    let quit = Quit::new(node.clone(), nothing.1);
    loop {
        let wanted = control.borrow_and_update().clone();
        let mut wanted = if quit.is_set() { Vec::new() } else { wanted.places() };
        // What another version of this program makes is for the nodes that have it.
        wanted.retain(|(_, generation)| generation.version == definition.subscriber.version());
        let gone: Vec<Place> = running
            .keys()
            .filter(|place| !wanted.iter().any(|(w, _)| w == *place))
            .copied()
            .collect();
        // First those that are to end: two of one partition never run at once.
        let ended = gone.into_iter().filter_map(|place| running.remove(&place));
        let ended: Vec<Running> =
            ended.inspect(|r| r.cancel.send_modify(|cancelled| *cancelled = true)).collect();
        for mut running in ended {
            // A panic in it was told of where it was.
            let _ = (&mut running.task).await;
        }
        if quit.is_set() {
            return;
        }
        feeds.retain(|number, _| wanted.iter().any(|((n, ..), _)| n == number));
        for (place, generation) in wanted {
            if running.contains_key(&place) {
                continue;
            }
            let (number, index, stop_at) = place;
            let feed = feeds.entry(number).or_insert_with(|| {
                let batch = definition.settings.batch;
                Arc::new(Feed::new(controls::filter(&definition), batch))
            });
            let slice = Slice { index, of: generation.partitions };
            let slot = Slot {
                node: node.clone(),
                definition: definition.clone(),
                generation,
                slice,
                feed: feed.clone(),
                stop_at,
            };
            let (cancel, cancelled) = watch::channel(false);
            let task = tokio::spawn(slot.run(Quit::new(node.clone(), cancelled)));
            running.insert(place, Running { cancel, task });
        }
        tokio::select! {
            changed = control.changed() => if changed.is_err() { return },
            () = quit.set() => {}
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
