//! One record in a queue: the newest is the only one. And locks, which one connection has at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cqrs_core::Result;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel};
use tokio::runtime::Handle;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, timeout};

use crate::error::{of, refusal, unavailable};
use crate::headers;
use crate::link::Link;
use crate::session::{ANSWER, Sent, Session};

/// A record that was read, and is there until it is replaced.
pub(crate) struct Found {
    channel: Channel,
    tags: Vec<u64>,
    pub(crate) record: Option<Vec<u8>>,
}

/// How many messages are in a queue that is looked at by one at a time. What the one before has not acknowledged comes
/// back when the server has taken note of its end, which is after it has confirmed it: within [`ANSWER`].
pub(crate) async fn count(
    session: &Session,
    channel: &Channel,
    queue: &ShortString,
    doing: &str,
) -> Result<u32> {
    let since = Instant::now();
    loop {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declare = channel.queue_declare(queue.clone(), passive, FieldTable::default());
        let there = session.step(doing, declare).await?;
        if there.consumer_count() == 0 {
            return Ok(there.message_count());
        }
        if since.elapsed() > ANSWER {
            return Err(unavailable(doing, format!("somebody else consumes from `{queue}`")));
        }
        tokio::time::sleep(Duration::from_millis(2 + fastrand::u64(0..8))).await;
    }
}

/// Reads the newest record. Nobody else reads at the same time.
pub(crate) async fn read(session: &Session, queue: &ShortString) -> Result<Found> {
    let doing = format!("reading the record in `{queue}`");
    let channel = session.step(&doing, session.channel()).await?;
    count(session, &channel, queue, &doing).await?;
    let (mut tags, mut record) = (Vec::new(), None);
    // More than one is there after a death between writing one and removing the one before.
    loop {
        let get = channel.basic_get(queue.clone(), BasicGetOptions::default());
        let Some(got) = session.step(&doing, get).await? else { break };
        tags.push(got.delivery.delivery_tag);
        record = Some(got.delivery.data);
    }
    Ok(Found { channel, tags, record })
}

impl Found {
    /// Replaces it.
    pub(crate) async fn replace(
        self,
        session: &Session,
        queue: &ShortString,
        record: Vec<u8>,
    ) -> Result<()> {
        write(session, queue, record).await?;
        let doing = format!("replacing the record in `{queue}`");
        for tag in &self.tags {
            let ack = self.channel.basic_ack(*tag, BasicAckOptions::default());
            session.step(&doing, ack).await?;
        }
        self.leave().await;
        Ok(())
    }

    /// Leaves it as it is.
    pub(crate) async fn leave(self) {
        let _ = timeout(ANSWER, self.channel.close(200, "done".into())).await;
    }
}

/// Writes a record; the one before goes.
pub(crate) async fn write(session: &Session, queue: &ShortString, record: Vec<u8>) -> Result<()> {
    let properties = headers::stored(BasicProperties::default());
    let sent =
        session.send(ShortString::default(), queue.clone(), false, properties, Bytes::from(record));
    match sent.await {
        Sent::Stored => Ok(()),
        other => {
            let doing = format!("writing the record in `{queue}`");
            Err(unavailable(doing, format!("{other:?}")))
        }
    }
}

/// Something that only one connection does at a time.
pub(crate) struct Lock<'a> {
    pub(crate) session: Arc<Session>,
    queue: ShortString,
    _ours: MutexGuard<'a, ()>,
}

impl<'a> Lock<'a> {
    /// Waits until nobody else has it.
    pub(crate) async fn take(
        link: &'a Link,
        of_what: &str,
        doing: &str,
        deadline: Instant,
    ) -> Result<Self> {
        let ours = match tokio::time::timeout_at(deadline, link.lock.lock()).await {
            Ok(ours) => ours,
            Err(elapsed) => return Err(unavailable(doing, elapsed)),
        };
        let queue = link.names.lock(of_what);
        loop {
            let session = link.session_until(doing, deadline).await?;
            let declare = async {
                let own = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
                let channel = session.channel().await?;
                channel.queue_declare(queue.clone(), own, FieldTable::default()).await?;
                channel.close(200, "done".into()).await
            };
            let error = match session.answer(declare).await {
                Ok(Ok(())) => return Ok(Self { session, queue, _ours: ours }),
                Ok(Err(error)) if refusal(&error) == Some(AMQPSoftError::RESOURCELOCKED) => {
                    of(doing, error)
                }
                Ok(Err(error)) if refusal(&error).is_some() => return Err(of(doing, error)),
                Ok(Err(error)) => {
                    session.fail();
                    of(doing, error)
                }
                Err(silent) => {
                    session.fail();
                    unavailable(doing, silent)
                }
            };
            if Instant::now() >= deadline {
                return Err(error);
            }
            link.pause().await;
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        let (session, queue) = (self.session.clone(), self.queue.clone());
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let release = async {
                let channel = session.channel().await?;
                channel.queue_delete(queue, QueueDeleteOptions::default()).await?;
                channel.close(200, "done".into()).await
            };
            if !matches!(session.answer(release).await, Ok(Ok(()))) {
                // It goes with the connection at the latest.
                session.fail();
            }
        });
    }
}
