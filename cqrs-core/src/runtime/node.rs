//! What all parts of the runtime of one process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Mutex, Notify, watch};

use crate::port::clock::Clock;
use crate::port::store::Store;
use crate::runtime::leases::Leases;
use crate::runtime::progress::Progress;
use crate::runtime::settings::RuntimeSettings;
use crate::runtime::tail::Tail;

pub(crate) struct Node {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: RuntimeSettings,
    pub(crate) tail: Tail,
    pub(crate) leases: Leases,
    pub(crate) progress: Progress,
    pub(crate) stopping: watch::Sender<Stopping>,
    /// Somebody in this process changed what is set aside.
    pub(crate) parked_changed: watch::Sender<u64>,
    /// Held while something is handled that ran when a process died.
    pub(crate) suspects: Mutex<()>,
    /// Somebody in this process set a timer.
    pub(crate) timers_changed: Notify,
    pub(crate) activity: Activity,
}

/// How far the stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stopping {
    No,
    /// What is in hand is finished, nothing new is begun.
    Draining,
    /// What is in hand is given up.
    Abandoning,
}

impl Node {
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow() >= Stopping::Draining
    }

    /// Waits until the stop has come so far.
    pub(crate) async fn until(&self, stage: Stopping) {
        let mut stopping = self.stopping.subscribe();
        // The sender is this very node's.
        let _ = stopping.wait_for(|now| *now >= stage).await;
    }

    pub(crate) fn parked_has_changed(&self) {
        self.parked_changed.send_modify(|n| *n += 1);
    }
}

/// When one part of the runtime ends: with the process, or because it is run otherwise from now on.
pub(crate) struct Quit {
    node: Arc<Node>,
    cancelled: watch::Receiver<bool>,
}

impl Quit {
    pub(crate) fn new(node: Arc<Node>, cancelled: watch::Receiver<bool>) -> Self {
        Self { node, cancelled }
    }

    pub(crate) fn is_set(&self) -> bool {
        *self.cancelled.borrow() || self.node.is_stopping()
    }

    pub(crate) async fn set(&self) {
        let mut cancelled = self.cancelled.clone();
        let cancelled = async {
            if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = cancelled => {}
            () = self.node.until(Stopping::Draining) => {}
        }
    }
}

/// Counts what is being done, so that a test can wait until nothing is.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    busy: AtomicUsize,
    begun: AtomicU64,
}

impl Activity {
    /// Something is done as long as the guard lives.
    pub(crate) fn begin(self: &Activity) -> Busy<'_> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self)
    }

    /// What is being done waits for its time as long as the guard lives.
    pub(crate) fn rest(&self) -> Resting<'_> {
        self.busy.fetch_sub(1, Ordering::SeqCst);
        Resting(self)
    }

    /// How much was begun so far, if nothing is being done now.
    pub(crate) fn idle(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::SeqCst);
        (self.busy.load(Ordering::SeqCst) == 0).then_some(begun)
    }
}

#[derive(Debug)]
pub(crate) struct Busy<'a>(&'a Activity);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
pub(crate) struct Resting<'a>(&'a Activity);

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        self.0.busy.fetch_add(1, Ordering::SeqCst);
    }
}
