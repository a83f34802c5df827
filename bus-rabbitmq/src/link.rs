//! The connection to the server, made again whenever it is lost, and what all parts of a bus have in common.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use cqrs_core::{BusLimits, Error, MessageId, Result, Underway};
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::types::LongString;
use lapin::uri::AMQPUri;
use lapin::{ConnectionProperties, DefaultConnectionBuilder};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::RabbitBuilder;
use crate::error::{closed, of, refusal, unavailable};
use crate::group;
use crate::names::{LONGEST, Names};
use crate::post;
use crate::post::Noting;
use crate::publisher::Heard;
use crate::requests::{self, Askers};
use crate::session::{ANSWER, BLOCKED, Inlets, Session};

/// Seconds after which a silent server, or client, is believed to be dead.
const HEARTBEAT: u16 = 10;

/// A connection with its settings.
pub(crate) struct Link {
    pub(crate) names: Names,
    pub(crate) settings: RabbitBuilder,
    pub(crate) limits: BusLimits,
    session: watch::Receiver<Option<Arc<Session>>>,
    /// Why there is no connection.
    trouble: Mutex<Option<String>>,
    pub(crate) closed: watch::Sender<bool>,
    /// All that was to be done before the connection ends is done.
    pub(crate) ended: watch::Sender<bool>,
    /// Messages that nobody listens to.
    pub(crate) unheard: AtomicU64,
    /// Which names somebody takes.
    pub(crate) heard: Heard,
    /// Where the tasks of groups are told of what other connections say.
    pub(crate) groups: Mutex<HashMap<String, mpsc::UnboundedSender<group::Event>>>,
    /// Requests that wait for their answers.
    pub(crate) askers: Askers,
    /// Requests that are in hand here.
    pub(crate) underway: Underway,
    /// Who waits to hear that what was said of a message is noted.
    pub(crate) noting: Noting,
    /// What one task of this connection has of the locks at a time.
    pub(crate) lock: tokio::sync::Mutex<()>,
    last: AtomicU64,
}

/// Locks what no panic can leave half done.
pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    pub(crate) fn open(settings: RabbitBuilder) -> Result<Arc<Self>> {
        let names = Names::new(&settings.prefix)?;
        if settings.name.is_empty() || settings.name.len() > 200 {
            return Err(Error::invalid_field("name", "the name of a service has 1 to 200 bytes"));
        }
        let dialer = Dialer::new(&settings)?;
        let (opened, session) = watch::channel(None);
        let link = Arc::new(Self {
            names,
            settings,
            limits: BusLimits { name: LONGEST, ..BusLimits::default() },
            session,
            trouble: Mutex::default(),
            closed: watch::Sender::new(false),
            unheard: AtomicU64::new(0),
            heard: Heard::default(),
            groups: Mutex::default(),
            askers: Askers::default(),
            underway: Underway::default(),
            noting: Noting::default(),
            ended: watch::Sender::new(false),
            lock: tokio::sync::Mutex::default(),
            last: AtomicU64::new(0),
        });
        tokio::spawn(supervise(Arc::downgrade(&link), link.ended.subscribe(), dialer, opened));
        Ok(link)
    }

    /// A number that this connection gives once.
    pub(crate) fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// When a call that begins now gives up.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.settings.patience
    }

    /// The session that there is.
    pub(crate) fn current(&self) -> Option<Arc<Session>> {
        self.session.borrow().clone().filter(|session| !session.is_over())
    }

    /// Why there is none.
    pub(crate) fn trouble(&self) -> String {
        match &*lock(&self.trouble) {
            Some(told) => format!("RabbitMQ is out of reach ({told}); it is tried again"),
            None => "RabbitMQ is out of reach; it is tried again".to_owned(),
        }
    }

    /// Waits for a session. `None`: the bus is closed.
    pub(crate) async fn session(&self) -> Option<Arc<Session>> {
        let works = |session: &Option<Arc<Session>>| session.as_ref().is_some_and(|s| !s.is_over());
        let now = self.session.borrow().clone();
        if works(&now) && !*self.closed.borrow() {
            return now;
        }
        let (mut session, mut is_closed) = (self.session.clone(), self.closed.subscribe());
        tokio::select! {
            biased;
            _ = is_closed.wait_for(|closed| *closed) => None,
            session = session.wait_for(works) => session.ok()?.clone(),
        }
    }

    /// Waits for a session until then.
    pub(crate) async fn session_until(
        &self,
        doing: &str,
        deadline: Instant,
    ) -> Result<Arc<Session>> {
        match timeout_at(deadline, self.session()).await {
            Ok(session) => session.ok_or_else(closed),
            Err(elapsed) => Err(unavailable(doing, elapsed)),
        }
    }

    /// Waits until then for a session whose server takes messages.
    pub(crate) async fn open_until(&self, doing: &str, deadline: Instant) -> Result<Arc<Session>> {
        loop {
            let session = self.session_until(doing, deadline).await?;
            match timeout_at(deadline, session.takes_messages()).await {
                Ok(true) => return Ok(session),
                Ok(false) => {}
                Err(_) => return Err(unavailable(doing, BLOCKED)),
            }
        }
    }

    /// Does something that can be done twice, again on the next connection when it is lost meanwhile.
    pub(crate) async fn call<T, F>(
        &self,
        doing: &str,
        deadline: Instant,
        work: impl Fn(Arc<Session>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = lapin::Result<T>>,
    {
        loop {
            let session = self.session_until(doing, deadline).await?;
            let error = match session.answer(work(session.clone())).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) if refusal(&error).is_some() => return Err(of(doing, error)),
                Ok(Err(error)) => of(doing, error),
                Err(silent) => unavailable(doing, silent),
            };
            session.fail();
            tracing::debug!(doing, %error, "done again on another connection");
            if Instant::now() >= deadline {
                return Err(error);
            }
        }
    }

    /// Waits for a session once more: this one is of no use.
    pub(crate) async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(5 + fastrand::u64(0..45))).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.ended.send_replace(true);
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("session", &*self.session.borrow()).finish_non_exhaustive()
    }
}

