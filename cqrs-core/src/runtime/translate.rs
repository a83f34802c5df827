//! Translations: which events of the domain others are told of, and in which words.

use std::any::type_name;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::{Problem, Result};
use crate::handler::{BoxFuture, ErasedEventHandler, Guarded, HandlerError, Resources, decoded};
use crate::manifest::EventHandlerManifest;
use crate::message::event::Event;
use crate::message::event_set::EventSet;
use crate::message::metadata::Metadata;
use crate::port::clock::Clock;
use crate::port::outgoing::{Outgoing, OutgoingKind};
use crate::port::page::Recorded;
use crate::port::store::Store;
use crate::record;
use crate::work::Work;

/// A translation of events, as a handler of them: what others are told is one commit with the
/// checkpoint.
struct Translation<S, F> {
    name: &'static str,
    translate: F,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    events: PhantomData<fn() -> S>,
}

/// A handler that translates; `None`: there is no store, which is among the problems then.
pub(crate) fn install<S, I, F>(
    name: &'static str,
    translate: F,
    resources: &Resources,
    problems: &mut Vec<Problem>,
) -> Option<Box<dyn ErasedEventHandler>>
where
    S: EventSet,
    I: IntoIterator,
    I::Item: Event,
    F: Fn(&S) -> I + Send + Sync + 'static,
{
    let store = resources.store(name).map_err(|problem| problems.push(problem)).ok()?;
    let clock = resources.clock.clone();
    Some(Box::new(Translation { name, translate, store, clock, events: PhantomData }))
}

impl<S, I, F> ErasedEventHandler for Translation<S, F>
where
    S: EventSet,
    I: IntoIterator,
    I::Item: Event,
    F: Fn(&S) -> I + Send + Sync + 'static,
{
    fn describe(&self) -> EventHandlerManifest {
        EventHandlerManifest {
            name: self.name,
            events: S::types().iter().map(|known| known.name).collect(),
            handler: type_name::<F>(),
        }
    }

    fn commits(&self) -> bool {
        true
    }

    fn handle(
        &self,
        event: &Recorded<'_>,
        replay: bool,
    ) -> Result<BoxFuture<'_, Result<Option<Work>, HandlerError>>> {
        let found = if replay { None } else { decoded::<S>(event)? };
        let Some((data, metadata)) = found else {
            // What others were told they are not told again.
            return Ok(Box::pin(std::future::ready(Ok(None))));
        };
        // The order in which events are handled is the order in which others get what they become.
        let key = metadata.partition_key().unwrap_or(event.stream).to_owned();
        let happened = metadata.occurred_at().unwrap_or(event.recorded_at);
        Ok(Box::pin(Guarded::new(self.name, async move {
            let told: Vec<I::Item> = (self.translate)(&data).into_iter().collect();
            if told.is_empty() {
                return Ok(None);
            }
            let base = metadata.id().derived(self.name, 0);
            let cause = metadata.effect(base).with_occurred_at(happened);
            let work = Work::of_call(self.store.clone(), self.clock.clone(), metadata, base);
            for (event, n) in told.iter().zip(0..) {
                let metadata = cause.sibling(base.derived("message", n));
                work.send_out(outgoing(event, metadata, &key)?)?;
            }
            Ok(Some(work))
        })))
    }
}

/// An event of the contract with others, to be sent.
fn outgoing<E: Event>(event: &E, metadata: Metadata, key: &str) -> Result<Outgoing> {
    let (new, _) = record::encode(event, metadata)?;
    let metadata = match new.schema_version {
        1 => new.metadata,
        version => new.metadata.with_schema_version(version),
    };
    let message = Outgoing::new(OutgoingKind::Message, new.event_type, key, new.payload);
    Ok(Outgoing { metadata, ..message })
}
