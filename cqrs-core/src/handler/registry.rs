//! Handlers by the type of their request, and by its name.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use crate::handler::Handler;
use crate::handler::any::{AnyAnswer, AnyRequest};
use crate::handler::erased::{BoxAnswering, BoxFuture, Erased, Plain};
use crate::handler::service::{HandlerService, RequestLayer};
use crate::manifest::RequestManifest;
use crate::message::envelope::Envelope;
use crate::message::metadata::Metadata;
use crate::message::request::{Request, RequestKind, Visibility};

#[derive(Default)]
pub(crate) struct Registry {
    typed: HashMap<TypeId, Box<dyn Any + Send + Sync>, BuildHasherDefault<TypeIdHasher>>,
    named: HashMap<&'static str, Arc<dyn Named>>,
}

impl Registry {
    /// `handled_by`: for people, the path of the user's function or type.
    pub(crate) fn insert<R: Request, H: Handler<R>>(
        &mut self,
        handler: H,
        handled_by: &'static str,
    ) {
        let handler = Arc::new(Plain(handler));
        let (answers_repeats, is_remote) = (H::ANSWERS_REPEATS, H::IS_REMOTE);
        let layers = Vec::new();
        self.put(Entry::<R> { handler, handled_by, answers_repeats, is_remote, layers });
    }

    fn put<R: Request>(&mut self, entry: Entry<R>) {
        let entry = Arc::new(entry);
        self.named.insert(R::NAME, entry.clone());
        self.typed.insert(TypeId::of::<R>(), Box::new(entry));
    }

    /// Puts a layer around the handler of a request, where it has one.
    pub(crate) fn wrap<R: Request, L: RequestLayer<R>>(&mut self, layer: L) {
        let Some(entry) = self.get::<R>() else { return };
        let inner = HandlerService::new(entry.handler.clone());
        let layers = [&entry.layers[..], &[type_name::<L>()]].concat();
        let Entry { handled_by, answers_repeats, is_remote, .. } = **entry;
        let handler = layer.wrap(inner).into_inner();
        self.put(Entry { handler, handled_by, answers_repeats, is_remote, layers });
    }

    pub(crate) fn get<R: Request>(&self) -> Option<&Arc<Entry<R>>> {
        self.typed.get(&TypeId::of::<R>())?.downcast_ref()
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Arc<dyn Named>> {
        self.named.get(name)
    }

    /// The names of those that others may call.
    pub(crate) fn served(&self) -> Vec<String> {
        let served = self.named.iter().filter(|(_, entry)| entry.is_served());
        let mut names: Vec<_> = served.map(|(name, _)| (*name).to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// All of them, by name.
    pub(crate) fn describe(&self) -> Vec<RequestManifest> {
        let mut all: Vec<_> = self.named.values().map(|entry| entry.describe()).collect();
        all.sort_unstable_by_key(|request| request.name);
        all
    }
}

pub(crate) struct Entry<R: Request> {
    handler: Arc<dyn Erased<R>>,
    handled_by: &'static str,
    /// [`Handler::ANSWERS_REPEATS`].
    pub(crate) answers_repeats: bool,
    /// [`Handler::IS_REMOTE`].
    is_remote: bool,
    /// From the inside out.
    layers: Vec<&'static str>,
}

impl<R: Request> Entry<R> {
    pub(crate) fn call(&self, request: Envelope<R>) -> BoxAnswering<'_, R> {
        self.handler.call(request)
    }
}

/// A handler called by the name of its request.
pub(crate) trait Named: Send + Sync {
    fn kind(&self) -> RequestKind;

    fn visibility(&self) -> Visibility;

    /// [`Handler::ANSWERS_REPEATS`].
    fn answers_repeats(&self) -> bool;

    /// Whether other services may call it over a bus: it is not internal, has a wire form, and is handled
    /// here.
    fn is_served(&self) -> bool;

    fn describe(&self) -> RequestManifest;

    /// A request from outside for this handler.
    fn encoded(&self, version: Option<u16>, metadata: Metadata, body: Bytes) -> AnyRequest;

    fn call_any(&self, request: AnyRequest) -> BoxFuture<'static, AnyAnswer>;
}

impl<R: Request> Named for Entry<R> {
    fn kind(&self) -> RequestKind {
        R::KIND
    }

    fn visibility(&self) -> Visibility {
        R::VISIBILITY
    }

    fn answers_repeats(&self) -> bool {
        self.answers_repeats
    }

    fn is_served(&self) -> bool {
        R::VISIBILITY != Visibility::Internal && R::wire().is_some() && !self.is_remote
    }

    fn describe(&self) -> RequestManifest {
        RequestManifest::of::<R>(self.handled_by, self.is_remote, &self.layers)
    }

    fn encoded(&self, version: Option<u16>, metadata: Metadata, body: Bytes) -> AnyRequest {
        AnyRequest::encoded::<R>(version, metadata, body)
    }

    fn call_any(&self, request: AnyRequest) -> BoxFuture<'static, AnyAnswer> {
        self.handler.clone().call_any(request)
    }
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
