//! Points at which a process ends itself, to see what is left of it and what goes on without it.
//!
//! A test starts the program under test as a process of its own, with a [`Fault`] in its environment.
//! The program puts [`Faults`] around its store and its handlers, and dies at that point: at once, as
//! if it was killed. Then the test starts it once more, without a fault, and looks at what came of
//! everything.
//!
//! ```
//! # use std::sync::Arc;
//! # use cqrs_core::memory::MemoryStore;
//! use cqrs_core::App;
//! use cqrs_testing::faults::Faults;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let store = Arc::new(MemoryStore::default());
//! // Without a fault in the environment it only counts.
//! let faults = Faults::of_env("FAULT")?;
//! let app = App::builder().shared_store(faults.store(store)).layer(faults.layer()).build()?;
//! // … what the test is about …
//! println!("{}", faults.counted());
//! # Ok::<_, cqrs_core::BoxError>(())
//! # }).unwrap();
//! ```
//!
//! To go through all points of a run: let it run without a fault, read [what it
//! counted](Faults::counted) from its output, and begin it anew for each of
//! [the points that it has](Counted::points).

mod store;

use std::fmt;
use std::process;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cqrs_core::layer::{Around, Next, around};
use cqrs_core::{AnyAnswer, AnyRequest, BoxError, Origin, RequestKind, Result, Store};
use futures_util::future::BoxFuture;

use store::Faulty;

/// A point at which a process ends itself. Its text is `commit:17:before` or `send:3:after`.
///
/// ```
/// use cqrs_testing::faults::{Fault, Side, Step};
///
/// let fault: Fault = "commit:17:before".parse()?;
/// assert_eq!(fault, Fault { step: Step::Commit, nth: 17, side: Side::Before });
/// assert_eq!(fault.to_string(), "commit:17:before");
/// # Ok::<_, cqrs_core::BoxError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fault {
    /// At what.
    pub step: Step,
    /// At the how manyth, from 1.
    pub nth: u64,
    /// Before or after it.
    pub side: Side,
}

/// What a process does that a fault can be at. See [`Fault`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A commit is handed to the store.
    Commit,
    /// A command that a handler or a saga has sent is handed to its handler.
    Send,
}

/// On which side of a step. See [`Fault`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// It does not happen.
    Before,
    /// It has happened, and nobody learns of the answer.
    After,
}

/// The fault of a process, if it has one, and what it did so far. Its clones are one. See the
/// [module](self) for an example.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fault: Option<Fault>,
    commits: AtomicU64,
    sends: AtomicU64,
}

/// How much a process did: `40 commits, 6 sends`. It can be read from a line of its output.
///
/// ```
/// use cqrs_testing::faults::Counted;
///
/// let counted: Counted = "40 commits, 6 sends".parse()?;
/// assert_eq!(counted, Counted { commits: 40, sends: 6 });
/// assert_eq!(counted.points().count(), 92);
/// # Ok::<_, cqrs_core::BoxError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Commits that were handed to the store, also those that it refused.
    pub commits: u64,
    /// Commands of handlers and sagas that were handed to their handlers, once more for each repeat.
    pub sends: u64,
}

impl Faults {
    /// None: it only counts.
    pub fn none() -> Self {
        Self::of(None)
    }

    /// This one.
    pub fn at(fault: Fault) -> Self {
        Self::of(Some(fault))
    }

    /// The one that this variable of the environment tells; without it, none.
    ///
    /// # Errors
    /// When its text is no fault.
    pub fn of_env(name: &str) -> Result<Self, BoxError> {
        let Ok(text) = std::env::var(name) else { return Ok(Self::none()) };
        Ok(Self::at(text.parse()?))
    }

