//! Functions that handle several events at once.

use std::any::type_name;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::error::{Problem, Result};
use crate::handler::erased::{BoxFuture, Guarded};
use crate::handler::event::{ErasedEventHandler, HandlerError, IntoEventHandler, Replay, decoded};
use crate::handler::inject::{Call, Inject, Resources};
use crate::manifest::EventHandlerManifest;
use crate::message::envelope::Envelope;
use crate::message::event_set::EventSet;
use crate::message::metadata::Metadata;
use crate::port::page::Recorded;
use crate::work::Work;

/// Several events, in the order of the log: what a handler of events takes as its first parameter to
/// handle them together, as many as there are, up to
/// [`Subscription::batch`](crate::Subscription::batch). It derefs to a slice.
///
/// When it fails, it is handed the events one at a time, so that one which cannot be handled holds up
/// nothing but its key: effects elsewhere are repeated then, with the same ids.
///
/// ```
/// use cqrs_core::{App, Batch, HandlerError};
/// # use cqrs_core::{Event, EventType};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # struct Opened { owner: String }
/// # impl Event for Opened {
/// #     const TYPES: &'static [EventType] = &[EventType::new("bank.opened", "Opened")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
///
/// async fn index(events: Batch<Opened>) -> Result<(), HandlerError> {
///     let owners: Vec<&str> = events.iter().map(|event| event.message.owner.as_str()).collect();
///     println!("indexing {owners:?}");
///     Ok(())
/// }
///
/// # use cqrs_core::memory::MemoryStore;
/// let app = App::builder().store(MemoryStore::default()).event_handler("bank.index", index).build();
/// assert!(app.is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct Batch<S>(Vec<Envelope<S>>);

impl<S> Deref for Batch<S> {
    type Target = [Envelope<S>];

    fn deref(&self) -> &[Envelope<S>] {
        &self.0
    }
}

impl<S> IntoIterator for Batch<S> {
    type Item = Envelope<S>;
    type IntoIter = std::vec::IntoIter<Envelope<S>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

struct Function<F, Parameters, Ready> {
    name: &'static str,
    commits: bool,
    function: F,
    ready: Ready,
    parameters: PhantomData<fn() -> Parameters>,
}

macro_rules! functions {
    ($( ($($T:ident $t:ident),*) )*) => { $(
        impl<F, Fut, S, X, $($T,)*> IntoEventHandler<S, (Batch<S>, $($T,)*)> for F
        where
            S: EventSet,
            F: Fn(Batch<S>, $($T,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), X>> + Send + 'static,
            X: Into<HandlerError> + 'static,
            $($T: Inject,)*
        {
            #[allow(unused_variables, reason = "a function of the events alone has no parameters")]
            fn install(
                self,
                name: &'static str,
                resources: &Resources,
                problems: &mut Vec<Problem>,
            ) -> Option<Box<dyn ErasedEventHandler>> {
                resources.found().commits = false;
                $( let $t = $T::resolve(resources, name).map_err(|p| problems.push(p)).ok(); )*
                let ready = ($($t?,)*);
                let parameters = PhantomData::<fn() -> (Batch<S>, $($T,)*)>;
                let commits = resources.found().commits;
                Some(Box::new(Function { name, commits, function: self, ready, parameters }))
            }
        }

        impl<F, Fut, S, X, $($T,)*> ErasedEventHandler
            for Function<F, (Batch<S>, $($T,)*), ($($T::Ready,)*)>
        where
            S: EventSet,
            F: Fn(Batch<S>, $($T,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), X>> + Send + 'static,
            X: Into<HandlerError> + 'static,
            $($T: Inject,)*
        {
            fn describe(&self) -> EventHandlerManifest {
                EventHandlerManifest {
                    name: self.name,
                    events: S::types().iter().map(|t| t.name).collect(),
                    handler: type_name::<F>(),
                }
            }

            fn commits(&self) -> bool {
                self.commits
            }

            fn batches(&self) -> bool {
                true
            }

            fn handle(
                &self,
                event: &Recorded<'_>,
                replay: bool,
            ) -> Result<BoxFuture<'_, Result<Option<Work>, HandlerError>>> {
                self.handle_batch(std::slice::from_ref(event), replay)
            }

            #[allow(unused_variables, reason = "a function of the events alone has no parameters")]
            fn handle_batch(
                &self,
                events: &[Recorded<'_>],
                replay: bool,
            ) -> Result<BoxFuture<'_, Result<Option<Work>, HandlerError>>> {
                let Some((batch, metadata)) = batch::<S>(events)? else {
                    return Ok(Box::pin(std::future::ready(Ok(None))));
                };
                let metadata = if replay { metadata.with_local(Replay) } else { metadata };
                let call = Call::of_event(self.name, metadata);
                Ok(Box::pin(Guarded::new(self.name, async move {
                    let ($($t,)*) = &self.ready;
                    let handling = (self.function)(batch, $($T::bind($t, &call),)*);
                    handling.await.map_err(Into::into)?;
                    Ok(call.begun_work().cloned())
                })))
            }
        }
    )* };
}

/// The events that were not erased, and the metadata of the first: ids of what is made are derived
/// from its id.
fn batch<S: EventSet>(events: &[Recorded<'_>]) -> Result<Option<(Batch<S>, Metadata)>> {
    let mut all = Vec::with_capacity(events.len());
    for event in events {
        if let Some((message, metadata)) = decoded::<S>(event)? {
            all.push(Envelope { metadata, message });
        }
    }
    let first = all.first().map(|first| first.metadata.clone());
    Ok(first.map(|first| (Batch(all), first)))
}

for_each_arity!(functions);
