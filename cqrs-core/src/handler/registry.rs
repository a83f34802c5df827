//! Handlers by the type of their request, and by its name.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use crate::app::{RawAnswer, RawRejection, RawReply};
use crate::error::{Error, ErrorKind, Failure, Rejection};
use crate::handler::erased::{BoxFuture, Erased, Guarded};
use crate::handler::{Answer, Handler};
use crate::message::envelope::Envelope;
use crate::message::metadata::Metadata;
use crate::message::request::{Request, RequestKind, Visibility};
use crate::message::wire::FieldError;

#[derive(Default)]
pub(crate) struct Registry {
    typed: HashMap<TypeId, Box<dyn Any + Send + Sync>, BuildHasherDefault<TypeIdHasher>>,
    named: HashMap<&'static str, Arc<dyn Named>>,
}

impl Registry {
    pub(crate) fn insert<R: Request>(&mut self, handler: impl Handler<R>) {
        let entry = Arc::new(Entry { handler: Box::new(Guarded(handler)) });
        self.named.insert(R::NAME, entry.clone());
        self.typed.insert(TypeId::of::<R>(), Box::new(entry));
    }

    pub(crate) fn get<R: Request>(&self) -> Option<&Arc<Entry<R>>> {
        self.typed.get(&TypeId::of::<R>())?.downcast_ref()
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Arc<dyn Named>> {
        self.named.get(name)
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.named.keys().copied().collect();
        names.sort_unstable();
        names
    }
}

pub(crate) struct Entry<R: Request> {
    handler: Box<dyn Erased<R>>,
}

impl<R: Request> Entry<R> {
    pub(crate) fn call(&self, request: Envelope<R>) -> BoxFuture<'_, Answer<R>> {
        self.handler.call(request)
    }
}

/// A handler called by the name of its request, from bytes.
pub(crate) trait Named: Send + Sync {
    fn kind(&self) -> RequestKind;

    fn visibility(&self) -> Visibility;

    fn call_raw(
        &self,
        version: Option<u16>,
        metadata: Metadata,
        body: Bytes,
    ) -> BoxFuture<'_, RawAnswer>;
}

impl<R: Request> Named for Entry<R> {
    fn kind(&self) -> RequestKind {
        R::KIND
    }

    fn visibility(&self) -> Visibility {
        R::VISIBILITY
    }

    fn call_raw(
        &self,
        version: Option<u16>,
        metadata: Metadata,
        body: Bytes,
    ) -> BoxFuture<'_, RawAnswer> {
        Box::pin(async move {
            let Some(wire) = R::wire() else {
                let context = format!("no request {:?} can be called from outside", R::NAME);
                return Err(Error::new(ErrorKind::UnknownName, context).into());
            };
            let version = version.unwrap_or(R::VERSION);
            if version != R::VERSION {
                let current = R::VERSION;
                let context =
                    format!("`{}` is at version {current}, not at version {version}", R::NAME);
                return Err(decode_error::<R>(Some("version"), context).into());
            }
            let message = (wire.request.decode)(&body).map_err(|cause| {
                let field = cause.downcast_ref::<FieldError>().and_then(FieldError::field);
                let field = field.map(str::to_owned);
                // It may quote the body, which comes from outside: escaped, and cut.
                let reason = cause.to_string();
                let reason: String = reason.escape_debug().take(300).collect();
                let context = format!("the body is no `{}`: {reason}", R::NAME);
                decode_error::<R>(field.as_deref(), context).with_source(cause)
            })?;
            match self.call(Envelope { metadata, message }).await {
                Ok(reply) => {
                    let body = (wire.output.encode)(&reply.output).map_err(|cause| {
                        let context = format!("the answer of `{}`: {cause}", R::NAME);
                        Error::new(ErrorKind::Internal, context).with_source(cause)
                    })?;
                    let content_type = wire.content_type;
                    Ok(RawReply { position: reply.position, content_type, body })
                }
                Err(Failure::Failed(error)) => Err(Failure::Failed(error)),
                Err(Failure::Rejected(rejection)) => {
                    let body = (wire.rejection.encode)(&rejection).map_err(|cause| {
                        let context = format!("the rejection of `{}`: {cause}", R::NAME);
                        Error::new(ErrorKind::Internal, context).with_source(cause)
                    })?;
                    Err(Failure::Rejected(RawRejection {
                        code: rejection.code(),
                        field: rejection.field().map(str::to_owned),
                        detail: rejection.to_string(),
                        content_type: wire.content_type,
                        body,
                    }))
                }
            }
        })
    }
}

fn decode_error<R: Request>(field: Option<&str>, context: String) -> Error {
    let field = field.map(str::to_owned);
    Error::new(ErrorKind::Decode { message: R::NAME.to_owned(), field }, context)
}

/// Type ids are hashes already.
#[derive(Default)]
struct TypeIdHasher(u64);

impl Hasher for TypeIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}
