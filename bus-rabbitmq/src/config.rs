//! How a bus is connected: where, as whom, under which prefix, and how patiently.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cqrs_core::{Error, Result};

use crate::bus::RabbitBus;

/// Settings of a bus. See [`RabbitBus`] for the smallest program.
///
/// ```no_run
/// use std::time::Duration;
/// use bus_rabbitmq::RabbitBus;
///
/// # async fn run() -> cqrs_core::Result<()> {
/// let bus = RabbitBus::builder("amqps://bank:secret@rabbit.example.org/shops")
///     .name("bank")
///     .prefix("shop")
///     .root_certificates("/etc/ssl/shops.pem")
///     .patience(Duration::from_secs(5))
///     .connect()
///     .await?;
/// # drop(bus);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `connect`"]
pub struct RabbitBuilder {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) root_certificates: Vec<PathBuf>,
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) patience: Duration,
    pub(crate) window: usize,
    pub(crate) prefetch: u16,
    pub(crate) max_length: Option<u32>,
    pub(crate) redeliver_within: Duration,
    pub(crate) keep_dead_letters: Duration,
    pub(crate) settling: Duration,
}

impl RabbitBuilder {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: "cqrs".to_owned(),
            prefix: "cqrs".to_owned(),
            root_certificates: Vec::new(),
            client_certificate: None,
            patience: Duration::from_secs(10),
            window: 256,
            prefetch: 512,
            max_length: None,
            redeliver_within: Duration::from_secs(14 * 24 * 60 * 60),
            keep_dead_letters: Duration::from_secs(7 * 24 * 60 * 60),
            settling: Duration::from_secs(2),
        }
    }

    /// Name of the service: the `source` of what it publishes, and the name of its connection. Default:
    /// `cqrs`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What all exchanges and queues begin with. Services that talk to each other have it in common, and
    /// nothing else in the virtual host begins with it. Default: `cqrs`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Trusts the certificates of a PEM file, beside those of the system, where the URL is `amqps://`.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates.push(file.into());
        self
    }

    /// Shows a certificate of its own: PEM files with the certificate and its key.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// How long a call goes on trying while the broker is out of reach. Default: 10 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Keys of which messages are on their way at once: of each key, one. Default: 256.
    pub fn window(mut self, keys: usize) -> Self {
        self.window = keys.max(1);
        self
    }

    /// Messages of a group that are held in memory at most: those in the hands of its members, and those that
    /// wait behind one of their key. Default: 512.
    pub fn prefetch(mut self, messages: u16) -> Self {
        self.prefetch = messages.max(1);
        self
    }

    /// Messages that may wait for one group, when its queue is made: with more, publishing fails as
    /// [`Overloaded`](cqrs_core::ErrorKind::Overloaded), and nothing is lost. Default: as many as the server has room
    /// for.
    pub fn max_length(mut self, messages: u32) -> Self {
        self.max_length = Some(messages);
        self
    }

    /// How old a message may be that is handed over once more: an older one becomes a dead letter. With
    /// [`keep_dead_letters`](Self::keep_dead_letters) it is what inboxes must exceed
    /// ([`BusCapabilities::longest_redelivery`](cqrs_core::BusCapabilities::longest_redelivery)). What was never handed
    /// over may be of any age. Default: 14 days.
    pub fn redeliver_within(mut self, age: Duration) -> Self {
        self.redeliver_within = age;
        self
    }

    /// For how long dead letters are kept, when their queue is made. Default: 7 days.
    pub fn keep_dead_letters(mut self, kept: Duration) -> Self {
        self.keep_dead_letters = kept;
        self
    }

    /// How long the queues of a group that is joined for the first time are left alone before they get anything:
    /// RabbitMQ takes up to a second to write down which quorum queues it has, and one that is killed sooner loses
    /// those that it has not, with all that they hold. Default: 2 s. Zero is for a server that nobody kills.
    pub fn settling(mut self, time: Duration) -> Self {
        self.settling = time;
        self
    }

    /// From a message's first delivery to its last one, dead letters that are sent again included.
    pub(crate) fn longest_redelivery(&self) -> Duration {
        self.redeliver_within.saturating_add(self.keep_dead_letters)
    }

    /// With the prefix that stands in the URL, which it has no more.
    ///
    /// # Errors
    /// [`Invalid`](cqrs_core::ErrorKind::Invalid): it has a setting behind `?` that is none.
    pub(crate) fn with_those_of_the_url(mut self) -> Result<Self> {
        let Some((url, query)) = self.url.split_once('?') else { return Ok(self) };
        let mut theirs = Vec::new();
        for setting in query.split('&') {
            match setting.split_once('=') {
                Some(("prefix", prefix)) => prefix.clone_into(&mut self.prefix),
                Some(("heartbeat" | "frame_max" | "channel_max" | "auth_mechanism", _)) => {
                    theirs.push(setting);
                }
                _ => {
                    // Without saying which: it may be a part of a password.
                    let context = "the URL of RabbitMQ has a setting behind `?` that is none: \
                                   `prefix`, `heartbeat`, `frame_max`, `channel_max` and \
                                   `auth_mechanism` are";
                    return Err(Error::invalid_field("url", context));
                }
            }
        }
        self.url = match theirs.is_empty() {
            true => url.to_owned(),
            false => format!("{url}?{}", theirs.join("&")),
        };
        Ok(self)
    }

    /// Connects. A broker that is down is no error: it is tried again, and calls wait for it for as long as
    /// they are [patient](Self::patience).
    ///
    /// # Errors
    /// [`Invalid`](cqrs_core::ErrorKind::Invalid): the URL, the prefix, the name or a file is none.
    pub async fn connect(self) -> Result<RabbitBus> {
        RabbitBus::open(self).await
    }
}

/// Without the password.
impl fmt::Debug for RabbitBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut builder = f.debug_struct("RabbitBuilder");
        builder.field("name", &self.name).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_have_the_prefix() {
        let of = |url| RabbitBuilder::new(url).with_those_of_the_url();
        let plain = of("amqp://a:1/shops").unwrap();
        assert_eq!((plain.url.as_str(), plain.prefix.as_str()), ("amqp://a:1/shops", "cqrs"));
        let shop = of("amqp://a:1/shops?heartbeat=5&prefix=shop").unwrap();
        let expected = ("amqp://a:1/shops?heartbeat=5", "shop");
        assert_eq!((shop.url.as_str(), shop.prefix.as_str()), expected);
        for url in ["amqp://a?", "amqp://a?prefix", "amqp://a?prefix=b&sesame=open"] {
            let error = of(url).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("`prefix`") && !error.contains("open"), "{error}");
        }
    }
}
