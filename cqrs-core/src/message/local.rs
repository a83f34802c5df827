//! What travels with a message inside the process only: values by their type, never recorded.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::message::fingerprint::Fingerprint;

/// One value of each type.
#[derive(Default, Clone)]
pub(crate) struct Locals(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Locals {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    pub(crate) fn remove<T: 'static>(&mut self) {
        self.0.remove(&TypeId::of::<T>());
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// They are no part of what a message says: two messages do not differ by them.
impl PartialEq for Locals {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Locals {}

/// Without the values: they may be secrets.
impl fmt::Debug for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locals").field("count", &self.0.len()).finish_non_exhaustive()
    }
}

/// The digest of a request from outside, as it was received.
pub(crate) struct Received(pub(crate) Fingerprint);

/// The key under which a caller repeats a command: [`Metadata::with_local`]. The layer
/// [`Idempotency`](crate::layer::Idempotency) turns it into the id of the message.
///
/// See [`Idempotency`](crate::layer::Idempotency) for an example.
///
/// [`Metadata::with_local`]: crate::Metadata::with_local
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub Box<str>);
