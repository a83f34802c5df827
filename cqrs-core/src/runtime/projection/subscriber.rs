//! A durable projection as a subscription.

use std::any::type_name;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::domain::projection::Projection;
use crate::error::Result;
use crate::manifest::EventHandlerManifest;
use crate::message::event_set::EventSet;
use crate::port::filter::Filter;
use crate::runtime::consumer::{Consumer, Subscriber, SubscriptionKind};
use crate::runtime::control::{self, Generation};
use crate::runtime::node::Node;
use crate::runtime::projection::consumer::Folding;
use crate::runtime::projection::{collection, collection_name};
use crate::runtime::view;

/// Bytes of views that all partitions of a projection keep in memory, roughly.
const KEPT: usize = 16 << 20;

/// Documents that are removed at once.
const PURGED: u32 = 1_000;

/// So long after this process saw that views are retired they are removed: by then nobody reads them,
/// and no node that was late to know writes them.
const GRACE: Duration = Duration::from_secs(5);
const _: () = assert!(GRACE.as_millis() > 2 * view::KNOWN_FOR.as_millis());

/// A durable projection.
pub(crate) struct DurableProjection<P> {
    /// When this process saw that a generation of views is retired.
    retired: Mutex<HashMap<u32, Instant>>,
    projection: PhantomData<fn() -> P>,
}

impl<P> Default for DurableProjection<P> {
    fn default() -> Self {
        Self { retired: Mutex::default(), projection: PhantomData }
    }
}

pub(crate) fn describe<P: Projection>() -> EventHandlerManifest {
    EventHandlerManifest {
        name: P::NAME,
        events: P::Input::types().iter().map(|event_type| event_type.name).collect(),
        handler: type_name::<P>(),
    }
}

impl<P: Projection> Subscriber for DurableProjection<P> {
    fn kind(&self) -> SubscriptionKind {
        SubscriptionKind::Projection
    }

    fn describe(&self) -> EventHandlerManifest {
        describe::<P>()
    }

    fn filter(&self) -> Filter {
        Filter::of::<P::Input>()
    }

    fn version(&self) -> u16 {
        P::VERSION
    }

    fn prepare<'a>(
        &'a self,
        node: &'a Arc<Node>,
        generation: &'a Generation,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(node.store.declare(collection::<P>(generation.views)))
    }

    fn consumer(self: Arc<Self>, node: &Arc<Node>, generation: &Generation) -> Box<dyn Consumer> {
        let bytes = (KEPT / generation.partitions.max(1) as usize).max(1 << 20);
        let collection = collection_name::<P>(generation.views);
        Box::new(Folding::<P>::new(node.store.clone(), collection, bytes))
    }

    fn purge<'a>(
        &'a self,
        node: &'a Arc<Node>,
        generation: &'a Generation,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let control = control::read(&*node.store, P::NAME).await?;
            // A generation with other partitions goes on with the views of the one before it.
            if control.is_some_and(|c| c.running().any(|live| live.views == generation.views)) {
                return Ok(false);
            }
            let seen = {
                let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
                *retired.entry(generation.views).or_insert_with(Instant::now)
            };
            if seen.elapsed() < GRACE {
                return Ok(true);
            }
            let collection = collection_name::<P>(generation.views);
            Ok(node.store.purge_documents(&collection, PURGED).await? == PURGED)
        })
    }
}
