//! Every statement of the store by name, and a set of them that is prepared once and used often.

use rusqlite::{CachedStatement, Connection};

macro_rules! statements {
    ($($name:ident = $file:literal,)*) => {
        /// A statement of the store; its text is the file of the same name in `sql/`.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Sql { $($name,)* }

        impl Sql {
            /// How many there are.
            pub(crate) const COUNT: usize = [$($file,)*].len();

            /// Its text.
            pub(crate) const fn text(self) -> &'static str {
                match self { $(Self::$name => include_str!(concat!("sql/", $file, ".sql")),)* }
            }
        }

        #[cfg(test)]
        const ALL: [Sql; Sql::COUNT] = [$(Sql::$name,)*];
    };
}

statements! {
    AppendEvent = "append_event",
    BeginImmediate = "begin_immediate",
    BuryHolder = "bury_holder",
    Checkpoint = "checkpoint",
    CheckpointAndHead = "checkpoint_and_head",
    ClaimCommit = "claim_commit",
    Collection = "collection",
    ColumnsOfTable = "columns_of_table",
    Commit = "commit",
    CountDocuments = "count_documents",
    CountDocumentsByField = "count_documents_by_field",
    CreateLog = "create_log",
    DataVersion = "data_version",
    DeleteDocument = "delete_document",
    Document = "document",
    DocumentVersion = "document_version",
    DocumentsElsewhere = "documents_elsewhere",
    DocumentsOfCollection = "documents_of_collection",
    DocumentsToRows = "documents_to_rows",
    DropOldSnapshots = "drop_old_snapshots",
    EventIdTaken = "event_id_taken",
    FindDocuments = "find_documents",
    FindDocumentsByField = "find_documents_by_field",
    FindOutgoing = "find_outgoing",
    FindParked = "find_parked",
    FindParkedByKey = "find_parked_by_key",
    FindParkedByState = "find_parked_by_state",
    FindParkedDue = "find_parked_due",
    FindTimers = "find_timers",
    ForgetCommit = "forget_commit",
    ForgetSnapshots = "forget_snapshots",
    GiveLease = "give_lease",
    HolderOfValue = "holder_of_value",
    Holders = "holders",
    HoldsLease = "holds_lease",
    InboxEntry = "inbox_entry",
    IndexesOfTable = "indexes_of_table",
    InsertField = "insert_field",
    KeepSnapshot = "keep_snapshot",
    KnownCommit = "known_commit",
    Lease = "lease",
    LeaseToken = "lease_token",
    Leases = "leases",
    LogHead = "log_head",
    LogState = "log_state",
    MarkInbox = "mark_inbox",
    MessagePending = "message_pending",
    MoveCheckpoint = "move_checkpoint",
    MoveLog = "move_log",
    NextOfTag = "next_of_tag",
    ObjectOfName = "object_of_name",
    Park = "park",
    ParkedVersion = "parked_version",
    PurgeDocuments = "purge_documents",
    PurgeFields = "purge_fields",
    PutCollection = "put_collection",
    PutDocument = "put_document",
    ReadEvent = "read_event",
    ReadLog = "read_log",
    ReadLogFiltered = "read_log_filtered",
    ReadStreamBackwards = "read_stream_backwards",
    ReadStreamForwards = "read_stream_forwards",
    ReleaseLease = "release_lease",
    ReleaseSavepoint = "release_savepoint",
    RemoveCollectionFields = "remove_collection_fields",
    RemoveFields = "remove_fields",
    RemoveTimer = "remove_timer",
    Rollback = "rollback",
    RollbackToSavepoint = "rollback_to_savepoint",
    Savepoint = "savepoint",
    SendMessage = "send_message",
    SetTimer = "set_timer",
    SettleMessage = "settle_message",
    SettleParked = "settle_parked",
    Snapshot = "snapshot",
    StreamBounds = "stream_bounds",
    StreamPositions = "stream_positions",
    StreamVersion = "stream_version",
    SweepCommits = "sweep_commits",
    SweepEnd = "sweep_end",
    SweepInbox = "sweep_inbox",
    SweepInboxEnd = "sweep_inbox_end",
    TagEvent = "tag_event",
    TimeFrom = "time_from",
    TimerGeneration = "timer_generation",
}

