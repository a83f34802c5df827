//! The tables: made by many at once, by hand, and left alone when they are newer.

use std::io::Write;
use std::process::{Command, Stdio};

use cqrs_core::{Committed, ErrorKind, Expected, Store};
use store_postgres::migrations;
use tokio::task::JoinSet;

use crate::common::{self, Schema};
use crate::short::{deposit, plain};

/// Hands SQL to `psql`, which stops at the first error.
pub(crate) fn psql(url: &str, sql: &str) {
    let arguments = ["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d", url];
    let mut psql = Command::new("psql");
    psql.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let psql = psql.spawn();
    let mut psql = psql.unwrap_or_else(|e| panic!("psql, of the package postgresql-client: {e}"));
    psql.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    let output = psql.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Everything that a schema has, as lines, without its name.
async fn all_of(schema: &str) -> Vec<String> {
    let client = plain(&common::url()).await;
    let mut all = Vec::new();
    for query in [
        "SELECT concat_ws('|', 'column', table_name, column_name, ordinal_position, column_default,
           is_nullable, data_type, udt_name, collation_name)
         FROM information_schema.columns WHERE table_schema = $1 ORDER BY 1",
        "SELECT concat_ws('|', 'constraint', table_name, constraint_type)
         FROM information_schema.table_constraints WHERE table_schema = $1 ORDER BY 1",
        "SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = $1 ORDER BY 1",
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc AS p
         JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = $1 ORDER BY 1",
        "SELECT pg_get_triggerdef(t.oid) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
         JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 ORDER BY 1",
        "SELECT concat_ws('|', 'sequence', sequencename, start_value, min_value, increment_by, cache_size)
         FROM pg_sequences WHERE schemaname = $1 ORDER BY 1",
    ] {
        let rows = client.query(query, &[&schema]).await.unwrap();
        assert!(!rows.is_empty(), "{query}");
        let lines = rows.iter().map(|row| row.get::<_, &str>(0).replace(schema, "SCHEMA"));
        all.extend(lines);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_come_to_an_empty_schema_at_once_make_the_tables_once() {
    let schema = Schema::new();
    let mut nodes = JoinSet::new();
    for _ in 0..8 {
        let builder = common::store(&schema.0);
        nodes.spawn(async move {
            let store = builder.connect().await.unwrap();
            store.commit(deposit("17", Expected::Any)).await.unwrap();
            store.head().await.unwrap().log
        });
    }
    let logs = nodes.join_all().await;
    assert!(logs.iter().all(|log| *log == logs[0]), "{logs:?}");
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused_and_left_as_they_are() {
    let schema = Schema::new();
    common::store(&schema.0).connect().await.unwrap().close().await;
    let client = plain(&common::url()).await;
    let newer = format!("UPDATE {}.tables SET version = 99", schema.0);
    client.batch_execute(&newer).await.unwrap();
    let before = all_of(&schema.0).await;
    for migrates in [true, false] {
        let error = common::store(&schema.0).migrate(migrates).connect().await.unwrap_err();
        let is_said =
            matches!(error.kind(), ErrorKind::SchemaTooNew { found: 99, known } if *known < 99);
        assert!(is_said && error.to_string().contains("update this program"), "{error:?}");
    }
    assert_eq!(all_of(&schema.0).await, before);
    let version = format!("SELECT version FROM {}.tables", schema.0);
    assert_eq!(client.query_one(&version, &[]).await.unwrap().get::<_, i32>(0), 99);
}

#[tokio::test]
async fn what_is_printed_for_psql_makes_the_same_tables_and_can_be_run_again() {
    let (made, printed) = (Schema::new(), Schema::new());
    let missing = common::store(&printed.0).migrate(false).connect().await.unwrap_err();
    assert!(missing.to_string().contains("store_postgres::migrations"), "{missing}");
    assert!(!matches!(missing.kind(), ErrorKind::Internal), "{missing:?}");
    common::store(&made.0).connect().await.unwrap().close().await;
    psql(&common::url(), &migrations(&printed.0));
    let by_hand = all_of(&printed.0).await;
    assert_eq!(by_hand, all_of(&made.0).await);
    let store = common::store(&printed.0).migrate(false).connect().await.unwrap();
    let committed = store.commit(deposit("17", Expected::NoStream)).await.unwrap();
    psql(&common::url(), &migrations(&printed.0));
    assert_eq!(all_of(&printed.0).await, by_hand);
    assert_eq!(committed, Committed::Now { position: 1 });
    assert_eq!(store.head().await.unwrap().position, 1);
}

#[tokio::test]
async fn a_user_who_may_not_make_tables_is_told_so() {
    let schema = Schema::new();
    let client = plain(&common::url()).await;
    let role = format!("{}_reader", schema.0);
    client
        .batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret-word'"))
        .await
        .unwrap();
    let (_, place) =
        common::url().split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let url = format!("postgres://{role}:secret-word@{place}");
    let builder = store_postgres::PostgresStore::builder(&url).schema(&schema.0);
    let error = builder.connect().await.unwrap_err();
    client.batch_execute(&format!("DROP ROLE {role}")).await.unwrap();
    assert!(error.to_string().contains("lacks a privilege"), "{error}");
    assert!(!format!("{error:?} {error}").contains("secret-word"), "{error:?}");
}
