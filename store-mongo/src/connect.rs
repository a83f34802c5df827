//! The connection: to a replica set, with what is read and written agreed upon by most of its members.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{Document, Timestamp, doc};
use cqrs_core::{Error, ErrorKind, Result};
use mongodb::error::ErrorKind as Of;
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;
use mongodb::options::{
    Acknowledgment, ClientOptions, DriverInfo, ReadConcern, ServerAddress, WriteConcern,
};
use mongodb::{Client, ClientSession, ClusterTime, Database, ServerType};
use uuid::Uuid;

use crate::config::{MongoBuilder, check_database};
use crate::error::{CONNECTING, Trouble};

/// The database where neither the URL nor a setting names one.
const DATABASE: &str = "cqrs";

/// How often members are asked how they are, unless the URL says: who has gone silent, or was thought to be going down,
/// is known as late.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// The first version with collections that lie in the order of their ids.
const OLDEST: i32 = 6;

/// After the primary has changed, those who live connect to it within this time.
const SETTLES: Duration = Duration::from_secs(3);

/// When this process last lost the primary, or found another one.
#[derive(Debug, Default)]
pub(crate) struct Primary(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    was_found: bool,
    changed: Option<Instant>,
}

impl Primary {
    fn hear(&self, event: &SdamEvent) {
        let SdamEvent::ServerDescriptionChanged(changed) = event else { return };
        let [was, is] = [&changed.previous_description, &changed.new_description]
            .map(|member| member.server_type() == ServerType::RsPrimary);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if was != is && known.was_found {
            known.changed = Some(Instant::now());
        }
        known.was_found |= is;
    }

    /// Whether it is the one that it was for long.
    pub(crate) fn is_settled(&self) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.changed.is_none_or(|at| at.elapsed() > SETTLES)
    }
}

/// The connection and its database.
pub(crate) struct Connector {
    pub(crate) client: Client,
    pub(crate) db: Database,
    pub(crate) place: Arc<str>,
    pub(crate) patience: Duration,
    /// Whether the primary has changed.
    pub(crate) primary: Arc<Primary>,
    /// What this process is called by the server, for as long as it is connected.
    pub(crate) node: String,
    /// The newest that was seen: another member may be asked next, and it must know as much.
    seen: Mutex<Option<(Option<ClusterTime>, Timestamp)>>,
}

impl Connector {
    pub(crate) async fn open(settings: &MongoBuilder) -> Result<Arc<Self>> {
        let mut options =
            ClientOptions::parse(&settings.url).await.map_err(|error| of_url(&error))?;
        let named = settings.database.clone().or_else(|| options.default_database.clone());
        let name = named.unwrap_or_else(|| DATABASE.to_owned());
        check_database(&name)?;
        options.app_name.get_or_insert_with(|| "cqrs".to_owned());
        let node = Uuid::now_v7().simple().to_string();
        options.driver_info =
            Some(DriverInfo::builder().name("cqrs".to_owned()).version(node.clone()).build());
        options.heartbeat_freq.get_or_insert(HEARTBEAT);
        options.connect_timeout.get_or_insert(settings.connect_timeout);
        options.server_selection_timeout.get_or_insert(settings.connect_timeout);
        // What is told to be stored is on the disks of most members, and nothing else is read.
        options.write_concern =
            Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
        options.read_concern = Some(ReadConcern::majority());
        options.selection_criteria = None;
        let primary = Arc::<Primary>::default();
        let hears = primary.clone();
        options.sdam_event_handler = Some(EventHandler::callback(move |event| hears.hear(&event)));
        let hosts: Vec<String> = options.hosts.iter().map(ServerAddress::to_string).collect();
        let place: Arc<str> = format!("mongodb://{}/{name}", hosts.join(",")).into();
        let client = Client::with_options(options)
            .map_err(|error| Trouble::from(error).into_error(CONNECTING, &place))?;
        let db = client.database(&name);
        let (patience, seen) = (settings.patience, Mutex::default());
        let connector = Self { client, db, place, patience, primary, node, seen };
        connector.check().await?;
        Ok(Arc::new(connector))
    }

