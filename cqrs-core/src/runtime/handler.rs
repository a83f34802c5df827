//! Handlers of events as subscriptions.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::handler::{ErasedEventHandler, HandlerError};
use crate::manifest::EventHandlerManifest;
use crate::port::commit::Commit;
use crate::port::filter::Filter;
use crate::port::page::Recorded;
use crate::runtime::consumer::{Consumer, Handled, Handling, Subscriber, SubscriptionKind};
use crate::runtime::control::Generation;
use crate::runtime::key;
use crate::runtime::node::Node;

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

#[async_trait]
impl Consumer for Function {
    fn keys(&self, event: &Recorded<'_>) -> Result<Vec<String>> {
        Ok(vec![key_of(event)?])
    }

    async fn one(&mut self, handling: Handling<'_>) -> Result<Handled, HandlerError> {
        let Some(work) = self.0.handle(&handling.event, handling.replay)?.await? else {
            return Ok(Handled::default());
        };
        let mut commit = work.take()?;
        if handling.replay {
            // What was sent the first time is not sent again (P14).
            (commit.outgoing, commit.timers) = (Vec::new(), Vec::new());
        }
        // Each attempt is a commit of its own: the checkpoint tells whether one was applied.
        commit.id = Commit::default().id;
        Ok(commit.into())
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
    match event.tenant {
        None => format!("{}/{}", event.category, event.stream),
        Some(tenant) => format!("{tenant}/{}/{}", event.category, event.stream),
    }
}
