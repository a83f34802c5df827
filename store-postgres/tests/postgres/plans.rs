//! What is read of a long log is found by an index, and no more of it is read than is wanted.

use cqrs_core::Expected;
use store_postgres::tokio_postgres::Client;

use crate::common::{self, Schema};
use crate::short::{deposit, plain};

const EVENTS: i64 = 200_000;

/// A long log, with a long stream and many others, 100 types, 50 categories, and tags that one in 1,000
/// events has.
fn fill() -> String {
    format!(
        "INSERT INTO cqrs.events
         SELECT n, CASE n % 4 WHEN 0 THEN n / 4 ELSE (n + 499) / 500 END, 'epoch'::timestamptz + n * interval '1 second', gen_random_uuid(), 1,
           '', 'category-' || CASE n % 4 WHEN 0 THEN 'long' ELSE (n % 50)::text END,
           CASE n % 4 WHEN 0 THEN 'long' ELSE 'stream-' || n % 500 END, 'type-' || n % 100,
           CASE WHEN n % 1000 = 0 THEN ARRAY['rare', 'n-' || n] END, '{{}}', '{{\"amount\":7}}'
         FROM generate_series(1, {EVENTS}) AS n;
         INSERT INTO cqrs.event_tags
         SELECT tag, n FROM generate_series(1000, {EVENTS}, 1000) AS n,
           unnest(ARRAY['rare', 'n-' || n]) AS tag;
         SELECT setval('cqrs.positions', {EVENTS});
         INSERT INTO cqrs.outgoing (position, recorded_at, id, kind, name, key, tenant, metadata, data)
         SELECT n, now(), gen_random_uuid(), 'command', 'name', 'key', '', '{{}}', '{{}}'
         FROM generate_series(1, 50000) AS n;
         INSERT INTO cqrs.timers
         SELECT 'owner-' || n % 10, '', 'key-' || n, 'name', 1, 'epoch'::timestamptz + n * interval '1 second'
         FROM generate_series(1, 50000) AS n;
         INSERT INTO cqrs.parked (subscription, position, key, version, partition, message, state, due,
           cause, attempts, since, is_edited)
         SELECT 'subscription-' || n % 10, n, 'key-' || n % 1000, 1, 0, 'type',
           CASE WHEN n % 1000 = 0 THEN 'parked' ELSE 'behind' END,
           CASE WHEN n % 1000 = 0 THEN now() END, 'cause', 1, now(), false
         FROM generate_series(1, 50000) AS n;
         INSERT INTO cqrs.commits
         SELECT gen_random_uuid(), '', n, now() FROM generate_series(1, 50000) AS n;
         INSERT INTO cqrs.snapshots VALUES ('long', 'category-long', '', '\\x01', 40000, '{{}}');
         INSERT INTO cqrs.documents
         SELECT 'collection-' || n % 10, '', 'id-' || n, 1, '{{}}' FROM generate_series(1, 50000) AS n;"
    )
}

/// A statement of the store, what it is given, and how many rows it may look at.
struct Case {
    sql: &'static str,
    types: &'static str,
    values: &'static str,
    /// The index that the plan names; '': it is a function's affair.
    index: &'static str,
    rows: i64,
}