    /// Whether the server can do what is needed.
    async fn check(&self) -> Result<()> {
        let failed = |error| Trouble::from(error).into_error(CONNECTING, &self.place);
        let hello = self.db.run_command(doc! { "hello": 1 }).await.map_err(failed)?;
        let is_router = hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
        if !hello.contains_key("setName") && !is_router {
            let place = &self.place;
            let context = format!(
                "{place} is a standalone server, which has no transactions: start it with \
                 `--replSet rs0` and run `rs.initiate()` in mongosh; a set of one member is enough"
            );
            return Err(Error::invalid_field("url", context));
        }
        let built: Document = self.db.run_command(doc! { "buildInfo": 1 }).await.map_err(failed)?;
        let version = built.get_str("version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<i32>().ok());
        if major.is_some_and(|major| major < OLDEST) {
            let place = &self.place;
            let context =
                format!("{place} is MongoDB {version}: {OLDEST}.0 or a newer one is needed");
            return Err(Error::invalid_field("url", context));
        }
        Ok(())
    }

    /// A session that sees all that was seen here.
    pub(crate) async fn session(&self) -> Result<ClientSession, Trouble> {
        let mut session = self.client.start_session().causal_consistency(true).await?;
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((cluster, operation)) = seen {
            if let Some(cluster) = &cluster {
                session.advance_cluster_time(cluster);
            }
            session.advance_operation_time(operation);
        }
        Ok(session)
    }

    /// Notes what a session has seen.
    pub(crate) fn note(&self, session: &ClientSession) {
        let Some(operation) = session.operation_time() else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_none_or(|(_, before)| *before < operation) {
            *seen = Some((session.cluster_time().cloned(), operation));
        }
    }
}

/// Options of URLs of which drivers do not take all, or not each value, from the specification "URI Options".
const OPTIONS: [&str; 30] = [
    "appName",
    "authMechanismProperties",
    "authMechanism",
    "authSource",
    "compressors",
    "connectTimeoutMS",
    "directConnection",
    "heartbeatFrequencyMS",
    "journal",
    "loadBalanced",
    "localThresholdMS",
    "maxConnecting",
    "maxIdleTimeMS",
    "maxPoolSize",
    "maxStalenessSeconds",
    "minPoolSize",
    "readConcernLevel",
    "readPreference",
    "replicaSet",
    "retryReads",
    "retryWrites",
    "serverMonitoringMode",
    "serverSelectionTimeoutMS",
    "socketTimeoutMS",
    "timeoutMS",
    "tlsCAFile",
    "tlsCertificateKeyFile",
    "waitQueueMultiple",
    "waitQueueTimeoutMS",
    "wTimeoutMS",
];

/// Why a URL is none. What the driver says may quote it, and it may hold a password.
fn of_url(error: &mongodb::error::Error) -> Error {
    if let Of::DnsResolve { .. } = &*error.kind {
        let context = "the hosts of the URL cannot be looked up in the DNS; try again";
        return Error::new(ErrorKind::Unavailable, context);
    }
    let said = error.to_string().to_lowercase();
    // It may quote the beginning of another one.
    let named = OPTIONS.into_iter().filter(|option| said.contains(&option.to_lowercase()));
    let context = match named.max_by_key(|option| option.len()) {
        Some(option) => format!("the URL has `{option}`, or a value of it, which the driver does not take"),
        None => "the URL is none: write mongodb://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?replicaSet=NAME"
            .to_owned(),
    };
    Error::invalid_field("url", context)
}

/// How long to wait before the next attempt: more and more, with jitter.
pub(crate) fn backoff(attempts: u32) -> Duration {
    let most = 10u64.saturating_mul(1 << attempts.min(6)).min(500);
    Duration::from_millis(2 + fastrand::u64(0..most))
}