/// Statements that stay prepared while they are used over and over: the connection's own cache
/// hashes the text of a statement at every use, which shows in a group of many commits.
pub(crate) struct Statements<'c> {
    conn: &'c Connection,
    slots: [Option<CachedStatement<'c>>; Sql::COUNT],
}

impl<'c> Statements<'c> {
    pub(crate) fn of(conn: &'c Connection) -> Self {
        Self { conn, slots: [const { None }; Sql::COUNT] }
    }

    pub(crate) fn conn(&self) -> &'c Connection {
        self.conn
    }

    /// The statement, prepared.
    pub(crate) fn get(&mut self, sql: Sql) -> rusqlite::Result<&mut CachedStatement<'c>> {
        let slot = &mut self.slots[sql as usize];
        match slot {
            Some(statement) => Ok(statement),
            None => Ok(slot.insert(self.conn.prepare_cached(sql.text())?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_compiles_against_the_newest_tables() {
        let conn = Connection::open_in_memory().unwrap();
        crate::migrate::migrate(&conn, "test").unwrap();
        for sql in ALL {
            conn.prepare(sql.text()).unwrap_or_else(|error| panic!("{sql:?}: {error}"));
        }
    }

    #[test]
    fn the_plans_search_and_never_sort() {
        let conn = Connection::open_in_memory().unwrap();
        crate::migrate::migrate(&conn, "test").unwrap();
        let reads = [
            Sql::ReadLog,
            Sql::ReadLogFiltered,
            Sql::ReadEvent,
            Sql::ReadStreamForwards,
            Sql::ReadStreamBackwards,
            Sql::StreamPositions,
            Sql::StreamVersion,
            Sql::NextOfTag,
            Sql::TimeFrom,
            Sql::Snapshot,
            Sql::ForgetSnapshots,
            Sql::FindDocuments,
            Sql::CountDocuments,
            Sql::CountDocumentsByField,
            Sql::FindDocumentsByField,
            Sql::HolderOfValue,
            Sql::RemoveFields,
            Sql::SweepEnd,
            Sql::SweepCommits,
            Sql::SweepInboxEnd,
            Sql::SweepInbox,
            Sql::InboxEntry,
            Sql::MessagePending,
            Sql::FindOutgoing,
            Sql::TimerGeneration,
            Sql::FindTimers,
            Sql::ParkedVersion,
            Sql::FindParked,
            Sql::FindParkedByKey,
            Sql::FindParkedByState,
            Sql::FindParkedDue,
            Sql::Lease,
            Sql::LeaseToken,
            Sql::Leases,
            Sql::ReleaseLease,
            Sql::BuryHolder,
            Sql::HoldsLease,
            Sql::Holders,
            Sql::PurgeDocuments,
            Sql::PurgeFields,
            Sql::DocumentsOfCollection,
        ];
        for sql in reads {
            let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.text())).unwrap();
            let mut rows = plan.raw_query();
            while let Some(row) = rows.next().unwrap() {
                let step = row.get::<_, String>("detail").unwrap();
                assert!(!step.contains("TEMP B-TREE"), "{sql:?}: {step}");
                // A list that was handed in, and the page of ids that an inner step found.
                let bounded = step.contains("json_each") || step == "SCAN f";
                let scan = step.starts_with("SCAN") && !bounded;
                assert!(!scan, "{sql:?}: {step}");
            }
        }
    }

    /// By the key of the table it would look through a whole collection for the fields of one
    /// document, and that is what SQLite chose.
    #[test]
    fn the_fields_of_a_document_are_found_by_its_id() {
        let conn = Connection::open_in_memory().unwrap();
        crate::migrate::migrate(&conn, "test").unwrap();
        let explain = format!("EXPLAIN QUERY PLAN {}", Sql::RemoveFields.text());
        let mut plan = conn.prepare(&explain).unwrap();
        let step = plan.raw_query().next().unwrap().unwrap().get::<_, String>("detail").unwrap();
        assert!(step.contains("tenant=? AND collection=? AND id=?"), "{step}");
    }
}
