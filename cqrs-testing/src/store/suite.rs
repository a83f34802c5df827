//! A suite as a test binary, and as something that other tests can run case by case.

use std::any::Any;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::Support;
use libtest_mimic::{Arguments, Completion, Trial};
use tokio::runtime::{Builder, Runtime};

use crate::store::case::{Case, Offered};
use crate::store::cases::all;
use crate::store::fixture::StoreFixture;
use crate::store::probe::Probe;

/// How long a case may take; then it has failed.
const BOUND: Duration = Duration::from_secs(120);

/// A suite over one kind of store. See [`store_suite`] and [`runtime_suite`](crate::runtime_suite).
pub struct Suite {
    name: String,
    cases: Vec<&'static Case>,
    fixture: Arc<dyn StoreFixture>,
    bound: Duration,
}

/// What became of a case. See [`Suite::run`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The store behaves.
    Passed,
    /// It does not, and this is what it did instead.
    Failed(String),
    /// The store does not offer what the case is about, for this reason.
    Ignored(String),
}

/// The store suite over the stores that a fixture makes.
///
/// In memory:
///
/// ```no_run
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_testing::store_suite;
///
/// fn main() -> std::process::ExitCode {
///     store_suite("memory", || async { MemoryStore::default() }).main()
/// }
/// ```
///
/// On disk: the outer closure makes the place, the inner one keeps it and opens a handle.
///
/// ```
/// # use cqrs_core::memory::MemoryStore;
/// # struct TempDir;
/// # impl TempDir { fn new() -> Self { Self } fn path(&self) -> String { String::new() } }
/// # async fn connect(path: String) -> MemoryStore { MemoryStore::default() }
/// use std::sync::Arc;
///
/// use cqrs_core::Store;
/// use cqrs_testing::{Outcome, store_suite};
///
/// let suite = store_suite("files", || async {
///     let dir = TempDir::new();
///     move || {
///         let path = dir.path();
///         async move { Arc::new(connect(path).await) as Arc<dyn Store> }
///     }
/// });
/// assert_eq!(suite.run("commit::an_empty_commit_is_applied"), Outcome::Passed);
/// ```
pub fn store_suite(name: impl Into<String>, fixture: impl StoreFixture) -> Suite {
    Suite::new(name, all().collect(), fixture)
}

/// Runs suites as one test binary: with libtest's arguments, filters, listing and output, so that
/// both `cargo test` and `cargo nextest` can drive it. For the `main` of a test with
/// `harness = false`.
///
/// `cargo test` shows an ignored case with its reason. A runner that asks for the list of ignored
/// cases first, as `nextest` does, is told by making one store and asking it.
///
/// ```no_run
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_testing::{run_suites, store_suite};
///
/// fn main() -> std::process::ExitCode {
///     run_suites([
///         store_suite("one", || async { MemoryStore::default() }),
///         store_suite("other", || async { MemoryStore::default() }),
///     ])
/// }
/// ```
pub fn run_suites(suites: impl IntoIterator<Item = Suite>) -> ExitCode {
    let args = Arguments::from_args();
    let trials = suites.into_iter().flat_map(|suite| suite.trials(&args)).collect();
    libtest_mimic::run(&args, trials).exit_code()
}

impl Suite {
    pub(crate) fn new(
        name: impl Into<String>,
        cases: Vec<&'static Case>,
        fixture: impl StoreFixture,
    ) -> Self {
        Self { name: name.into(), cases, fixture: Arc::new(fixture), bound: BOUND }
    }

    /// How long each case may take. Default: 120 seconds.
    #[must_use]
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// The names of all cases: group and behaviour.
    ///
    /// ```
    /// use cqrs_core::memory::MemoryStore;
    /// use cqrs_testing::store_suite;
    ///
    /// let suite = store_suite("memory", || async { MemoryStore::default() });
    /// assert!(suite.cases().any(|name| name == "commit::an_empty_commit_is_applied"));
    /// ```
    pub fn cases(&self) -> impl Iterator<Item = &'static str> {
        self.cases.iter().map(|case| case.name)
    }

    /// Runs one case. A name that is not one of [`cases`](Self::cases) has failed.
    ///
    /// ```
    /// use cqrs_core::memory::MemoryStore;
    /// use cqrs_testing::{Outcome, store_suite};
    ///
    /// let suite = store_suite("memory", || async { MemoryStore::default() });
    /// assert_eq!(suite.run("commit::an_empty_commit_is_applied"), Outcome::Passed);
    /// assert!(matches!(suite.run("no such case"), Outcome::Failed(_)));
    /// ```
    pub fn run(&self, name: &str) -> Outcome {
        match self.cases.iter().find(|case| case.name == name) {
            Some(case) => run(&self.fixture, case, self.bound),
            None => Outcome::Failed(format!("the suite has no case `{name}`")),
        }
    }

    /// Runs as a test binary. See [`run_suites`], which takes several.
    pub fn main(self) -> ExitCode {
        run_suites([self])
    }

    fn trials(self, args: &Arguments) -> impl Iterator<Item = Trial> {
        let asks = args.list || args.ignored || args.include_ignored;
        let offered = if asks { self.offered() } else { None };
        let Self { name, cases, fixture, bound } = self;
        cases.into_iter().map(move |case| {
            let fixture = Arc::clone(&fixture);
            let is_offered = offered.as_ref().is_none_or(|offered| (case.needs)(offered).is_yes());
            let test = move || match run(&fixture, case, bound) {
                Outcome::Passed => Ok(Completion::Completed),
                Outcome::Ignored(reason) => Ok(Completion::ignored_with(reason)),
                Outcome::Failed(what) => Err(what.into()),
            };
            let name = format!("{name}::{}", case.name);
            Trial::ignorable_test(name, test).with_ignored_flag(!is_offered)
        })
    }

    /// What the store offers; `None` when none can be made, which the cases then say as they fail.
    fn offered(&self) -> Option<Offered> {
        let fixture = Arc::clone(&self.fixture);
        let ask = async move { Probe::create(&*fixture).await.offered() };
        bounded(self.bound, ask).ok()
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("name", &self.name).finish_non_exhaustive()
    }
}

fn run(fixture: &Arc<dyn StoreFixture>, case: &Case, bound: Duration) -> Outcome {
    let Case { name: _, needs, run } = *case;
    let fixture = Arc::clone(fixture);
    let outcome = bounded(bound, async move {
        let probe = Probe::create(&*fixture).await;
        if let Support::No(reason) = needs(&probe.offered()) {
            return Outcome::Ignored(reason.to_owned());
        }
        run(probe).await;
        Outcome::Passed
    });
    outcome.unwrap_or_else(Outcome::Failed)
}

/// Runs a task in a runtime of its own, so that nothing of one case is left when the next begins.
pub(crate) fn bounded<T: Send + 'static>(
    bound: Duration,
    task: impl Future<Output = T> + Send + 'static,
) -> Result<T, String> {
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        match tokio::time::timeout(bound, tokio::spawn(task)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(match failure.try_into_panic() {
                Ok(panic) => message(&*panic),
                Err(failure) => failure.to_string(),
            }),
            Err(_) => Err(format!("it was not done after {bound:?}")),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    done
}

fn runtime() -> Result<Runtime, String> {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build();
    runtime.map_err(|error| format!("no runtime: {error}"))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked without a message").to_owned()
}
