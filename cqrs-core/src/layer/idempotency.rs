//! Commands under a key of the caller's: applied once, and their repeats answered as the first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Failure};
use crate::handler::{AnyAnswer, AnyRequest};
use crate::layer::surround::{Inner, Surround, Surrounded, layer};
use crate::message::id::MessageId;
use crate::message::local::IdempotencyKey;
use crate::message::request::RequestKind;

/// Applies a command that brings an [`IdempotencyKey`] once, and answers its repeats as the first.
///
/// A key counts within tenant, actor and name of the command; the id of the message is derived from the four. Callers
/// without an actor share their keys: put this inside what finds out who asks. The answer is kept in the commit of
/// the command itself ([`Metadata::with_inbox`](crate::Metadata::with_inbox)), for as long as the store keeps it.
/// Only answers are kept: a rejected command may be repeated under its key, and is decided anew. The same key with
/// another body is refused as [`IdReused`](ErrorKind::IdReused).
///
/// While the first is being handled, a repeat in the same process waits for it, at most for the time
/// that is set ([`wait_at_most`](Self::wait_at_most)), and is refused as
/// [`InFlight`](ErrorKind::InFlight) afterwards. One in another process waits in the store. Commands
/// without a key and queries pass through. A repeat that waits is no load: put this outside a
/// [`ConcurrencyLimit`](crate::layer::ConcurrencyLimit).
///
/// It needs a Tokio runtime with time.
///
/// ```
/// use cqrs_core::layer::Idempotency;
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{App, IdempotencyKey, MessageId, Metadata};
/// # use cqrs_core::{Command, Failure, Never, Request, RequestKind, Wire, Work};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Serialize, Deserialize)]
/// # struct Roll;
/// # impl Command for Roll {}
/// # impl Request for Roll {
/// #     const NAME: &'static str = "dice.roll";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = u128;
/// #     type Error = Never;
/// #     fn wire() -> Option<Wire<Self>> { Some(Wire::json()) }
/// # }
/// # async fn roll(_: Roll, _: Work) -> Result<u128, Failure<Never>> {
/// #     Ok(MessageId::fresh().uuid().as_u128())
/// # }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let app = App::builder()
///     .store(MemoryStore::default())
///     .handler(roll)
///     .layer(Idempotency::new("http"))
///     .build()?;
/// let keyed = || Metadata::default().with_local(IdempotencyKey("monday".into()));
/// let first = app.send(Roll).with(keyed()).await?;
/// assert_eq!(app.send(Roll).with(keyed()).await?, first);
/// assert_ne!(app.send(Roll).await?, first);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Idempotency {
    consumer: Box<str>,
    wait: Duration,
    in_flight: InFlight,
}

impl Idempotency {
    /// With the inbox of this consumer: the name of what takes the requests in. Two names, two
    /// memories.
    pub fn new(consumer: impl Into<Box<str>>) -> Self {
        let wait = Duration::from_secs(5);
        Self { consumer: consumer.into(), wait, in_flight: InFlight::default() }
    }

    /// How long a repeat waits for the first that is being handled. Default: 5 s.
    #[must_use]
    pub fn wait_at_most(mut self, time: Duration) -> Self {
        self.wait = time;
        self
    }
}

layer!(Idempotency);

impl Surround for Idempotency {
    async fn surround<S: Inner>(self, mut request: AnyRequest, inner: S) -> AnyAnswer {
        let key = request.metadata.local::<IdempotencyKey>();
        let Some(key) = key.filter(|_| request.kind() == RequestKind::Command) else {
            return inner.run(request).await;
        };
        let id = message_id(&request, key);
        let Ok(turn) = tokio::time::timeout(self.wait, self.in_flight.turn(id)).await else {
            let context = format!(
                "`{}` is being handled under the same key: try again later for its answer",
                request.name()
            );
            return Err(Error::new(ErrorKind::InFlight, context).into());
        };
        // The id under which everything is recorded, in the span of `Trace`.
        tracing::Span::current().record("keyed_id", tracing::field::display(id));
        request.metadata = request.metadata.with_id(id).with_inbox(self.consumer.clone());
        let name = request.name();
        let answer = inner.run(request).await;
        drop(turn);
        answer.map_err(|failure| match failure {
            Failure::Failed(error) if matches!(error.kind(), ErrorKind::IdReused { .. }) => {
                let context = format!(
                    "this idempotency key was used for another `{name}`: choose a new key for it"
                );
                Failure::Failed(Error::new(error.kind().clone(), context))
            }
            failure => failure,
        })
    }
}

/// The id that stands for tenant, actor, name and key: each with its length, so that no two lists of
/// them look alike.
fn message_id(request: &AnyRequest, key: &IdempotencyKey) -> MessageId {
    let metadata = &request.metadata;
    let tenant = metadata.tenant().unwrap_or_default();
    let actor = metadata.actor().unwrap_or_default();
    let parts = [tenant, actor, request.name(), &key.0];
    let scope: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
    MessageId::from_u128(0).derived(&scope, 0)
}

/// The messages that are being handled in this process.
#[derive(Debug, Clone, Default)]
struct InFlight(Arc<Mutex<HashMap<MessageId, watch::Receiver<()>>>>);

/// The right to handle a message, for one at a time. Given back when it is dropped.
struct Turn {
    id: MessageId,
    in_flight: InFlight,
    /// Whose end wakes those who wait.
    _done: watch::Sender<()>,
}

impl InFlight {
    /// Waits until nobody else handles the message.
    async fn turn(&self, id: MessageId) -> Turn {
        loop {
            let mut other = match self.map().entry(id) {
                Entry::Occupied(other) => other.get().clone(),
                Entry::Vacant(free) => {
                    let (done, waiting) = watch::channel(());
                    free.insert(waiting);
                    return Turn { id, in_flight: self.clone(), _done: done };
                }
            };
            // An error: the sender is gone, and the other one done.
            while other.changed().await.is_ok() {}
        }
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<MessageId, watch::Receiver<()>>> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.in_flight.map().remove(&self.id);
    }
}
