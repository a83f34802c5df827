//! The connection to the server, and what all parts of a bus have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use cqrs_core::{BusLimits, Error, ErrorKind, MessageId, Result};
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, timeout_at};

use crate::config::{Login, NatsBuilder};
use crate::error::{closed, unavailable};
use crate::requests::Answers;
use crate::subjects::Subjects;
use crate::topology;

/// How long one request to the server may take before it is asked again.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// How long others may take to connect again.
const AGAIN: Duration = Duration::from_millis(1_500);

/// What headers of ours need beside the metadata: names, the version, the id of the broker.
const HEADERS: usize = 2 << 10;

/// A connection with its settings.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    pub(crate) subjects: Subjects,
    pub(crate) settings: NatsBuilder,
    pub(crate) limits: BusLimits,
    /// Of this connection: no other one has it.
    pub(crate) id: String,
    /// Counts the connections to the server that were made: what was on its way in the one before may be
    /// lost.
    pub(crate) connections: watch::Receiver<u64>,
    /// When the last one was made.
    connected_at: Arc<Mutex<Instant>>,
    /// Why there is no connection, as far as the client has told since the last one.
    trouble: Arc<Mutex<Option<String>>>,
    pub(crate) closed: watch::Sender<bool>,
    /// Messages that nobody listens to.
    pub(crate) unheard: AtomicU64,
    /// Where answers come in, once something was asked.
    pub(crate) answers: OnceCell<Answers>,
    made: OnceCell<()>,
    last: AtomicU64,
}

impl Link {
    pub(crate) async fn open(settings: NatsBuilder) -> Result<Self> {
        let subjects = Subjects::new(&settings.prefix)?;
        let (connected, connections) = watch::channel(0);
        let options = options(&settings).await?;
        let connected_at = Arc::new(Mutex::new(Instant::now()));
        let noted = connected_at.clone();
        let trouble = Arc::<Mutex<Option<String>>>::default();
        let told = trouble.clone();
        let options = options.event_callback(move |event| {
            let tell = |why| *told.lock().unwrap_or_else(PoisonError::into_inner) = why;
            match event {
                Event::Connected => {
                    tell(None);
                    *noted.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    connected.send_modify(|count| *count += 1);
                }
                Event::Disconnected => tell(None),
                Event::ServerError(error) => tell(Some(error.to_string())),
                Event::ClientError(error) => tell(Some(error.to_string())),
                _ => {}
            }
            async {}
        });
        let client = options.connect(settings.url.as_str()).await.map_err(|error| {
            let context = format!("the URL of NATS cannot be used: {}", error.kind());
            Error::invalid_field("url", context)
        })?;
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(ANSWER)
            .ack_timeout(ANSWER)
            .max_ack_inflight(100_000)
            .build(client.clone());
        Ok(Self {
            client,
            jetstream,
            subjects,
            // A server takes 1 MiB, headers included, unless it is told otherwise.
            limits: BusLimits { body: (1 << 20) - (16 << 10) - HEADERS, ..BusLimits::default() },
            id: MessageId::fresh().to_string(),
            connections,
            connected_at,
            trouble,
            closed: watch::Sender::new(false),
            unheard: AtomicU64::new(0),
            answers: OnceCell::new(),
            made: OnceCell::new(),
            last: AtomicU64::new(0),
            settings,
        })
    }

    /// A number that this connection gives once.
    pub(crate) fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Why there is no connection.
    pub(crate) fn trouble(&self) -> String {
        let told = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &*told {
            Some(told) => format!("NATS is out of reach ({told}); it is tried again"),
            None => "NATS is out of reach; it is tried again".to_owned(),
        }
    }

    /// Whether the connection is so old that others would have connected again as well, had they lost theirs at
    /// the same time.
    pub(crate) fn is_settled(&self) -> bool {
        let connected_at = *self.connected_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_up() && connected_at.elapsed() >= AGAIN
    }

