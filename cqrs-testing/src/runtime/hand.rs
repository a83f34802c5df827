//! The hand of the handlers: it does what the case tells it, and notes what came.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cqrs_core::HandlerError;
use tokio::sync::watch;

use crate::runtime::notes::Noted;
use crate::store::waiting::until;

/// What a handler does with a note.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// Fails, and may not fail the next time.
    Fail,
    /// Fails so often.
    FailTimes(u32),
    /// Fails, and says that it always will.
    Fatal,
    Panic,
    /// Says no, where there is somebody to say it to. See [`Hand::rejects`].
    Reject,
    /// Waits until it is let go.
    Hold,
    /// Lets others run first.
    Yield,
}

/// What handlers do and what came to them. Its clones are one; handlers of all nodes of a case share
/// it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hand(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    acts: BTreeMap<(String, Option<u32>), Act>,
    /// What does the same for all.
    every: Option<Act>,
    begun: Vec<Noted>,
    done: Vec<Noted>,
    calls: Vec<usize>,
    in_hand: Vec<Noted>,
    /// Keys of which two were in hand at once.
    clashes: BTreeSet<String>,
}

/// In hand until it is dropped, also when the process dies.
struct InHand<'a>(&'a Inner, Vec<Noted>);

impl Hand {
    /// All notes of a key are treated so.
    pub(crate) fn on(&self, key: &str, act: Act) {
        self.state().acts.insert((key.to_owned(), None), act);
    }

    /// One note of a key is treated so.
    pub(crate) fn on_one(&self, key: &str, n: u32, act: Act) {
        self.state().acts.insert((key.to_owned(), Some(n)), act);
    }

    /// All notes are treated so, unless something else is said of them.
    pub(crate) fn on_all(&self, act: Act) {
        self.state().every = Some(act);
    }

    /// From now on everything is well, and what is held goes on.
    pub(crate) fn relent(&self) {
        let mut state = self.state();
        state.acts.clear();
        state.every = None;
        drop(state);
        self.0.changed.send_modify(|n| *n += 1);
    }

    pub(crate) async fn take(&self, note: &Noted) -> Result<(), HandlerError> {
        self.take_all(std::slice::from_ref(note)).await
    }

    pub(crate) async fn take_all(&self, notes: &[Noted]) -> Result<(), HandlerError> {
        let _in_hand = self.begin(notes);
        for note in notes {
            self.act(note).await?;
        }
        self.state().done.extend_from_slice(notes);
        Ok(())
    }

    fn begin(&self, notes: &[Noted]) -> InHand<'_> {
        let mut state = self.state();
        let clashes = |note: &&Noted| state.in_hand.iter().any(|other| other.key == note.key);
        let clashes: Vec<_> = notes.iter().filter(clashes).map(|note| note.key.clone()).collect();
        state.clashes.extend(clashes);
        state.in_hand.extend_from_slice(notes);
        state.begun.extend_from_slice(notes);
        state.calls.push(notes.len());
        drop(state);
        InHand(&self.0, notes.to_vec())
    }

    /// What is handled on a thread that waits for nothing.
    pub(crate) fn take_now(&self, note: &Noted) -> Result<(), HandlerError> {
        let _in_hand = self.begin(std::slice::from_ref(note));
        let act = self.state().next(note);
        act.map_or(Ok(()), Act::at_once)?;
        self.state().done.push(note.clone());
        Ok(())
    }

    async fn act(&self, note: &Noted) -> Result<(), HandlerError> {
        let act = self.state().next(note);
        match act {
            None => Ok(()),
            Some(Act::Yield) => {
                for _ in 0..fastrand::u32(0..4) {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Some(Act::Hold) => {
                let mut changed = self.0.changed.subscribe();
                while self.state().what(note) == Some(Act::Hold) {
                    // The sender is this very hand's.
                    let _ = changed.changed().await;
                }
                Ok(())
            }
            Some(act) => act.at_once(),
        }
    }

    /// Whether a command with this key is to be rejected.
    pub(crate) fn rejects(&self, key: &str) -> bool {
        let note = Noted { key: key.to_owned(), n: 0 };
        self.state().what(&note) == Some(Act::Reject)
    }

    /// How often a handler was handed this note.
    pub(crate) fn attempts(&self, key: &str, n: u32) -> usize {
        self.state().begun.iter().filter(|note| note.key == key && note.n == n).count()
    }

    /// What was handled of a key, in the order in which it was.
    pub(crate) fn done(&self, key: &str) -> Vec<u32> {
        self.state().done.iter().filter(|note| note.key == key).map(|note| note.n).collect()
    }

    /// How many notes were handled.
    pub(crate) fn count(&self) -> usize {
        self.state().done.len()
    }

    /// All that was handled, as keys and numbers.
    pub(crate) fn all(&self) -> Vec<(String, u32)> {
        self.state().done.iter().map(|note| (note.key.clone(), note.n)).collect()
    }

    /// How many notes each call had.
    pub(crate) fn calls(&self) -> Vec<usize> {
        self.state().calls.clone()
    }

    /// Keys of which two notes were in hand at once.
    pub(crate) fn clashes(&self) -> BTreeSet<String> {
        self.state().clashes.clone()
    }

    /// Whether a note is in hand now.
    pub(crate) fn holds(&self, key: &str) -> bool {
        self.state().in_hand.iter().any(|note| note.key == key)
    }

    /// Waits until a note of this key is in hand.
    #[track_caller]
    pub(crate) fn held<'a>(&'a self, key: &'a str) -> futures_util::future::BoxFuture<'a, ()> {
        until("a note in hand", move || async move { self.holds(key).then_some(()) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state()
    }
}

impl Act {
    /// What takes no time.
    fn at_once(self) -> Result<(), HandlerError> {
        match self {
            Self::Fail | Self::FailTimes(_) => Err("told to fail".into()),
            Self::Fatal => Err(HandlerError::fatal("told to fail for good")),
            // Nothing is printed: it is no failure of the case.
            Self::Panic => resume_unwind(Box::new("told to panic")),
            Self::Reject | Self::Hold | Self::Yield => Ok(()),
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn what(&self, note: &Noted) -> Option<Act> {
        let one = self.acts.get(&(note.key.clone(), Some(note.n)));
        let of_key = one.or_else(|| self.acts.get(&(note.key.clone(), None)));
        of_key.cloned().or_else(|| self.every.clone())
    }

    /// What is to be done now; an act that is done so often is counted.
    fn next(&mut self, note: &Noted) -> Option<Act> {
        let act = self.what(note)?;
        let Act::FailTimes(left) = act else { return Some(act) };
        let one = (note.key.clone(), Some(note.n));
        let at = if self.acts.contains_key(&one) { one } else { (one.0, None) };
        self.acts.insert(at, Act::FailTimes(left.saturating_sub(1)));
        (left > 0).then_some(act)
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        for note in &self.1 {
            if let Some(at) = state.in_hand.iter().position(|other| other == note) {
                state.in_hand.swap_remove(at);
            }
        }
    }
}
