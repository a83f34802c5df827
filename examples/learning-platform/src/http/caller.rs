//! Who calls: found out before a request is handled.

use std::fmt;
use std::sync::Arc;

use cqrs_core::{Error, Metadata};
use hyper::HeaderMap;

/// Who calls. It becomes the tenant and the actor of the request's metadata, and is part of the scope
/// of an `Idempotency-Key`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Whose data is meant.
    pub tenant: Option<Box<str>>,
    /// Who asks.
    pub actor: Option<Box<str>>,
}

impl Caller {
    /// The metadata with tenant and actor.
    pub(crate) fn onto(self, mut metadata: Metadata) -> Metadata {
        if let Some(tenant) = self.tenant {
            metadata = metadata.with_tenant(tenant);
        }
        if let Some(actor) = self.actor {
            metadata = metadata.with_actor(actor);
        }
        metadata
    }
}

/// How a caller is known from the headers of the request.
#[derive(Clone)]
pub(crate) struct Identify(Arc<Find>);

type Find = dyn Fn(&HeaderMap) -> Result<Caller, Error> + Send + Sync;

impl Identify {
    pub(crate) fn by(
        find: impl Fn(&HeaderMap) -> Result<Caller, Error> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(find))
    }

    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        (self.0)(headers)
    }
}

impl fmt::Debug for Identify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identify")
    }
}
