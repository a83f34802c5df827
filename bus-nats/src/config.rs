//! How a bus is connected: where, as whom, under which prefix, and how patiently.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cqrs_core::{Error, Result};

use crate::bus::NatsBus;

/// Settings of a bus. See [`NatsBus`] for the smallest program.
///
/// ```no_run
/// use std::time::Duration;
/// use bus_nats::NatsBus;
///
/// # async fn run() -> cqrs_core::Result<()> {
/// let bus = NatsBus::builder("nats://nats.example.org")
///     .name("bank")
///     .prefix("shop")
///     .credentials_file("/run/secrets/nats.creds")
///     .patience(Duration::from_secs(5))
///     .connect()
///     .await?;
/// # drop(bus);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `connect`"]
pub struct NatsBuilder {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) login: Login,
    pub(crate) root_certificates: Vec<PathBuf>,
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) require_tls: bool,
    pub(crate) patience: Duration,
    pub(crate) window: usize,
    pub(crate) replicas: usize,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) keep_published: Duration,
    pub(crate) redeliver_within: Duration,
    pub(crate) keep_dead_letters: Duration,
    pub(crate) deduplicate: Duration,
}

/// Who connects, where the URL does not say it.
#[derive(Clone)]
pub(crate) enum Login {
    Url,
    CredentialsFile(PathBuf),
    Nkey(String),
    Token(String),
}

impl NatsBuilder {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: "cqrs".to_owned(),
            prefix: "cqrs".to_owned(),
            login: Login::Url,
            root_certificates: Vec::new(),
            client_certificate: None,
            require_tls: false,
            patience: Duration::from_secs(10),
            window: 256,
            replicas: 1,
            max_bytes: None,
            keep_published: Duration::from_secs(7 * 24 * 60 * 60),
            redeliver_within: Duration::from_secs(14 * 24 * 60 * 60),
            keep_dead_letters: Duration::from_secs(7 * 24 * 60 * 60),
            deduplicate: Duration::from_secs(120),
        }
    }

    /// Name of the service: the `source` of what it publishes, and the name of its connection. Default:
    /// `cqrs`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What all subjects and streams begin with. Services that talk to each other have it in common, and
    /// nothing else on the server begins with it. Default: `cqrs`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Connects with the credentials of a file, as `nsc` writes it: a JWT and the seed of an nkey.
    pub fn credentials_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.login = Login::CredentialsFile(file.into());
        self
    }

    /// Connects with the seed of an nkey.
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.login = Login::Nkey(seed.into());
        self
    }

    /// Connects with a token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.login = Login::Token(token.into());
        self
    }

    /// Trusts the certificates of a PEM file, beside those of the system. It does not turn TLS on:
    /// `tls://` does, [`require_tls`](Self::require_tls) does, or the server.
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

    /// Never talks to a server without TLS. Default: as the server has it.
    pub fn require_tls(mut self) -> Self {
        self.require_tls = true;
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

    /// Servers of a cluster that store each message, when the streams are made. Default: 1.
    pub fn replicas(mut self, servers: usize) -> Self {
        self.replicas = servers;
        self
    }

    /// Bytes that all messages may take on the server's disk, when the streams are made: with more,
    /// publishing fails as [`Overloaded`](cqrs_core::ErrorKind::Overloaded), and nothing is lost. Default: as much
    /// as the server has.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// For how long messages are kept that no group wants any more, for groups that come later
    /// ([`BusStart::Kept`](cqrs_core::BusStart::Kept)). What a group wants is kept for ever. Default: 7 days.
    pub fn keep_published(mut self, kept: Duration) -> Self {
        self.keep_published = kept;
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

    /// For how long dead letters are kept, when the streams are made. Default: 7 days.
    pub fn keep_dead_letters(mut self, kept: Duration) -> Self {
        self.keep_dead_letters = kept;
        self
    }

    /// For how long the broker knows the id of a message, when the streams are made. Default: 2 minutes.
    pub fn deduplicate(mut self, within: Duration) -> Self {
        self.deduplicate = within;
        self
    }

    /// From a message's first delivery to its last one, dead letters that are sent again included.
    pub(crate) fn longest_redelivery(&self) -> Duration {
        self.redeliver_within.saturating_add(self.keep_dead_letters)
    }

    /// With the settings that stand in the URL, which it has no more.
    ///
    /// # Errors
    /// [`Invalid`](cqrs_core::ErrorKind::Invalid): there is no such setting.
    pub(crate) fn with_those_of_the_url(mut self) -> Result<Self> {
        let Some((url, query)) = self.url.split_once('?') else { return Ok(self) };
        for setting in query.split('&') {
            match setting.split_once('=') {
                Some(("prefix", prefix)) => prefix.clone_into(&mut self.prefix),
                _ => {
                    // Without saying which: it may be a part of a password.
                    let context = "the URL of NATS has a setting behind `?` that is none: \
                                   `prefix` is the only one";
                    return Err(Error::invalid_field("url", context));
                }
            }
        }
        self.url = url.to_owned();
        Ok(self)
    }

    /// Connects. A broker that is down is no error: it is tried again, and calls wait for it for as long as
    /// they are [patient](Self::patience).
    ///
    /// # Errors
    /// [`Invalid`](cqrs_core::ErrorKind::Invalid): the URL, the prefix or a file is none.
    pub async fn connect(self) -> Result<NatsBus> {
        NatsBus::open(self).await
    }
}

/// Without passwords, tokens and seeds.
impl fmt::Debug for NatsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut builder = f.debug_struct("NatsBuilder");
        builder.field("name", &self.name).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_have_the_prefix() {
        let of = |url| NatsBuilder::new(url).with_those_of_the_url();
        let plain = of("nats://a:1,nats://b").unwrap();
        assert_eq!((plain.url.as_str(), plain.prefix.as_str()), ("nats://a:1,nats://b", "cqrs"));
        let shop = of("nats://a:1,nats://b?prefix=shop").unwrap();
        assert_eq!((shop.url.as_str(), shop.prefix.as_str()), ("nats://a:1,nats://b", "shop"));
        for url in ["nats://a?", "nats://a?prefix", "nats://a?prefix=b&sesame=open"] {
            let error = of(url).map(|_| ()).unwrap_err().to_string();
            assert!(
                error.contains("`prefix` is the only one") && !error.contains("open"),
                "{error}"
            );
        }
    }
}
