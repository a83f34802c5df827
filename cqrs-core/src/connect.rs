//! Buses by their URLs: which one a service uses is configuration.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::handler::BoxFuture;
use crate::memory::MemoryBus;
use crate::port::bus::Bus;

type Connecting = BoxFuture<'static, Result<Arc<dyn Bus>>>;

/// A kind of bus that a program can connect to: what [`bus_kind!`](crate::bus_kind) makes.
#[derive(Clone, Copy)]
pub struct BusKind {
    /// What its URLs begin with, before the colon: `nats`.
    pub schemes: &'static [&'static str],
    /// Connects to the bus of a URL, under a name.
    pub connect: fn(url: String, name: String) -> Connecting,
}

inventory::collect!(BusKind);

/// Connects to the bus that a URL names, with the usual settings: `memory:` is a new one in this process, of which
/// only those know that it is handed to, and each adapter that is linked adds its own, as `nats://host:4222` and
/// `amqp://host:5672`. The name is that of the service: the `source` of what it sends. For other settings, use the
/// adapter's own builder.
///
/// A broker that is out of reach is no error: the bus connects once it can.
///
/// A crate that nothing refers to is not linked: name the adapters in [`link!`](crate::link).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let bus = cqrs_core::connect_bus("memory:", "bank").await?;
/// assert!(cqrs_core::connect_bus("pigeon://dovecote", "bank").await.is_err());
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid): no adapter that is linked knows the scheme; or what the adapter says of the rest.
pub async fn connect_bus(url: &str, name: &str) -> Result<Arc<dyn Bus>> {
    if url == "memory:" {
        return Ok(Arc::new(MemoryBus::default()));
    }
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    let kinds = || inventory::iter::<BusKind>.into_iter();
    if let Some(kind) = kinds().find(|kind| kind.schemes.contains(&scheme)) {
        return (kind.connect)(url.to_owned(), name.to_owned()).await;
    }
    let mut known: Vec<_> = kinds().flat_map(|kind| kind.schemes).copied().collect();
    known.push("memory");
    known.sort_unstable();
    // Not the URL: there may be a password in it, also where a scheme should be.
    let is_plain =
        scheme.len() <= 20 && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let scheme = if is_plain { scheme } else { "…" };
    let context = format!(
        "no bus of the kind {scheme:?}: this program has `{}`; is the adapter's crate linked (`cqrs_core::link!`)?",
        known.join("`, `")
    );
    Err(Error::new(ErrorKind::Invalid { field: Some("url".to_owned()) }, context))
}

/// Adds a kind of bus to those that [`connect_bus`](crate::connect_bus) knows: for adapters.
///
/// ```
/// use std::sync::Arc;
/// use cqrs_core::Bus;
/// use cqrs_core::memory::MemoryBus;
///
/// cqrs_core::bus_kind!(["shared-memory"], |url, name| async move {
///     Ok(Arc::new(MemoryBus::default()) as Arc<dyn Bus>)
/// });
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert!(cqrs_core::connect_bus("shared-memory://", "bank").await.is_ok());
/// # });
/// ```
#[macro_export]
macro_rules! bus_kind {
    ([$($scheme:literal),+ $(,)?], |$url:pat_param, $name:pat_param| $connecting:expr) => {
        $crate::__private::inventory::submit! {
            $crate::BusKind {
                schemes: &[$($scheme),+],
                connect: |$url, $name| ::std::boxed::Box::pin($connecting),
            }
        }
    };
}

impl fmt::Debug for BusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BusKind").field(&self.schemes).finish()
    }
}
