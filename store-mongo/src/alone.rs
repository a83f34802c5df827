//! What is no commit and has the turn all the same: leases that go to another holder, what is declared, what is purged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cqrs_core::{Error, ErrorKind, Result};
use mongodb::{ClientSession, Database};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use crate::connect::{Connector, backoff};
use crate::error::Trouble;
use crate::orphans::{Begun, Enrolled, Waits};
use crate::writer::{Turn, turn};

/// How long others have the turn at most before it is tried again.
const JITTER: Duration = Duration::from_millis(30);

/// Who of this process writes: others wait in the order in which they came.
pub(crate) type OneAtATime = Arc<Mutex<()>>;

/// Waits until nobody else of this process writes.
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) when that takes longer than so.
pub(crate) async fn alone(
    one: &OneAtATime,
    patience: Duration,
) -> Result<OwnedMutexGuard<()>, Trouble> {
    let waited = timeout(patience, one.clone().lock_owned()).await;
    waited.map_err(|_| {
        let context = format!(
            "something else of this process has had its turn to write for {patience:?}: look for a \
             projection that hangs, and for one that writes through the store"
        );
        Error::new(ErrorKind::Unavailable, context).into()
    })
}

/// Takes the turn for one thing at a time.
pub(crate) struct Alone {
    connector: Arc<Connector>,
    one: OneAtATime,
    session: Mutex<Option<Enrolled>>,
}

/// What was done with the turn: whether anything was written.
pub(crate) enum Done<T> {
    Changed(T),
    Unchanged(T),
}

/// What can be done twice. A repeat: an attempt before it may have been written, and nobody was answered.
#[async_trait]
pub(crate) trait Work: Send + Sync {
    type Output: Send;

    async fn run(
        &self,
        db: &Database,
        session: &mut ClientSession,
        turn: &Turn,
        is_repeat: bool,
    ) -> Result<Done<Self::Output>, Trouble>;
}

impl Alone {
    pub(crate) fn new(connector: Arc<Connector>, one: OneAtATime) -> Self {
        Self { connector, one, session: Mutex::default() }
    }

    /// Does something that can be done twice, in a transaction of its own that takes so long at most. Again for a
    /// while, when others write or the server is out of reach.
    pub(crate) async fn run<W: Work>(
        &self,
        doing: &str,
        longest: Duration,
        work: W,
    ) -> Result<W::Output> {
        let mut kept = self.session.lock().await;
        let (since, mut attempts, mut waits) = (Instant::now(), 0, Waits::default());
        let mut maybe = false;
        loop {
            let done = self.attempt(&mut kept, longest, &work, &mut maybe).await;
            let trouble = match done {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            let pause = if trouble.is_conflict() {
                waits.for_others(&self.connector).await;
                JITTER.mul_f64(fastrand::f64())
            } else if trouble.is_passing() || trouble.is_transient() || trouble.is_unknown() {
                attempts += 1;
                backoff(attempts)
            } else {
                return Err(self.refusal(trouble, doing));
            };
            if since.elapsed() + pause > self.connector.patience {
                return Err(self.refusal(trouble, doing));
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn refusal(&self, trouble: Trouble, doing: &str) -> Error {
        trouble.into_error(doing, &self.connector.place)
    }

    async fn attempt<W: Work>(
        &self,
        kept: &mut Option<Enrolled>,
        longest: Duration,
        work: &W,
        maybe: &mut bool,
    ) -> Result<W::Output, Trouble> {
        let _one = alone(&self.one, self.connector.patience).await?;
        let mut enrolled = Enrolled::or_new(kept.take(), &self.connector).await?;
        let session = &mut enrolled.session;
        let begun = Begun::of(&self.connector, session);
        let done = self.attempt_in(session, longest, work, maybe).await;
        if let Err(trouble) = &done {
            turn::end(&self.connector, session, trouble).await;
        }
        begun.over();
        *kept = Some(enrolled);
        done
    }

    async fn attempt_in<W: Work>(
        &self,
        session: &mut ClientSession,
        longest: Duration,
        work: &W,
        maybe: &mut bool,
    ) -> Result<W::Output, Trouble> {
        let db = &self.connector.db;
        turn::begin(session).await?;
        let turn = turn::take(db, session, 0).await?;
        let done = timeout(longest, work.run(db, session, &turn, *maybe)).await;
        match done.map_err(|_| Trouble::TooLong)?? {
            Done::Unchanged(done) => {
                turn::abort(session).await;
                Ok(done)
            }
            Done::Changed(done) => {
                let committed = turn::commit(session).await;
                *maybe |= committed.as_ref().is_err_and(|trouble| !trouble.is_transient());
                committed?;
                self.connector.note(session);
                Ok(done)
            }
        }
    }
}
