//! The statements: their texts with the schema in them, and how they are run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::ClientWrapper;
use futures_util::{FutureExt, Stream, TryStreamExt};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, RowStream};

use crate::error::Trouble;

/// The schema as the files have it.
const WRITTEN: &str = "cqrs.";

/// Values for a statement.
pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

macro_rules! statements {
    ($($name:ident = $file:literal [$($type:ident),*]),* $(,)?) => {
        /// A statement. Its text is a file of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Sql { $($name),* }

        impl Sql {
            const ALL: &[(&'static str, &'static [Type])] =
                &[$((include_str!(concat!("sql/", $file, ".sql")), &[$(Type::$type),*])),*];
        }
    };
}

statements! {
    Commit = "commit" [BOOL, BOOL, TEXT, INTERVAL, INTERVAL, INT4, UUID_ARRAY, BYTEA_ARRAY, UUID_ARRAY,
        BOOL_ARRAY, INT4_ARRAY, INT4_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT8_ARRAY, INT4_ARRAY,
        INT4_ARRAY, INT4_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT4_ARRAY, UUID_ARRAY,
        TEXT_ARRAY, JSON_ARRAY, JSON_ARRAY, TEXT_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, INT4_ARRAY, INT4_ARRAY,
        TEXT_ARRAY, UUID_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, JSON, JSON, TEXT_ARRAY],
    CommitPooled = "commit_pooled" [BOOL, BOOL, TEXT, INTERVAL, INTERVAL, INT4, UUID_ARRAY, BYTEA_ARRAY, UUID_ARRAY,
        BOOL_ARRAY, INT4_ARRAY, INT4_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT8_ARRAY, INT4_ARRAY,
        INT4_ARRAY, INT4_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT4_ARRAY, UUID_ARRAY,
        TEXT_ARRAY, JSON_ARRAY, JSON_ARRAY, TEXT_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, INT4_ARRAY, INT4_ARRAY,
        TEXT_ARRAY, UUID_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, JSON, JSON, TEXT_ARRAY],
    AppendOne = "append_one" [UUID, BYTEA, TEXT, TEXT, TEXT, INT8, TEXT, INT4, UUID, JSON, JSON, TEXT, BYTEA],
    AppendGroup = "append_group" [INT4, UUID_ARRAY, UUID_ARRAY, BYTEA_ARRAY, INT4_ARRAY, TEXT_ARRAY,
        TEXT_ARRAY, TEXT_ARRAY, INT8_ARRAY, INT8_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY,
        INT4_ARRAY, UUID_ARRAY, JSON_ARRAY, JSON_ARRAY, TEXT_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, INT4_ARRAY,
        UUID_ARRAY],
    OwnSettings = "own_settings" [TEXT],
    Stage = "stage" [UUID, BOOL, BOOL, TEXT, INTERVAL, INTERVAL, INT4, UUID_ARRAY, BYTEA_ARRAY, UUID_ARRAY,
        BOOL_ARRAY, INT4_ARRAY, INT4_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT8_ARRAY, INT4_ARRAY,
        INT4_ARRAY, INT4_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT4_ARRAY, UUID_ARRAY,
        TEXT_ARRAY, JSON_ARRAY, JSON_ARRAY, TEXT_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, INT4_ARRAY, INT4_ARRAY,
        TEXT_ARRAY, UUID_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, JSON, JSON, TEXT_ARRAY],
    KnownCommit = "known_commit" [UUID, UUID],
    Head = "head" [],
    ReadLog = "read_log" [INT8, INT4],
    ReadLogWindow = "read_log_window" [INT8, INT8, TEXT_ARRAY, TEXT_ARRAY, TEXT, INT4],
    ReadLogFound = "read_log_found" [INT8, INT8, INT4, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY,
        TEXT_ARRAY, TEXT_ARRAY, TEXT],
    BeforeTime = "before_time" [TIMESTAMPTZ, INT8, INT8],
    LoadStream = "load_stream" [TEXT, TEXT, TEXT, INT8, INT8, INT4, BOOL],
    LoadFromSnapshot = "load_from_snapshot" [TEXT, TEXT, TEXT, INT8, INT8, INT4, BYTEA, BOOL],
    LoadStreams = "load_streams" [TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT8_ARRAY, INT8_ARRAY, INT4_ARRAY,
        BOOL],
    LoadFromSnapshots = "load_from_snapshots" [TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT8_ARRAY, INT8_ARRAY,
        INT4_ARRAY, BYTEA_ARRAY, BOOL],
    ReadStream = "read_stream" [TEXT, TEXT, TEXT, INT8, INT8, TIMESTAMPTZ, INT4],
    ReadStreamBackwards = "read_stream_backwards" [TEXT, TEXT, TEXT, INT8, INT8, TIMESTAMPTZ, INT4],
    Document = "document" [TEXT, TEXT, TEXT],
    Collection = "collection" [TEXT],
    FindDocuments = "find_documents" [TEXT, TEXT, TEXT, INT8, INT8],
    FindDocumentsByField = "find_documents_by_field" [TEXT, TEXT, TEXT, TEXT, TEXT, INT8, INT8],
    CountDocuments = "count_documents" [TEXT, TEXT],
    CountDocumentsByField = "count_documents_by_field" [TEXT, TEXT, TEXT, TEXT],
    PutCollection = "put_collection" [TEXT, TEXT],
    RemoveCollectionFields = "remove_collection_fields" [TEXT],
    DocumentsOfCollection = "documents_of_collection" [TEXT, TEXT, TEXT, INT8],
    InsertFields = "insert_fields" [TEXT, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, BOOL_ARRAY],
    TakeTurn = "take_turn" [TEXT],
    Purge = "purge" [TEXT, TEXT, INT4],
    Inbox = "inbox" [TEXT, UUID, INTERVAL],
    Checkpoint = "checkpoint" [TEXT, INT8],
    Lease = "lease" [TEXT, TEXT, TEXT_ARRAY, INTERVAL, INT4, TIMESTAMPTZ],
    Session = "session" [],
    Release = "release" [TEXT, TEXT, TEXT_ARRAY],
    Leases = "leases" [TEXT, INT4],
    Timers = "timers" [TEXT, TIMESTAMPTZ, INT8],
    Outgoing = "outgoing" [INT8, INT8],
    Parked = "parked" [TEXT, INT8, TEXT, TEXT, INT8, INT8, TEXT, TEXT, TIMESTAMPTZ],
    ParkedOfKey = "parked_of_key" [TEXT, INT8, TEXT, TEXT, INT8, INT8, TEXT, TEXT, TIMESTAMPTZ],
    ParkedInState = "parked_in_state" [TEXT, INT8, TEXT, TEXT, INT8, INT8, TEXT, TEXT, TIMESTAMPTZ],
    ParkedDue = "parked_due" [TEXT, INT8, TEXT, TEXT, INT8, INT8, TEXT, TEXT, TIMESTAMPTZ],
    Notify = "notify" [TEXT, TEXT],
    SweepCommits = "sweep_commits" [INT8, INT8, INTERVAL],
    SweepInbox = "sweep_inbox" [INT8, INT8, INTERVAL],
    SweepHeads = "sweep_heads" [],
    Pages = "pages" [TEXT],
    NoteRestore = "note_restore" [TEXT],
}

