//! What cannot be had is a typed error in time, and no error shows a password.

use std::error::Error as _;
use std::time::{Duration, Instant};

use cqrs_core::{Error, ErrorKind, Expected, Filter, ReadStream, Store, StreamId};
use store_postgres::PostgresStore;
use store_postgres::tokio_postgres::{self, IsolationLevel, NoTls};

use crate::common::{self, Schema};
use crate::short::{Own, collect, deposit, log_of, plain};

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn whoever_finds_no_connection_in_the_pool_is_told_so_in_time() {
    let schema = Schema::new();
    let builder = common::store(&schema.0).connections(2).connect_timeout(SHORT);
    let store = builder.connect().await.unwrap();
    let taken = [store.pool().get().await.unwrap(), store.pool().get().await.unwrap()];
    let started = Instant::now();
    let error = store.refused(store.pool().get().await.unwrap_err());
    let took = started.elapsed();
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(took >= SHORT && took < SHORT * 5, "{took:?}");
    // Those who write, load and read have connections of their own.
    store.commit(deposit("17", Expected::Any)).await.unwrap();
    let stream = ReadStream::of(StreamId::new("account", "17"));
    assert_eq!(collect(store.read_stream(stream)).await.unwrap()[0].len(), 1);
    drop(taken);
    assert_eq!(log_of(&store, Filter::default()).await[0].len(), 1);
}

/// All that can be seen of an error.
fn shown(error: &Error) -> String {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.push_str(&format!("{error} {error:?}"));
        cause = error.source();
    }
    shown
}

#[tokio::test]
async fn what_the_server_quotes_of_a_row_is_in_no_error() {
    let schema = Schema::new();
    let store = common::store(&schema.0).connect().await.unwrap();
    let sql = format!("ALTER TABLE {}.events ADD CHECK (stream <> 'account-of-mallory')", schema.0);
    plain(&common::url()).await.batch_execute(&sql).await.unwrap();
    let error = store.commit(deposit("account-of-mallory", Expected::Any)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Internal);
    let shown = shown(&error);
    assert!(shown.contains("23514") && !shown.contains("account-of-mallory"), "{shown}");
}

#[tokio::test]
async fn what_others_wrote_meanwhile_is_quoted_in_no_error() {
    let schema = Schema::new();
    let store = common::store(&schema.0).connect().await.unwrap();
    let mut client = plain(&common::url()).await;
    let begun = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let transaction = begun.start().await.unwrap();
    transaction.query_one("SELECT 1", &[]).await.unwrap();
    store.commit(deposit("account-of-mallory", Expected::Any)).await.unwrap();
    store.commit_in(&transaction, deposit("account-of-mallory", Expected::Any)).await.unwrap();
    let error = store.refused(transaction.commit().await.unwrap_err());
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    let shown = shown(&error);
    assert!(shown.contains("begin it again") && !shown.contains("mallory"), "{shown}");
}

#[tokio::test]
async fn whoever_cannot_connect_is_told_why_and_the_password_is_not() {
    let own = tokio::task::spawn_blocking(Own::start).await.unwrap();
    let port = own.server.port();
    let password = "Not-The-Right-One";
    let right = own.url();
    let (_, rest) = right.split_once("postgres://postgres:").unwrap();
    let (real, _) = rest.split_once('@').unwrap();
    let at = |place: &str| format!("postgres://postgres:{password}@{place}/postgres");
    let invalid = ErrorKind::Invalid { field: Some("url".to_owned()) };
    for (url, kind, said) in [
        (at(&format!("127.0.0.1:{port}")), &invalid, "the password"),
        (format!("{right}_not"), &invalid, "no such database"),
        (at("127.0.0.1:1"), &ErrorKind::Unavailable, "out of reach"),
        (at("no-such-host.invalid"), &ErrorKind::Unavailable, "out of reach"),
        (format!("{right}?sslmode=require"), &ErrorKind::Unavailable, "TLS"),
        (at("127.0.0.1:port"), &invalid, "postgres://USER:PASSWORD@HOST"),
    ] {
        let builder = PostgresStore::builder(&url).connect_timeout(Duration::from_secs(2));
        assert!(!format!("{builder:?} {builder:#?}").contains(password));
        let started = Instant::now();
        let error = builder.connect().await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10), "{said}");
        let shown = shown(&error);
        assert_eq!(error.kind(), kind, "{shown}");
        assert!(shown.contains(said), "{shown}");
        assert!(!shown.contains(password) && !shown.contains(real), "{shown}");
    }
    let store = PostgresStore::connect(&right).await.unwrap();
    assert!(!format!("{store:?} {store:#?}").contains(real));
}

#[tokio::test]
async fn more_connections_than_the_server_has_is_said_to_pass() {
    let few = tokio::task::spawn_blocking(|| {
        let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let server = test_servers::Postgres::builder().set("max_connections", "5");
        (server.start(folder.path()).unwrap_or_else(|error| panic!("{error}")), folder)
    });
    let (server, _folder) = few.await.unwrap();
    let url = server.url();
    let mut taken = Vec::new();
    let error = loop {
        let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await else {
            break PostgresStore::connect(&url).await.unwrap_err();
        };
        tokio::spawn(connection);
        taken.push(client);
    };
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("try again"), "{error}");
}
