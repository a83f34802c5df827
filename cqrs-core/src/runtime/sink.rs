//! A projection into the user's own tables as a subscription: its adapter applies events and their
//! checkpoint in one transaction of its own.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::handler::HandlerError;
use crate::manifest::EventHandlerManifest;
use crate::port::commit::Commit;
use crate::port::filter::Filter;
use crate::port::page::Recorded;
use crate::port::sink::{Sink, SinkEvents};
use crate::runtime::consumer::{
    Behind, Consumer, Handled, Handling, Stretch, Subscriber, SubscriptionKind,
};
use crate::runtime::control::Generation;
use crate::runtime::handler::of_stream;
use crate::runtime::node::Node;

/// A sink under its name.
pub(crate) struct SinkSubscriber {
    name: &'static str,
    sink: Arc<dyn Sink>,
}

impl SinkSubscriber {
    pub(crate) fn new(name: &'static str, sink: Arc<dyn Sink>) -> Self {
        Self { name, sink }
    }
}

impl Subscriber for SinkSubscriber {
    fn kind(&self) -> SubscriptionKind {
        SubscriptionKind::Sink
    }

    fn describe(&self) -> EventHandlerManifest {
        EventHandlerManifest {
            name: self.name,
            events: self.sink.types().iter().map(|event_type| event_type.name).collect(),
            handler: "a sink",
        }
    }

    fn filter(&self) -> Filter {
        let types = self.sink.types();
        Filter { types: types.iter().map(|t| t.name.into()).collect(), ..Filter::default() }
    }

    fn consumer(self: Arc<Self>, _: &Arc<Node>, _: &Generation) -> Box<dyn Consumer> {
        Box::new(SinkConsumer { sink: self.sink.clone() })
    }
}

/// Keeps the events of a stream in order; the tables are one for all of them.
struct SinkConsumer {
    sink: Arc<dyn Sink>,
}

#[async_trait]
impl Consumer for SinkConsumer {
    fn batches(&self) -> bool {
        true
    }

    fn keys(&self, event: &Recorded<'_>) -> Result<Vec<String>> {
        Ok(vec![of_stream(event)])
    }

    async fn one(&mut self, handling: Handling<'_>) -> Result<Handled, HandlerError> {
        let wanted = handling.event.position;
        let events = SinkEvents::new(handling.page.clone(), |position| position == wanted);
        Ok(Handled { sink: Some(events), ..Handled::default() })
    }

    async fn many(&mut self, stretch: Stretch<'_>) -> Result<Handled, HandlerError> {
        let mut behind = Vec::new();
        let mut wanted = Vec::with_capacity(stretch.events.len());
        // Without other partitions and blocked keys, nobody asks for the name of a lane.
        let is_free = stretch.slice.of <= 1 && !stretch.any_blocked;
        for event in stretch.events {
            if !is_free {
                let lane = of_stream(event);
                if !stretch.slice.has(&lane) {
                    continue;
                }
                if (stretch.is_blocked)(&lane) {
                    let message = event.event_type.to_owned();
                    behind.push(Behind { position: event.position, key: lane, message });
                    continue;
                }
            }
            wanted.push(event.position);
        }
        // Both are in the order of the log.
        let mut wanted = wanted.into_iter().peekable();
        let events = SinkEvents::new(stretch.page.clone(), |position| {
            wanted.next_if_eq(&position).is_some()
        });
        let sink = (!events.is_empty()).then_some(events);
        Ok(Handled { sink, behind, ..Handled::default() })
    }

    async fn write(&mut self, events: SinkEvents, commit: Commit) -> Result<()> {
        self.sink.apply(events, commit).await.map(drop)
    }
}