    /// When a call that begins now gives up.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.settings.patience
    }

    /// Waits until there is a connection, and the streams are there.
    pub(crate) async fn ready(&self, deadline: Instant) -> Result<()> {
        if self.made.initialized() && self.is_up() && !self.is_closed() {
            return Ok(());
        }
        let ready = async {
            loop {
                if self.is_closed() {
                    return Err(closed());
                }
                self.connected().await;
                match self.made.get_or_try_init(|| topology::apply(self)).await {
                    Ok(()) => return Ok(()),
                    Err(error) if *error.kind() != ErrorKind::Unavailable => return Err(error),
                    Err(error) => tracing::debug!(%error, "the streams are not there yet"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match timeout_at(deadline, ready).await {
            Ok(ready) => ready,
            Err(elapsed) => Err(unavailable("connecting", elapsed)),
        }
    }

    /// Waits until the server has taken in all that was sent to it so far: it takes it in in order, and what is
    /// sent to ourselves comes last.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable): it did not come back in time.
    pub(crate) async fn round_trip(&self, deadline: Instant) -> Result<()> {
        let round_trip = async {
            let inbox = self.client.new_inbox();
            let mut back = self.client.subscribe(inbox.clone()).await.ok()?;
            self.client.publish(inbox, "".into()).await.ok()?;
            back.next().await
        };
        match timeout_at(deadline, round_trip).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(closed()),
            Err(elapsed) => Err(unavailable("a round trip", elapsed)),
        }
    }

    /// Waits until there is a connection.
    pub(crate) async fn connected(&self) {
        let mut connections = self.connections.clone();
        while !self.is_up() {
            connections.mark_unchanged();
            if self.is_up() {
                return;
            }
            // The state is set a moment before it is told of.
            let _ = tokio::time::timeout(Duration::from_millis(100), connections.changed()).await;
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("id", &self.id).finish_non_exhaustive()
    }
}

async fn options(settings: &NatsBuilder) -> Result<ConnectOptions> {
    let mut options = match &settings.login {
        Login::Url => match login_of(&settings.url)? {
            None => ConnectOptions::new(),
            Some((user, Some(password))) => ConnectOptions::with_user_and_password(user, password),
            Some((token, None)) => ConnectOptions::with_token(token),
        },
        Login::Token(token) => ConnectOptions::with_token(token.clone()),
        Login::Nkey(seed) => ConnectOptions::with_nkey(seed.clone()),
        Login::CredentialsFile(file) => {
            ConnectOptions::with_credentials_file(file).await.map_err(|error| {
                let context = format!("{}: {error}", file.display());
                Error::invalid_field("credentials_file", context)
            })?
        }
    };
    options = options.name(&settings.name).retry_on_initial_connect();
    options =
        options.connection_timeout(Duration::from_secs(5)).ping_interval(Duration::from_secs(5));
    options = options.request_timeout(Some(ANSWER)).subscription_capacity(1 << 16);
    options = options.reconnect_delay_callback(|attempts| {
        let most = 20u64.saturating_mul(1 << attempts.min(6)).min(1_000);
        Duration::from_millis(5 + fastrand::u64(0..most))
    });
    for file in &settings.root_certificates {
        options = options.add_root_certificates(file.clone());
    }
    if let Some((certificate, key)) = &settings.client_certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(if settings.require_tls { options.require_tls(true) } else { options })
}

/// User and password in the URL, or a token alone: of the first address that has them.
fn login_of(url: &str) -> Result<Option<(String, Option<String>)>> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    for address in url.split(',') {
        let address: ServerAddr = address.trim().parse().map_err(|_| {
            // Without the address: there may be a password in it.
            Error::invalid_field(
                "url",
                "the URL of NATS is none, as `nats://user:password@host:4222` is",
            )
        })?;
        if let Some(user) = address.username() {
            return Ok(Some((decoded(user), address.password().map(decoded))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_say_who_connects() {
        let login = |url| login_of(url).unwrap();
        assert_eq!(
            login("nats://a:b%40c@host:1,nats://other"),
            Some(("a".into(), Some("b@c".into())))
        );
        assert_eq!(login("nats://s3cr3t@host"), Some(("s3cr3t".into(), None)));
        assert_eq!(login("nats://host, tls://other:2"), None);
        let error = login_of("nats://me:secret@:port").unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