const CASES: &[Case] = &[
    Case {
        sql: include_str!("../../src/sql/read_log.sql"),
        types: "bigint, integer",
        values: "150000, 100",
        index: "events_pkey",
        rows: 110,
    },
    Case {
        sql: include_str!("../../src/sql/read_log.sql"),
        types: "bigint, integer",
        values: "1000, 8192",
        index: "events_pkey",
        rows: 8_200,
    },
    Case {
        sql: include_str!("../../src/sql/read_log_window.sql"),
        types: "bigint, bigint, text[], text[], text, integer",
        values: "150000, 166384, '{type-7}', NULL, NULL, 100",
        index: "events_",
        rows: 16_400,
    },
    Case {
        sql: include_str!("../../src/sql/read_log_found.sql"),
        types: FOUND,
        values: "150000, 200000, 100, '{type-7,type-8}', NULL, NULL, NULL, NULL, NULL, NULL",
        index: "events_pkey",
        rows: 400,
    },
    Case {
        sql: include_str!("../../src/sql/read_log_found.sql"),
        types: FOUND,
        values: "150000, 200000, 100, NULL, '{category-7}', NULL, NULL, NULL, NULL, NULL",
        index: "events_pkey",
        rows: 250,
    },
    Case {
        sql: include_str!("../../src/sql/read_log_found.sql"),
        types: FOUND,
        values: "100000, 200000, 100, NULL, NULL, '{rare}', NULL, NULL, NULL, NULL",
        index: "events_pkey",
        rows: 250,
    },
    Case {
        sql: include_str!("../../src/sql/read_log_found.sql"),
        types: FOUND,
        values: "0, 200000, 100, NULL, NULL, '{rare,n-150000}', NULL, NULL, NULL, NULL",
        index: "events_pkey",
        rows: 20,
    },
    Case {
        sql: include_str!("../../src/sql/read_log_found.sql"),
        types: FOUND,
        values: "150000, 200000, 50, NULL, NULL, NULL, '{\"\",\"\"}', '{category-7,category-long}',
          '{stream-7,long}', NULL",
        index: "events_pkey",
        rows: 300,
    },
    Case {
        sql: include_str!("../../src/sql/read_stream.sql"),
        types: "text, text, text, bigint, bigint, timestamptz, integer",
        values: "'', 'category-long', 'long', 300, 9223372036854775807, 'infinity', 50",
        index: "events_of_stream",
        rows: 55,
    },
    Case {
        sql: include_str!("../../src/sql/read_stream_backwards.sql"),
        types: "text, text, text, bigint, bigint, timestamptz, integer",
        values: "'', 'category-long', 'long', 1, 9223372036854775807, 'infinity', 50",
        index: "events_of_stream",
        rows: 55,
    },
    Case {
        sql: include_str!("../../src/sql/load_streams.sql"),
        types: "text[], text[], text[], bigint[], bigint[], integer[], boolean",
        values: "'{\"\",\"\"}', '{category-7,category-long}', '{stream-7,long}', '{1,390}',
          '{9223372036854775807,9223372036854775807}', '{20,20}', false",
        index: "events_of_stream",
        rows: 40,
    },
    Case {
        sql: include_str!("../../src/sql/load_from_snapshots.sql"),
        types: "text[], text[], text[], bigint[], bigint[], integer[], bytea[], boolean",
        values: "'{\"\",\"\"}', '{category-7,category-long}', '{stream-7,long}', '{1,390}',
          '{9223372036854775807,9223372036854775807}', '{20,20}', '{NULL,\"\\\\x00\"}', true",
        index: "events_of_stream",
        rows: 40,
    },
    Case {
        sql: include_str!("../../src/sql/load_stream.sql"),
        types: "text, text, text, bigint, bigint, integer, boolean",
        values: "'', 'category-long', 'long', 300, 9223372036854775807, 50, false",
        index: "events_of_stream",
        rows: 55,
    },
    Case {
        sql: include_str!("../../src/sql/load_from_snapshot.sql"),
        types: "text, text, text, bigint, bigint, integer, bytea, boolean",
        values: "'', 'category-long', 'long', 1, 9223372036854775807, 20, '\\x01', true",
        index: "events_of_stream",
        rows: 30,
    },
    Case { sql: include_str!("../../src/sql/head.sql"), types: "", values: "", index: "", rows: 5 },
    Case {
        sql: include_str!("../../src/sql/before_time.sql"),
        types: "timestamptz, bigint, bigint",
        values: "'1970-01-02', 0, 200000",
        index: "",
        rows: 40,
    },
    Case {
        sql: include_str!("../../src/sql/outgoing.sql"),
        types: "bigint, bigint",
        values: "40000, 100",
        index: "outgoing_pkey",
        rows: 110,
    },
    Case {
        sql: include_str!("../../src/sql/timers.sql"),
        types: "text, timestamptz, bigint",
        values: "'owner-7', 'infinity', 100",
        index: "timers_due",
        rows: 110,
    },
    Case {
        sql: include_str!("../../src/sql/parked.sql"),
        types: PARKED,
        values: "'subscription-7', -1, '', 'subscription-7', NULL, 100, NULL, NULL, NULL",
        index: "parked_pkey",
        rows: 110,
    },
    Case {
        sql: include_str!("../../src/sql/parked.sql"),
        types: PARKED,
        values: "'', -1, '', 'subscription-9', NULL, 100, NULL, NULL, NULL",
        index: "parked_pkey",
        rows: 110,
    },
    Case {
        sql: include_str!("../../src/sql/parked_of_key.sql"),
        types: PARKED,
        values: "'', -1, '', 'subscription-9', NULL, 40, 'key-7', NULL, NULL",
        index: "parked_of_key",
        rows: 60,
    },
    Case {
        sql: include_str!("../../src/sql/parked_in_state.sql"),
        types: PARKED,
        values: "'', -1, '', 'subscription-9', NULL, 40, NULL, 'parked', NULL",
        index: "parked_in_state",
        rows: 60,
    },
    Case {
        sql: include_str!("../../src/sql/parked_due.sql"),
        types: PARKED,
        values: "'subscription-0', -1, '', 'subscription-0', NULL, 40, NULL, NULL, 'infinity'",
        index: "parked_due",
        rows: 60,
    },
    Case {
        sql: include_str!("../../src/sql/document.sql"),
        types: "text, text, text",
        values: "'collection-7', '', 'id-7'",
        index: "documents_pkey",
        rows: 1,
    },
    Case {
        sql: include_str!("../../src/sql/find_documents.sql"),
        types: "text, text, text, bigint, bigint",
        values: "'collection-7', '', 'id-2', 20, 5",
        index: "documents_pkey",
        rows: 30,
    },
    Case {
        sql: include_str!("../../src/sql/known_commit.sql"),
        types: "uuid, uuid",
        values: "gen_random_uuid(), gen_random_uuid()",
        index: "commits_pkey",
        rows: 0,
    },
    Case {
        sql: include_str!("../../src/sql/known_commit.sql"),
        types: "uuid, uuid",
        values: "gen_random_uuid(), gen_random_uuid()",
        index: "events_by_id",
        rows: 0,
    },
];

