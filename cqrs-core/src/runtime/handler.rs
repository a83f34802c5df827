//! Handlers of events as subscriptions.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::handler::{ErasedEventHandler, HandlerError};
use crate::manifest::EventHandlerManifest;
use crate::port::commit::Commit;
use crate::port::filter::Filter;
use crate::port::page::Recorded;
use crate::runtime::consumer::{
    Behind, Consumer, Handled, Handling, Stretch, Subscriber, SubscriptionKind,
};
use crate::runtime::control::Generation;
use crate::runtime::key;
use crate::runtime::node::Node;
use crate::work::Work;

/// A function of events, behind the log.
pub(crate) struct Handler(pub(crate) Arc<dyn ErasedEventHandler>);

impl Subscriber for Handler {
    fn kind(&self) -> SubscriptionKind {
        SubscriptionKind::Handler
    }

    fn describe(&self) -> EventHandlerManifest {
        self.0.describe()
    }

    fn filter(&self) -> Filter {
        let types = self.0.describe().events.into_iter().map(Into::into).collect();
        Filter { types, ..Filter::default() }
    }

    fn consumer(self: Arc<Self>, _: &Arc<Node>, _: &Generation) -> Box<dyn Consumer> {
        Box::new(Function(self.0.clone()))
    }
}

struct Function(Arc<dyn ErasedEventHandler>);

impl Function {
    /// What is to be written of what a handler gathered.
    fn gathered(work: Option<Work>, replay: bool) -> Result<Handled, HandlerError> {
        let Some(work) = work else { return Ok(Handled::default()) };
        let mut commit = work.take()?;
        if replay {
            // What was sent the first time is not sent again (P14).
            (commit.outgoing, commit.timers) = (Vec::new(), Vec::new());
        }
        // Each attempt is a commit of its own: the checkpoint tells whether one was applied.
        commit.id = Commit::default().id;
        Ok(commit.into())
    }
}

#[async_trait]
impl Consumer for Function {
    fn batches(&self) -> bool {
        self.0.batches()
    }

    fn keys(&self, event: &Recorded<'_>) -> Result<Vec<String>> {
        Ok(vec![key_of(event)?])
    }

    async fn one(&mut self, handling: Handling<'_>) -> Result<Handled, HandlerError> {
        // One that cannot be read now cannot be read later either.
        let handling_it = self.0.handle(&handling.event, handling.replay);
        let work = handling_it.map_err(HandlerError::fatal)?.await?;
        Self::gathered(work, handling.replay)
    }

    async fn many(&mut self, stretch: Stretch<'_>) -> Result<Handled, HandlerError> {
        let mut events = Vec::with_capacity(stretch.events.len());
        let mut behind = Vec::new();
        for event in stretch.events {
            let key = key_of(event)?;
            if !stretch.slice.has(&key) {
                continue;
            }
            match (stretch.is_blocked)(&key) {
                false => events.push(*event),
                true => behind.push(Behind {
                    position: event.position,
                    key,
                    message: event.event_type.to_owned(),
                }),
            }
        }
        let mut handled = Handled { behind, ..Handled::default() };
        // The work of a call is that of one tenant. Two of one would not see what the other gathers.
        events.sort_by_key(|event| event.tenant);
        for events in events.chunk_by(|one, next| one.tenant == next.tenant) {
            let work = self.0.handle_batch(events, stretch.replay)?.await?;
            handled.and(Self::gathered(work, stretch.replay)?);
        }
        Ok(handled)
    }
}

/// What an event is kept in order by: the key in its metadata, or its stream.
pub(crate) fn key_of(event: &Recorded<'_>) -> Result<String> {
    // Few have one, and to look for it costs less than to decode them all.
    if event.metadata_json.contains("\"partition_key\"")
        && let Some(key) = event.metadata()?.partition_key()
    {
        return Ok(key::of_tenant(event.tenant, key));
    }
    Ok(of_stream(event))
}

/// The key of an event's stream.
pub(crate) fn of_stream(event: &Recorded<'_>) -> String {
    key::lane(match event.tenant {
        None => format!("{}/{}", event.category, event.stream),
        Some(tenant) => format!("{tenant}/{}/{}", event.category, event.stream),
    })
}