/// The text with another schema.
pub(crate) fn in_schema(text: &str, schema: &str) -> String {
    match schema {
        "cqrs" => text.to_owned(),
        _ => text.replace(WRITTEN, &format!("{schema}.")),
    }
}

/// How statements are run: the texts, and within which time.
pub(crate) struct Statements {
    schema: String,
    texts: Vec<String>,
    prepares: bool,
    timeout: Duration,
    silence: Arc<Silence>,
}

/// When an answer did not come in time, at last: connections that were there then may never answer.
#[derive(Debug, Default)]
pub(crate) struct Silence(Mutex<Option<Instant>>);

impl Silence {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection of that time is to be trusted.
    pub(crate) fn is_before(&self, made: Instant) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|noted| noted < made)
    }
}

impl Statements {
    pub(crate) fn new(
        schema: &str,
        prepares: bool,
        timeout: Duration,
        silence: Arc<Silence>,
    ) -> Arc<Self> {
        let texts = Sql::ALL.iter().map(|(text, _)| in_schema(text, schema)).collect();
        Arc::new(Self { schema: schema.to_owned(), texts, prepares, timeout, silence })
    }

    /// The schema of the tables.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// Whether connections keep statements, and settings: there is no pooler in between.
    pub(crate) fn prepares(&self) -> bool {
        self.prepares
    }

    /// Runs one, and waits for all of its rows. One round trip, but for the first time on a connection.
    pub(crate) async fn query(
        &self,
        client: &ClientWrapper,
        sql: Sql,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Trouble> {
        let rows = async { Ok(self.begin(client, sql, params).await?.try_collect().await?) };
        self.bounded(rows).await
    }

    /// Its first row, of those that always have one.
    pub(crate) async fn one(
        &self,
        client: &ClientWrapper,
        sql: Sql,
        params: Params<'_>,
    ) -> Result<Row, Trouble> {
        let rows = self.query(client, sql, params).await?;
        rows.into_iter().next().ok_or_else(|| {
            let context = format!("{sql:?} gave no row");
            cqrs_core::Error::new(cqrs_core::ErrorKind::Internal, context).into()
        })
    }

    /// Runs one. Its rows come as they are read: each is waited for by [`next`](Self::next).
    pub(crate) async fn begin(
        &self,
        client: &ClientWrapper,
        sql: Sql,
        params: Params<'_>,
    ) -> Result<RowStream, Trouble> {
        let (text, types) = (&self.texts[sql as usize], Sql::ALL[sql as usize].1);
        let begun = async {
            if self.prepares {
                let statement = client.prepare_typed_cached(text, types).await?;
                return Ok(client.query_raw(&statement, params.iter().copied()).await?);
            }
            let typed = params.iter().copied().zip(types.iter().cloned());
            Ok(client.query_typed_raw(text, typed).await?)
        };
        self.bounded(begun).await
    }

    /// The next row, waited for no longer than it may take. One that is there costs no timer.
    pub(crate) async fn next<S>(&self, rows: &mut S) -> Result<Option<Row>, Trouble>
    where
        S: Stream<Item = Result<Row, Trouble>> + Unpin,
    {
        match rows.try_next().now_or_never() {
            Some(next) => next,
            None => self.bounded(rows.try_next()).await,
        }
    }

    /// Runs one in a transaction.
    pub(crate) async fn within(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        sql: Sql,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Trouble> {
        let (text, types) = (&self.texts[sql as usize], Sql::ALL[sql as usize].1);
        let typed = params.iter().copied().zip(types.iter().cloned());
        let rows = async {
            let rows = transaction.query_typed_raw(text, typed).await?;
            Ok(rows.try_collect().await?)
        };
        self.bounded(rows).await
    }

    /// Gives up what takes too long.
    pub(crate) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        tokio::time::timeout(self.timeout, work).await.unwrap_or_else(|_| {
            self.silence.note();
            Err(Trouble::TooLong)
        })
    }
}
