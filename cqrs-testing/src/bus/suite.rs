//! The suite as a test binary, and as something that other tests can run case by case.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{BusCapabilities, Support};
use libtest_mimic::{Arguments, Completion, Trial};

use crate::bus::broker::Broker;
use crate::bus::case::{Case, FaultCase};
use crate::bus::cases::{all, faults};
use crate::bus::fixture::BusFixture;
use crate::bus::probe::Probe;
use crate::store::suite::{Outcome, bounded};

/// How long a case may take; then it has failed.
const BOUND: Duration = Duration::from_secs(120);

/// The bus suite over one kind of bus. See [`bus_suite`].
pub struct BusSuite {
    name: String,
    fixture: Arc<dyn BusFixture>,
    broker: Option<MakeBroker>,
    bound: Duration,
}

/// Starts a broker for one case.
type MakeBroker = Arc<dyn Fn() -> Box<dyn Broker> + Send + Sync>;

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
    BusSuite { name: name.into(), fixture: Arc::new(fixture), broker: None, bound: BOUND }
}

impl BusSuite {
    /// How long each case may take. Default: 120 seconds.
    #[must_use]
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// With the cases about a broker that dies, or that is cut off: each starts one of its own. Every bus whose
    /// messages [outlive](cqrs_core::BusCapabilities::durable) its broker is to pass them.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// # use cqrs_core::Bus;
    /// # use cqrs_core::memory::MemoryBus;
    /// # use cqrs_testing::{Broker, Way, bus_suite};
    /// # struct Server;
    /// # impl Server {
    /// #     fn start() -> Self { Self }
    /// # }
    /// # #[async_trait::async_trait]
    /// # impl Broker for Server {
    /// #     async fn connect(&self, _: Way, _: Duration) -> Arc<dyn Bus> { Arc::new(MemoryBus::default()) }
    /// #     fn kill(&mut self) {}
    /// #     fn start_again(&mut self) {}
    /// #     fn cut(&self) {}
    /// #     fn cut_for_good(&mut self) {}
    /// # }
    /// let suite = bus_suite("server", || async { MemoryBus::default() });
    /// suite.with_broker(Server::start).main();
    /// ```
    #[must_use]
    pub fn with_broker<B: Broker>(mut self, start: impl Fn() -> B + Send + Sync + 'static) -> Self {
        self.broker = Some(Arc::new(move || Box::new(start())));
        self
    }

    /// The names of all cases: group and behaviour.
    pub fn cases(&self) -> impl Iterator<Item = &'static str> {
        let faults = self.broker.iter().flat_map(|_| faults::CASES);
        all().map(|case| case.name).chain(faults.map(|case| case.name))
    }

    /// Runs one case. A name that is not one of [`cases`](Self::cases) has failed.
    pub fn run(&self, name: &str) -> Outcome {
        if let Some(case) = all().find(|case| case.name == name) {
            return run(&self.fixture, case, self.bound);
        }
        match (&self.broker, faults::CASES.iter().find(|case| case.name == name)) {
            (Some(broker), Some(case)) => run_fault(broker, case, self.bound),
            _ => Outcome::Failed(format!("the bus suite has no case `{name}`")),
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
            let test = move || completion(run(&fixture, case, bound));
            let name = format!("{}::{}", self.name, case.name);
            Trial::ignorable_test(name, test).with_ignored_flag(!offered)
        });
        let faults = self.broker.iter().flat_map(|broker| {
            faults::CASES.iter().map(|case| {
                let (broker, bound) = (Arc::clone(broker), self.bound);
                let name = format!("{}::{}", self.name, case.name);
                Trial::ignorable_test(name, move || completion(run_fault(&broker, case, bound)))
            })
        });
        libtest_mimic::run(&args, trials.chain(faults).collect()).exit_code()
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

fn completion(outcome: Outcome) -> Result<Completion, libtest_mimic::Failed> {
    match outcome {
        Outcome::Passed => Ok(Completion::Completed),
        Outcome::Ignored(reason) => Ok(Completion::ignored_with(reason)),
        Outcome::Failed(what) => Err(what.into()),
    }
}

fn run_fault(broker: &MakeBroker, case: &FaultCase, bound: Duration) -> Outcome {
    let (broker, run) = (Arc::clone(broker), case.run);
    let outcome = bounded(bound, async move {
        run(broker()).await;
        Outcome::Passed
    });
    outcome.unwrap_or_else(Outcome::Failed)
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
