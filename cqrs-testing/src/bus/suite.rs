//! The suite as a test binary, and as something that other tests can run case by case.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{BusCapabilities, Support};
use libtest_mimic::{Arguments, Completion, Trial};

use crate::bus::case::Case;
use crate::bus::cases::all;
use crate::bus::fixture::BusFixture;
use crate::bus::probe::Probe;
use crate::store::suite::{Outcome, bounded};

/// How long a case may take; then it has failed.
const BOUND: Duration = Duration::from_secs(120);

/// The bus suite over one kind of bus. See [`bus_suite`].
pub struct BusSuite {
    name: String,
    fixture: Arc<dyn BusFixture>,
    bound: Duration,
}

/// The bus suite over the buses that a fixture makes.
///
/// ```no_run
/// use cqrs_core::memory::MemoryBus;
/// use cqrs_testing::bus_suite;
///
/// fn main() -> std::process::ExitCode {
///     bus_suite("memory", || async { MemoryBus::default() }).main()
/// }
/// ```
///
/// On a server: the outer closure makes a bus that nobody else uses, the inner one connects to it.
///
/// ```
/// # use cqrs_core::memory::MemoryBus;
/// # async fn connect(url: &str, prefix: String) -> MemoryBus { MemoryBus::default() }
/// use std::sync::Arc;
///
/// use cqrs_core::{Bus, MessageId};
/// use cqrs_testing::{Outcome, bus_suite};
///
/// let suite = bus_suite("server", || async {
///     let prefix = MessageId::fresh().to_string();
///     move || {
///         let prefix = prefix.clone();
///         async move { Arc::new(connect("mine://localhost", prefix).await) as Arc<dyn Bus> }
///     }
/// });
/// assert_eq!(suite.run("commands::a_command_that_nobody_takes_is_an_error"), Outcome::Passed);
/// ```
pub fn bus_suite(name: impl Into<String>, fixture: impl BusFixture) -> BusSuite {
    BusSuite { name: name.into(), fixture: Arc::new(fixture), bound: BOUND }
}

impl BusSuite {
    /// How long each case may take. Default: 120 seconds.
    #[must_use]
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// The names of all cases: group and behaviour.
    pub fn cases(&self) -> impl Iterator<Item = &'static str> {
        all().map(|case| case.name)
    }

    /// Runs one case. A name that is not one of [`cases`](Self::cases) has failed.
    pub fn run(&self, name: &str) -> Outcome {
        match all().find(|case| case.name == name) {
            Some(case) => run(&self.fixture, case, self.bound),
            None => Outcome::Failed(format!("the bus suite has no case `{name}`")),
        }
    }

    /// Runs as a test binary, with libtest's arguments, filters, listing and output: for the `main` of
    /// a test with `harness = false`.
    pub fn main(self) -> ExitCode {
        let args = Arguments::from_args();
        let asks = args.list || args.ignored || args.include_ignored;
        let capabilities = if asks { self.capabilities() } else { None };
        let trials = all().map(|case| {
            let (fixture, bound) = (Arc::clone(&self.fixture), self.bound);
            let offered = capabilities.as_ref().is_none_or(|c| (case.needs)(c).is_yes());
            let test = move || match run(&fixture, case, bound) {
                Outcome::Passed => Ok(Completion::Completed),
                Outcome::Ignored(reason) => Ok(Completion::ignored_with(reason)),
                Outcome::Failed(what) => Err(what.into()),
            };
            let name = format!("{}::{}", self.name, case.name);
            Trial::ignorable_test(name, test).with_ignored_flag(!offered)
        });
        libtest_mimic::run(&args, trials.collect()).exit_code()
    }

    /// What the bus offers; `None` when none can be made, which the cases then say as they fail.
    fn capabilities(&self) -> Option<BusCapabilities> {
        let fixture = Arc::clone(&self.fixture);
        let ask = async move { Probe::create(&*fixture).await.capabilities().clone() };
        bounded(self.bound, ask).ok()
    }
}

impl fmt::Debug for BusSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusSuite").field("name", &self.name).finish_non_exhaustive()
    }
}

fn run(fixture: &Arc<dyn BusFixture>, case: &Case, bound: Duration) -> Outcome {
    let Case { name: _, needs, run } = *case;
    let fixture = Arc::clone(fixture);
    let outcome = bounded(bound, async move {
        let probe = Probe::create(&*fixture).await;
        if let Support::No(reason) = needs(probe.capabilities()) {
            return Outcome::Ignored(reason.to_owned());
        }
        run(probe).await;
        Outcome::Passed
    });
    outcome.unwrap_or_else(Outcome::Failed)
}