const FOUND: &str = "bigint, bigint, integer, text[], text[], text[], text[], text[], text[], text";
const PARKED: &str = "text, bigint, text, text, bigint, bigint, text, text, timestamptz";

/// What the statements of a connection have looked at.
async fn looked_at(client: &Client, schema: &str) -> (i64, i64) {
    let query = "SELECT coalesce(sum(seq_scan), 0)::bigint, coalesce(sum(idx_tup_fetch), 0)::bigint
      FROM pg_stat_xact_user_tables WHERE schemaname = $1 AND relname NOT IN ('log', 'positions')";
    let row = client.query_one(query, &[&schema]).await.unwrap();
    (row.get(0), row.get(1))
}

/// What the server knows of the tables, and how it came to know it. Where nothing was vacuumed, as while
/// somebody holds an old snapshot, what an index alone could answer costs more.
const STAGES: [(&str, Option<&str>); 3] = [
    ("before they were looked at", None),
    ("when they were looked at", Some("ANALYZE")),
    ("when they were vacuumed", Some("VACUUM ANALYZE")),
];

async fn check(client: &Client, schema: &str, case: &Case, when: &str, is_known: bool) {
    let in_schema = |sql: &str| sql.replace("cqrs.", &format!("{schema}."));
    let types = if case.types.is_empty() { String::new() } else { format!("({})", case.types) };
    let values = if case.values.is_empty() { String::new() } else { format!("({})", case.values) };
    let sql = in_schema(case.sql);
    client.batch_execute(&format!("PREPARE it {types} AS {sql}")).await.unwrap();
    let explained = client.query(&format!("EXPLAIN EXECUTE it {values}"), &[]).await.unwrap();
    let plan: Vec<String> = explained.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    // As it is planned the sixth time as well.
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let begin = format!("BEGIN; SET LOCAL plan_cache_mode = {mode}");
        client.batch_execute(&begin).await.unwrap();
        let before = looked_at(client, schema).await;
        client.simple_query(&format!("EXECUTE it {values}")).await.unwrap();
        let after = looked_at(client, schema).await;
        let (scans, rows) = (after.0 - before.0, after.1 - before.1);
        client.batch_execute("ROLLBACK").await.unwrap();
        let of = format!("{when}, {mode}, {} of {sql}\n{plan}", case.values);
        assert_eq!(scans, 0, "sequential scans: {of}");
        // Until the server has looked at the tables, it may take an index and sort; what is read before
        // each command does not.
        assert!(
            !(is_known || case.sql.contains("load_")) || rows <= case.rows,
            "{rows} rows: {of}"
        );
    }
    client.batch_execute("DEALLOCATE it").await.unwrap();
    let is_used = !is_known || plan.contains(case.index);
    assert!(is_used, "{} is not used {when}: {sql}\n{plan}", case.index);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_looked_for_by_a_scan() {
    let schema = Schema::new();
    let store = common::store(&schema.0).connect().await.unwrap();
    let client = plain(&common::url()).await;
    let schema = &*schema.0;
    client.batch_execute(&fill().replace("cqrs.", &format!("{schema}."))).await.unwrap();
    for (when, look) in STAGES {
        for table in
            ["events", "event_tags", "outgoing", "timers", "parked", "commits", "documents"]
        {
            let Some(look) = look else { break };
            client.batch_execute(&format!("{look} {schema}.{table}")).await.unwrap();
        }
        for case in CASES {
            check(&client, schema, case, when, look.is_some()).await;
        }
        // A commit: applied within the transaction, so that it is known what it looked at.
        let mut client = plain(&common::url()).await;
        let transaction = client.transaction().await.unwrap();
        store.commit_in(&transaction, deposit("17", Expected::NoStream)).await.unwrap();
        transaction.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await.unwrap();
        let (scans, rows) = looked_at(transaction.client(), schema).await;
        assert!(scans == 0 && rows < 20, "a commit, {when}: {scans} scans, {rows} rows");
        transaction.rollback().await.unwrap();
    }
}