/// How the server is connected to.
struct Dialer {
    /// Tried in turns.
    addresses: Vec<AMQPUri>,
    properties: ConnectionProperties,
    tls: OwnedTLSConfig,
}

impl Dialer {
    fn new(settings: &RabbitBuilder) -> Result<Self> {
        let mut addresses = Vec::new();
        for url in settings.url.split(',') {
            let mut address: AMQPUri = url.trim().parse().map_err(|_| {
                // Without the address: there may be a password in it.
                let context =
                    "the URL of RabbitMQ is none, as `amqp://user:password@host:5672/vhost` is";
                Error::invalid_field("url", context)
            })?;
            address.query.heartbeat = address.query.heartbeat.or(Some(HEARTBEAT));
            addresses.push(address);
        }
        let read = |field: &str, file: &std::path::Path| {
            std::fs::read(file).map_err(|error| {
                Error::invalid_field(field, format!("{}: {error}", file.display()))
            })
        };
        let mut chain = String::new();
        for file in &settings.root_certificates {
            let pem = read("root_certificates", file)?;
            chain.push_str(&String::from_utf8_lossy(&pem));
            chain.push('\n');
        }
        let identity = match &settings.client_certificate {
            None => None,
            Some((certificate, key)) => Some(OwnedIdentity::PKCS8 {
                pem: read("client_certificate", certificate)?,
                key: read("client_certificate", key)?,
            }),
        };
        let name = LongString::from(settings.name.as_str());
        Ok(Self {
            addresses,
            properties: ConnectionProperties::default().with_connection_name(name),
            tls: OwnedTLSConfig { identity, cert_chain: (!chain.is_empty()).then_some(chain) },
        })
    }

    async fn dial(&self, link: &Link, attempt: usize) -> lapin::Result<(Arc<Session>, Inlets)> {
        let address = self.addresses[attempt % self.addresses.len()].clone();
        let builder = DefaultConnectionBuilder::new()?
            .with_uri(address)
            .with_properties(self.properties.clone())
            .with_tls_config(self.tls.clone());
        let connection = builder.connect().await?;
        let id = MessageId::fresh().to_string();
        Session::open(connection, id, &link.names, link.settings.keep_dead_letters).await
    }
}

/// Keeps a session open, until the bus is closed.
async fn supervise(
    link: Weak<Link>,
    mut is_ended: watch::Receiver<bool>,
    dialer: Dialer,
    sessions: watch::Sender<Option<Arc<Session>>>,
) {
    let mut attempt = 0;
    loop {
        let Some(strong) = link.upgrade() else { return };
        let dialed = tokio::select! {
            dialed = timeout(ANSWER, dialer.dial(&strong, attempt)) => dialed,
            _ = is_ended.wait_for(|ended| *ended) => return,
        };
        let trouble = match dialed {
            Ok(Ok((session, inlets))) => {
                attempt = 0;
                *lock(&strong.trouble) = None;
                drop(strong);
                let hearing = [
                    tokio::spawn(post::hear(link.clone(), session.clone(), inlets.post)),
                    tokio::spawn(requests::hear_answers(
                        link.clone(),
                        session.clone(),
                        inlets.replies,
                    )),
                ];
                sessions.send_replace(Some(session.clone()));
                tokio::select! {
                    () = session.over() => {}
                    _ = is_ended.wait_for(|ended| *ended) => {}
                }
                sessions.send_replace(None);
                hearing.iter().for_each(tokio::task::JoinHandle::abort);
                // Whatever it still has in hand is given to others.
                tokio::spawn(async move { session.close().await });
                if *is_ended.borrow() {
                    return;
                }
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {ANSWER:?}"),
        };
        tracing::debug!(trouble, "RabbitMQ is out of reach");
        *lock(&strong.trouble) = Some(trouble);
        drop(strong);
        attempt += 1;
        let most = 20u64.saturating_mul(1 << attempt.min(6)).min(1_000);
        let pause = tokio::time::sleep(Duration::from_millis(5 + fastrand::u64(0..most)));
        tokio::select! {
            () = pause => {}
            _ = is_ended.wait_for(|ended| *ended) => return,
        }
    }
}
