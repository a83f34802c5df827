//! What is no commit and has the turn all the same: leases that go to another holder, what is declared, what is purged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cqrs_core::Result;
use mongodb::{ClientSession, Database};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::connect::{Connector, backoff};
use crate::error::Trouble;
use crate::orphans::{self, Enrolled};
use crate::writer::{Turn, turn};

/// How long others have the turn at most before it is tried again.
const JITTER: Duration = Duration::from_millis(30);

/// Who has had the turn for so long may be dead: it is looked after.
const HELD: Duration = Duration::from_secs(2);

/// Who of this process writes: others wait in the order in which they came.
pub(crate) type OneAtATime = Arc<Mutex<()>>;

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

/// What can be done twice.
#[async_trait]
pub(crate) trait Work: Send + Sync {
    type Output: Send;

    async fn run(
        &self,
        db: &Database,
        session: &mut ClientSession,
        turn: &Turn,
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
        let (since, mut attempts, mut held) = (Instant::now(), 0, None::<Instant>);
        loop {
            let one = self.one.lock().await;
            let done = match Enrolled::or_new(kept.take(), &self.connector).await {
                Ok(mut enrolled) => {
                    let session = &mut enrolled.session;
                    let done = self.attempt(session, longest, &work).await;
                    if done.is_err() {
                        turn::abort(session).await;
                    }
                    *kept = Some(enrolled);
                    done
                }
                Err(trouble) => Err(trouble),
            };
            drop(one);
            let trouble = match done {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            let pause = if trouble.is_conflict() {
                let begun = *held.get_or_insert_with(Instant::now);
                if begun.elapsed() > HELD {
                    held = None;
                    orphans::free(&self.connector).await;
                }
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

    fn refusal(&self, trouble: Trouble, doing: &str) -> cqrs_core::Error {
        trouble.into_error(doing, &self.connector.place)
    }

    async fn attempt<W: Work>(
        &self,
        session: &mut ClientSession,
        longest: Duration,
        work: &W,
    ) -> Result<W::Output, Trouble> {
        turn::begin(session).await?;
        let turn = turn::take(&self.connector.db, session, 0).await?;
        let done = timeout(longest, work.run(&self.connector.db, session, &turn)).await;
        match done.map_err(|_| Trouble::TooLong)?? {
            Done::Unchanged(done) => {
                turn::abort(session).await;
                Ok(done)
            }
            Done::Changed(done) => {
                turn::commit(session).await?;
                self.connector.note(session);
                Ok(done)
            }
        }
    }
}
