//! The leases of this process: asked for, kept, given back, and shared fairly with other nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::error::Result;
use crate::message::fingerprint::Fingerprint;
use crate::port::lease::{Lease, LeaseRequest};
use crate::port::store::Store;

/// Nodes show that they are there by a lease of this kind.
const PRESENCE: &str = "cqrs.node/";

/// The leases that this process wants, and those it has.
pub(crate) struct Leases {
    holder: String,
    term: Duration,
    wanted: Mutex<BTreeMap<String, Wanted>>,
    /// What was asked for and not given back: this process may have it.
    held: Mutex<BTreeSet<String>>,
    /// Something is wanted anew.
    asked: Notify,
    /// Nothing more is to be asked for.
    ended: watch::Sender<bool>,
}

struct Wanted {
    /// Counts towards the share of this node.
    is_shared: bool,
    state: watch::Sender<Option<Lease>>,
    renewed: Option<Instant>,
    /// Another node should have it: it is given back once its work has ended.
    surplus: bool,
    /// It was asked for, and no answer came: whether another node's term was over then is not known.
    unsure: bool,
}

/// A lease that somebody in this process wants. When it is dropped, it is not wanted any more.
pub(crate) struct Claim<'a> {
    leases: &'a Leases,
    name: String,
    state: watch::Receiver<Option<Lease>>,
}

/// What this node has of the leases of one kind.
#[derive(Default)]
struct Share {
    wanted: usize,
    held: usize,
    surplus: usize,
}

/// Waits until it is.
async fn set(flag: &mut watch::Receiver<bool>) {
    // The sender is there as long as whoever waits.
    let _ = flag.wait_for(|is_set| *is_set).await;
}

/// Partitions of subscriptions are shared apart from those of the relay.
fn kind(name: &str) -> &str {
    match name.split_once('/') {
        Some((kind, _)) if kind.starts_with("cqrs.") => kind,
        _ => "",
    }
}

impl Leases {
    pub(crate) fn new(holder: String, within: Duration) -> Self {
        // A little less than what is promised: it is asked for from time to time only.
        let term = within.mul_f64(0.75);
        Self {
            holder,
            term,
            wanted: Mutex::default(),
            held: Mutex::default(),
            asked: Notify::new(),
            ended: watch::Sender::new(false),
        }
    }

