//! An app that runs in virtual time: for tests of what follows from a command.

use std::fmt;
use std::time::Duration;

use cqrs_core::{
    App, AppBuilder, Clock, Command, Error, ErrorKind, Failure, ManualClock, Result, Running,
};

/// How long a stop waits for what is in hand.
const BOUND: Duration = Duration::from_secs(10);

/// How often the clock is moved for one [`Harness::advance`], at most.
const STEPS: usize = 10_000;

/// An app that is started, with a clock that moves when it is told to. What follows from a command
/// (handlers of events, projections, sagas, retries, timers) has happened when
/// [`send`](Self::send) returns; what waits for its time happens in [`advance`](Self::advance), each at
/// its own time, and no test waits for it.
///
/// On a store of its own, with nobody else writing. Best with
/// [`RuntimeSettings::tests`](cqrs_core::RuntimeSettings::tests).
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{App, HandlerError, ManualClock, Res, RuntimeSettings};
/// use cqrs_testing::Harness;
/// # use cqrs_core::{Aggregate, Command, Context, Decide, Decision, Event, EventType, Never, Request, RequestKind};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # struct Opened { owner: String }
/// # impl Event for Opened {
/// #     const TYPES: &'static [EventType] = &[EventType::new("bank.opened", "Opened")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
/// # #[derive(Default)]
/// # struct Account;
/// # impl Aggregate for Account {
/// #     const CATEGORY: &'static str = "account";
/// #     type Id = String;
/// #     type Event = Opened;
/// #     fn apply(&mut self, _: &Opened) {}
/// # }
/// # #[derive(Clone)]
/// # struct Open { owner: String }
/// # impl Command for Open {}
/// # impl Request for Open {
/// #     const NAME: &'static str = "bank.open";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = Never;
/// # }
/// # impl Decide<Open> for Account {
/// #     fn target(command: &Open) -> String { command.owner.clone() }
/// #     fn decide(&self, c: &Open, _: &Context<'_>) -> Result<Decision<Opened>, Never> {
/// #         Ok(Decision::event(Opened { owner: c.owner.clone() }))
/// #     }
/// # }
///
/// /// The mail server is out of order for the first three attempts.
/// async fn welcome(_: Opened, Res(attempts): Res<Arc<AtomicU32>>) -> Result<(), HandlerError> {
///     if attempts.fetch_add(1, Ordering::SeqCst) < 3 { Err("out of order")? }
///     Ok(())
/// }
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// let (store, attempts) = (MemoryStore::default(), Arc::new(AtomicU32::new(0)));
/// let (log, tried) = (store.clone(), attempts.clone());
/// let app = move || {
///     App::builder()
///         .store(log.clone())
///         .resource(tried.clone())
///         .decides::<Account, Open>()
///         .event_handler("bank.welcome", welcome)
///         .runtime(RuntimeSettings::tests())
/// };
/// let mut harness = Harness::start(app, ManualClock::default()).await?;
/// harness.send(Open { owner: "Ada".into() }).await?;
/// assert_eq!(attempts.load(Ordering::SeqCst), 1);
///
/// harness.restart().await?;
/// harness.advance(Duration::from_secs(60)).await?;
/// assert_eq!(attempts.load(Ordering::SeqCst), 4);
/// harness.stop().await?;
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
pub struct Harness {
    build: Box<dyn Fn() -> AppBuilder + Send + Sync>,
    clock: ManualClock,
    app: App,
    /// `None` only after a restart that failed.
    running: Option<Running>,
}

impl Harness {
    /// Starts an app under this clock. The closure is called again at each
    /// [`restart`](Self::restart): what it adds must lead to the same store.
    ///
    /// # Errors
    /// As [`AppBuilder::build`] and [`App::start`].
    pub async fn start(
        build: impl Fn() -> AppBuilder + Send + Sync + 'static,
        clock: ManualClock,
    ) -> Result<Self> {
        let app = build().clock(clock.clone()).build()?;
        let running = Some(app.start().await?);
        let harness = Self { build: Box::new(build), clock, app, running };
        harness.settled().await?;
        Ok(harness)
    }

    /// The app. What is sent through it is not waited for: see [`settled`](Self::settled).
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The clock. To let what is due in between happen in order, move it by
    /// [`advance`](Self::advance).
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Sends a command and waits until all has happened that follows from it now.
    ///
    /// # Errors
    /// As [`App::send`]; as [`settled`](Self::settled).
    pub async fn send<C: Command>(&self, command: C) -> Result<C::Output, Failure<C::Error>> {
        let output = self.app.send(command).await?;
        self.settled().await.map_err(Failure::Failed)?;
        Ok(output)
    }

    /// Waits until nothing is left to do at this time.
    ///
    /// # Errors
    /// As [`Running::settled`].
    pub async fn settled(&self) -> Result<()> {
        self.running()?.settled().await
    }

    /// Lets so much time pass. Whatever is due in between happens at its own time, in order, with
    /// what follows from it.
    ///
    /// # Errors
    /// As [`settled`](Self::settled); [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) when there is
    /// no end of what is due, such as a command that nobody handles: it is tried again and again.
    pub async fn advance(&self, by: Duration) -> Result<()> {
        advance(self.running()?, &self.clock, by).await
    }

    /// Stops the app and starts it anew, as a new process would.
    ///
    /// # Errors
    /// As [`stop`](Self::stop) and [`start`](Self::start).
    pub async fn restart(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            running.stop(BOUND).await?;
        }
        self.app = (self.build)().clock(self.clock.clone()).build()?;
        self.running = Some(self.app.start().await?);
        self.settled().await
    }

    /// Stops the app; what is in hand is finished. Dropping the harness ends it at once, as if the
    /// process had died.
    ///
    /// # Errors
    /// As [`Running::stop`].
    pub async fn stop(mut self) -> Result<()> {
        match self.running.take() {
            Some(running) => running.stop(BOUND).await,
            None => Ok(()),
        }
    }

    fn running(&self) -> Result<&Running> {
        self.running.as_ref().ok_or_else(|| {
            let context = "the harness does not run: its restart failed";
            Error::new(ErrorKind::Invalid { field: None }, context)
        })
    }
}

/// See [`Harness::advance`].
pub(crate) async fn advance(running: &Running, clock: &ManualClock, by: Duration) -> Result<()> {
    let end = clock.now().saturating_add(by);
    running.settled().await?;
    for _ in 0..STEPS {
        let Some(due) = running.next_due().await?.filter(|due| *due <= end) else {
            clock.set(end);
            return running.settled().await;
        };
        clock.set(due.max(clock.now()));
        running.settled().await?;
    }
    let context = format!(
        "after {STEPS} steps something is still due before {end}: a command without a handler, a \
         message without a bus, or something that is tried for ever"
    );
    Err(Error::new(ErrorKind::DeadlineExceeded, context))
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("now", &self.clock.now()).finish_non_exhaustive()
    }
}
