//! Requests that somebody has in hand, and who hears when one is given up.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// Requests that are in hand, each by an id under which whoever asked may give it up: for adapters. Clones are
/// the same.
///
/// ```
/// use cqrs_core::Underway;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let underway = Underway::default();
/// let mut request = underway.enter("7".to_owned());
/// underway.give_up("7");
/// request.given_up().await;
/// drop(request);
/// assert!(underway.is_empty());
/// # });
/// ```
#[derive(Debug, Default, Clone)]
pub struct Underway(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by_id: Mutex<HashMap<String, oneshot::Sender<()>>>,
    /// One of them is over.
    left: Notify,
}

impl Inner {
    fn by_id(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
        // Nothing panics while it is locked.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Underway {
    /// A request comes in hand.
    pub fn enter(&self, id: String) -> InHand {
        let (sender, given_up) = oneshot::channel();
        self.0.by_id().insert(id.clone(), sender);
        let entered = Some((id, self.0.clone()));
        InHand { entered, given_up: Some(given_up), is_given_up: false }
    }

    /// Whoever has it in hand hears that it is given up.
    pub fn give_up(&self, id: &str) {
        if let Some(in_hand) = self.0.by_id().remove(id) {
            let _ = in_hand.send(());
        }
    }

    /// Whether none is in hand that may be given up.
    pub fn is_empty(&self) -> bool {
        self.0.by_id().is_empty()
    }

    /// Completes when one of them is over, also one before it was asked. Cancel safe.
    pub async fn left(&self) {
        self.0.left.notified().await;
    }
}

/// A request in hand, until it is dropped. See [`Underway`].
#[derive(Debug, Default)]
pub struct InHand {
    /// `None`: it has no id, and is never given up.
    entered: Option<(String, Arc<Inner>)>,
    given_up: Option<oneshot::Receiver<()>>,
    is_given_up: bool,
}

impl InHand {
    /// Completes when it is given up, and whenever it is asked again; otherwise never. Cancel safe.
    pub async fn given_up(&mut self) {
        if self.is_given_up {
            return;
        }
        if let Some(given_up) = &mut self.given_up {
            let told = given_up.await;
            self.given_up = None;
            self.is_given_up = told.is_ok();
        }
        if !self.is_given_up {
            pending::<()>().await;
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if let Some((id, underway)) = &self.entered {
            underway.by_id().remove(id);
            underway.left.notify_one();
        }
    }
}