    /// Wants a lease from now on.
    pub(crate) fn claim(&self, name: &str, is_shared: bool) -> Claim<'_> {
        let (sender, state) = watch::channel(None);
        let wanted =
            Wanted { is_shared, state: sender, renewed: None, surplus: false, unsure: false };
        self.wanted().insert(name.to_owned(), wanted);
        self.asked.notify_one();
        Claim { leases: self, name: name.to_owned(), state }
    }

    /// Asks for leases and renews them, until that has ended. What is being asked for then is waited
    /// for: a question that was left may reach the store after the leases were given back.
    pub(crate) async fn keep(&self, store: &dyn Store) {
        let mut ended = self.ended.subscribe();
        let tick = (self.term / 8).max(Duration::from_millis(20));
        let (mut failures, mut rounds) = (0u32, 0u32);
        while !*ended.borrow() {
            rounds = rounds.wrapping_add(1);
            match self.round(store, rounds).await {
                Ok(()) => {
                    failures = 0;
                    tokio::select! {
                        () = tokio::time::sleep(tick) => {}
                        () = set(&mut ended) => {}
                        () = self.asked.notified() => {
                            // Whoever comes next comes at once.
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                    }
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, "leases cannot be kept; trying again");
                    self.give_up_old();
                    tokio::select! {
                        () = tokio::time::sleep(tick.min(crate::runtime::backoff(failures))) => {}
                        () = set(&mut ended) => {}
                    }
                }
            }
        }
    }

    async fn round(&self, store: &dyn Store, round: u32) -> Result<()> {
        // Nodes of another role share nothing with this one.
        let group = self.group();
        let presence = format!("{group}{}", self.holder);
        let nodes = store.leases(&group).await?;
        let others = nodes.into_iter().map(|node| node.name).filter(|name| *name != presence);
        let mut others: Vec<String> = others.collect();
        let is_alone = others.is_empty();
        if !is_alone {
            // The presence of the others as well: a store that can tell who is dead tells it then, and
            // not when the terms of all that the dead had are over. Nothing is shared with the dead.
            others.insert(0, presence.clone());
            let answers = self.ask(store, others).await?;
            let living = answers.into_iter().filter(|lease| !lease.is_of(&self.holder));
            others = living.map(|lease| lease.name).collect();
            self.held().retain(|name| !others.contains(name));
        }
        // All of them are in the same order on every node: what cannot be shared evenly is dealt by it.
        let place = others.iter().filter(|name| **name < presence).count();
        let mut names = self.to_ask(others.len() + 1, place, round);
        if is_alone {
            names.insert(0, presence.clone());
        }
        if !names.is_empty() {
            let asked = Instant::now();
            let answers = self.ask(store, names).await.inspect_err(|_| self.is_unsure())?;
            self.take_in(&answers, asked);
        }
        // What was given up while it was asked for; and the presence of the dead, and that of this node
        // among other nodes than now.
        let surplus: Vec<String> = {
            let wanted = self.wanted();
            let held = self.held();
            held.iter().filter(|n| **n != presence && !wanted.contains_key(*n)).cloned().collect()
        };
        if !surplus.is_empty() {
            self.give_back(store, &surplus).await?;
        }
        Ok(())
    }

    async fn ask(&self, store: &dyn Store, names: Vec<String>) -> Result<Vec<Lease>> {
        // Noted before: whoever ends this process's leases does not know how far this came.
        self.held().extend(names.iter().cloned());
        store.lease(LeaseRequest { holder: self.holder.clone(), names, term: self.term }).await
    }

    fn take_in(&self, answers: &[Lease], asked: Instant) {
        let mut wanted = self.wanted();
        for lease in answers {
            let Some(known) = wanted.get_mut(&lease.name) else { continue };
            let mine = lease.is_of(&self.holder);
            known.renewed = mine.then_some(asked);
            let unsure = std::mem::take(&mut known.unsure);
            known.state.send_if_modified(|state| {
                let token = state.as_ref().map(|lease| lease.token);
                let changed = token != mine.then_some(lease.token);
                if changed {
                    let taken_over = lease.taken_over || unsure;
                    *state = mine.then(|| Lease { taken_over, ..lease.clone() });
                }
                changed
            });
        }
    }

    /// An answer was lost: what is had from now on may have been had since then.
    fn is_unsure(&self) {
        for wanted in self.wanted().values_mut().filter(|wanted| wanted.renewed.is_none()) {
            wanted.unsure = true;
        }
    }

    /// What the presence of nodes begins with that want the same leases.
    fn group(&self) -> String {
        let wanted = self.wanted();
        let shared = wanted.iter().filter(|(_, wanted)| wanted.is_shared);
        let names: Vec<&str> = shared.map(|(name, _)| name.as_str()).collect();
        format!("{PRESENCE}{:?}/", Fingerprint::of(names.join("\n").as_bytes()))
    }

    /// The leases to ask for: those that are to be renewed soon, and what others have, as long as this
    /// node has less than its share. `place`: that of this node among them, from 0.
    fn to_ask(&self, nodes: usize, place: usize, round: u32) -> Vec<String> {
        let mut wanted = self.wanted();
        let mut kinds: BTreeMap<String, Share> = BTreeMap::new();
        for (name, wanted) in wanted.iter().filter(|(_, wanted)| wanted.is_shared) {
            let kind = kinds.entry(kind(name).to_owned()).or_default();
            kind.wanted += 1;
            kind.held += usize::from(wanted.renewed.is_some());
        }
        let mut names = Vec::new();
        for (name, wanted) in wanted.iter_mut() {
            let kind = kinds.entry(kind(name).to_owned()).or_default();
            let share = kind.wanted / nodes + usize::from(place < kind.wanted % nodes);
            match wanted.renewed {
                Some(renewed) => {
                    if wanted.is_shared && kind.held - kind.surplus > share {
                        kind.surplus += 1;
                        wanted.surplus = true;
                        wanted.state.send_modify(|_| {});
                    }
                    if renewed.elapsed() >= self.term / 3 {
                        names.push(name.clone());
                    }
                }
                // From time to time more than its share: the others may be dead.
                None if !wanted.is_shared || kind.held < share || round.is_multiple_of(4) => {
                    names.push(name.clone());
                }
                None => {}
            }
        }
        names
    }

    /// Forgets what may be over by now.
    fn give_up_old(&self) {
        for wanted in self.wanted().values_mut() {
            if wanted.renewed.is_some_and(|renewed| renewed.elapsed() >= self.term) {
                wanted.renewed = None;
                wanted.state.send_replace(None);
            }
        }
    }

    /// Lets [`keep`](Self::keep) end.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Gives everything back, at the end.
    pub(crate) async fn release_all(&self, store: &dyn Store) -> Result<()> {
        let names: Vec<String> = self.held().iter().cloned().collect();
        self.give_back(store, &names).await
    }

    async fn give_back(&self, store: &dyn Store, names: &[String]) -> Result<()> {
        store.release(&self.holder, names).await?;
        self.held().retain(|name| !names.contains(name));
        Ok(())
    }

    /// It is another node's: it is asked for like any other.
    pub(crate) fn forget(&self, name: &str) {
        if let Some(wanted) = self.wanted().get_mut(name) {
            wanted.renewed = None;
            wanted.state.send_replace(None);
        }
    }

    /// Gives one back.
    pub(crate) async fn release(&self, store: &dyn Store, name: &str) -> Result<()> {
        if let Some(wanted) = self.wanted().get_mut(name) {
            wanted.renewed = None;
            wanted.surplus = false;
            wanted.state.send_replace(None);
        }
        // It stays among those that may be held: it may be asked for at this moment.
        store.release(&self.holder, &[name.to_owned()]).await
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeMap<String, Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the lease is this process's, as far as is known.
    pub(crate) fn is_had(&self) -> bool {
        self.state.borrow().is_some()
    }

    /// Waits until the lease is this process's.
    pub(crate) async fn granted(&mut self) -> Lease {
        loop {
            if let Some(lease) = self.state.borrow_and_update().clone() {
                return lease;
            }
            // The sender lives in the leases, which outlive their claims.
            let _ = self.state.changed().await;
        }
    }

    /// Whether the lease is still the one that was granted, and is to stay here.
    pub(crate) fn holds(&self, token: u64) -> bool {
        self.state.borrow().as_ref().is_some_and(|lease| lease.token == token) && !self.is_surplus()
    }

    /// Waits until it is not.
    pub(crate) async fn lost(&mut self, token: u64) {
        while self.holds(token) {
            let _ = self.state.changed().await;
        }
    }

    /// Whether it is not this process's any more.
    pub(crate) fn is_gone(&self, token: u64) -> bool {
        self.state.borrow().as_ref().is_none_or(|lease| lease.token != token)
    }

    /// Waits until it is not this process's any more.
    pub(crate) async fn gone(&mut self, token: u64) {
        while !self.is_gone(token) {
            let _ = self.state.changed().await;
        }
    }

    fn is_surplus(&self) -> bool {
        self.leases.wanted().get(&self.name).is_some_and(|wanted| wanted.surplus)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.leases.wanted().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::timestamp::Timestamp;

    fn leases(names: &[&str]) -> Leases {
        let leases = Leases::new("me".to_owned(), Duration::from_secs(2));
        // As if somebody waited for them.
        names.iter().for_each(|name| std::mem::forget(leases.claim(name, true)));
        leases
    }

    fn given(name: &str, taken_over: bool) -> Lease {
        let (name, holder) = (name.to_owned(), "me".to_owned());
        Lease { name, holder, token: 1, until: Timestamp::MAX, taken_over }
    }

    #[test]
    fn what_cannot_be_shared_evenly_is_dealt_out_all_the_same() {
        let names = ["a", "b", "c", "d"];
        for nodes in 1..6 {
            let share = |place| {
                let leases = leases(&names);
                leases.take_in(&names.map(|name| given(name, false)), Instant::now());
                leases.to_ask(nodes, place, 1);
                leases.wanted().values().filter(|wanted| !wanted.surplus).count()
            };
            let shares: Vec<usize> = (0..nodes).map(share).collect();
            assert_eq!(shares.iter().sum::<usize>(), names.len(), "{shares:?}");
            assert!(shares[0] - shares[nodes - 1] <= 1, "{shares:?}");
        }
    }

    #[test]
    fn whoever_got_no_answer_takes_it_that_another_node_died() {
        for (is_lost, taken_over) in [(false, false), (true, false), (false, true)] {
            let leases = leases(&["a"]);
            if is_lost {
                leases.is_unsure();
            }
            leases.take_in(&[given("a", taken_over)], Instant::now());
            let wanted = leases.wanted();
            let lease = wanted["a"].state.borrow().clone().unwrap();
            assert_eq!(lease.taken_over, is_lost || taken_over);
        }
    }
}