    fn of(fault: Option<Fault>) -> Self {
        let (commits, sends) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Inner { fault, commits, sends }))
    }

    /// The store, with the faults of its commits.
    pub fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Faulty::new(store, self.clone()))
    }

    /// A layer around all requests, with the faults of what handlers and sagas send. The last layer of
    /// an app is the nearest to its handlers.
    pub fn layer(
        &self,
    ) -> Around<
        impl Fn(AnyRequest, Next) -> BoxFuture<'static, AnyAnswer> + Clone + Send + Sync + 'static,
    > {
        let faults = self.clone();
        around(move |request: AnyRequest, next: Next| {
            let faults = faults.clone();
            let is_sent =
                request.origin() == Origin::Handler && request.kind() == RequestKind::Command;
            let answering: BoxFuture<'static, AnyAnswer> = match is_sent {
                true => Box::pin(async move { faults.around(Step::Send, next.run(request)).await }),
                false => Box::pin(next.run(request)),
            };
            answering
        })
    }

    /// How much was done so far.
    pub fn counted(&self) -> Counted {
        let Inner { commits, sends, .. } = &*self.0;
        Counted { commits: commits.load(Ordering::SeqCst), sends: sends.load(Ordering::SeqCst) }
    }

    async fn around<T>(&self, step: Step, work: impl Future<Output = T>) -> T {
        let count = match step {
            Step::Commit => &self.0.commits,
            Step::Send => &self.0.sends,
        };
        let nth = count.fetch_add(1, Ordering::SeqCst) + 1;
        self.die_at(Fault { step, nth, side: Side::Before });
        let done = work.await;
        self.die_at(Fault { step, nth, side: Side::After });
        done
    }

    /// Nothing is cleaned up, nobody is told, and no other thread does anything more.
    fn die_at(&self, point: Fault) {
        if self.0.fault == Some(point) {
            eprintln!("the process ends itself: {point}");
            process::abort();
        }
    }
}

impl Counted {
    /// All points at which a fault can be, in the order of their steps: commits first.
    pub fn points(self) -> impl Iterator<Item = Fault> {
        let steps = [(Step::Commit, self.commits), (Step::Send, self.sends)];
        let numbered = steps.into_iter().flat_map(|(step, n)| (1..=n).map(move |nth| (step, nth)));
        let sides = [Side::Before, Side::After];
        numbered.flat_map(move |(step, nth)| sides.map(|side| Fault { step, nth, side }))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Commit => "commit",
            Step::Send => "send",
        };
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{step}:{}:{side}", self.nth)
    }
}

impl FromStr for Fault {
    type Err = BoxError;

    fn from_str(text: &str) -> Result<Self, BoxError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (step, nth, side) = match parts[..] {
            ["commit", nth, side] => (Step::Commit, nth, side),
            ["send", nth, side] => (Step::Send, nth, side),
            _ => return Err(no_fault(text)),
        };
        let side = match side {
            "before" => Side::Before,
            "after" => Side::After,
            _ => return Err(no_fault(text)),
        };
        let nth = nth.parse().ok().filter(|nth| *nth > 0).ok_or_else(|| no_fault(text))?;
        Ok(Self { step, nth, side })
    }
}

fn no_fault(text: &str) -> BoxError {
    format!("{text:?} is no fault: commit:17:before, send:3:after").into()
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commits, {} sends", self.commits, self.sends)
    }
}

impl FromStr for Counted {
    type Err = BoxError;

    fn from_str(text: &str) -> Result<Self, BoxError> {
        let counted = text.split_once(" commits, ").and_then(|(commits, sends)| {
            let sends = sends.strip_suffix(" sends")?.parse().ok()?;
            Some(Self { commits: commits.parse().ok()?, sends })
        });
        counted.ok_or_else(|| format!("{text:?} is no count: 40 commits, 6 sends").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cqrs_core::Commit;
    use cqrs_core::memory::MemoryStore;

    #[test]
    fn a_fault_is_read_as_it_is_written() {
        let counted = Counted { commits: 2, sends: 1 };
        let points: Vec<Fault> = counted.points().collect();
        assert_eq!(points.len(), 6);
        for point in points {
            assert_eq!(point.to_string().parse::<Fault>().unwrap(), point);
        }
        assert_eq!(counted.to_string().parse::<Counted>().unwrap(), counted);
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        let texts =
            ["", "commit", "commit:0:before", "commit:1", "send:x:after", "commit:1:before:2"];
        for text in texts {
            assert!(text.parse::<Fault>().is_err(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn commits_are_counted_and_those_that_are_not_meant_go_through() {
        let faults = Faults::at("commit:3:before".parse().unwrap());
        let store = faults.store(Arc::new(MemoryStore::default()));
        for _ in 0..2 {
            store.commit(Commit::default()).await.unwrap();
        }
        assert_eq!(faults.counted(), Counted { commits: 2, sends: 0 });
    }
}
