//! A dump that is restored elsewhere, also of an older state: no position is given twice, and nobody who
//! had come further is given something else unawares.

use std::process::Command;
use std::time::Duration;

use cqrs_core::{
    App, CheckpointWrite, Commit, ErrorKind, Event, EventType, Expected, Filter, HandlerError,
    Position, ReadLog, RuntimeSettings, Store,
};
use serde::{Deserialize, Serialize};
use store_postgres::PostgresStore;

use crate::common::{self, Schema};
use crate::migrations::psql;
use crate::short::{Own, collect, deposit, log_of, plain, positions, versions};

/// What `pg_dump` writes.
fn dump(url: &str) -> String {
    let output = Command::new("pg_dump").args(["--no-owner", "-d", url]).output();
    let output =
        output.unwrap_or_else(|e| panic!("pg_dump, of the package postgresql-client: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn write(store: &PostgresStore, times: usize) -> Vec<Position> {
    let mut given = Vec::new();
    for _ in 0..times {
        given.push(store.commit(deposit("17", Expected::Any)).await.unwrap().position());
    }
    given
}

fn checkpoint(from: Position, to: Position) -> Commit {
    let subscription = "mailer".to_owned();
    let checkpoint = CheckpointWrite { subscription, partition: 0, from, to, fence: None };
    Commit { checkpoint: Some(checkpoint), ..Commit::default() }
}

async fn log(store: &PostgresStore) -> Vec<Position> {
    positions(&log_of(store, Filter::default()).await)
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Deposited {
    amount: u64,
}

impl Event for Deposited {
    const TYPES: &'static [EventType] = &[EventType::new("bank.deposited", "Deposited")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

async fn look(_: Deposited) -> Result<(), HandlerError> {
    Ok(())
}

/// Asks for what lies past the end of the log, in every way there is.
async fn is_beyond(store: &PostgresStore, position: Position, head: Position) {
    let beyond = ErrorKind::BeyondHead { position, head };
    let is_said = |error: &cqrs_core::Error| {
        assert_eq!(*error.kind(), beyond, "{error:?}");
        assert!(error.to_string().contains("rebuild from 0"), "{error}");
    };
    for filter in [Filter::default(), Filter::default().event_type("bank.deposited")] {
        is_said(
            &collect(store.read_log(ReadLog::after(position).filter(filter))).await.unwrap_err(),
        );
    }
    let at = store.checkpoint("mailer", 0).await.unwrap().unwrap();
    is_said(&store.commit(checkpoint(at, position)).await.unwrap_err());
    let app = App::builder()
        .store(store.clone())
        .event_handler("bank.look", look)
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap();
    let running = app.start().await.unwrap();
    let patience = Duration::from_secs(5);
    is_said(&app.wait_for("bank.look", position, patience).await.unwrap_err());
    running.stop(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_restored_elsewhere_goes_on_far_behind_all_that_was_ever_given() {
    let servers = tokio::task::spawn_blocking(|| [Own::start(), Own::start()]).await.unwrap();
    let [there, here] = servers.each_ref().map(Own::url);
    let before = PostgresStore::connect(&there).await.unwrap();
    let kept = write(&before, 10).await;
    before.commit(checkpoint(0, 7)).await.unwrap();
    let older = dump(&there);
    // Readers come further, and a checkpoint does.
    let lost = write(&before, 10).await;
    before.commit(checkpoint(7, 20)).await.unwrap();

    psql(&here, &older);
    let restored = PostgresStore::connect(&here).await.unwrap();
    assert_eq!(
        restored.head().await.unwrap(),
        cqrs_core::Head { position: 10, ..before.head().await.unwrap() }
    );
    assert_eq!(log(&restored).await, kept);
    assert_eq!(restored.checkpoint("mailer", 0).await.unwrap(), Some(7));
    is_beyond(&restored, 20, 10).await;
    // A checkpoint that somebody kept elsewhere and has put back.
    let client = plain(&here).await;
    client
        .batch_execute("UPDATE cqrs.checkpoints SET position = 20 WHERE subscription = 'mailer'")
        .await
        .unwrap();
    let error = restored.checkpoint("mailer", 0).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::BeyondHead { position: 20, head: 10 });
    client
        .batch_execute("UPDATE cqrs.checkpoints SET position = 7 WHERE subscription = 'mailer'")
        .await
        .unwrap();

    let new = write(&restored, 5).await;
    assert!(new[0] > lost[9] + 1_000_000, "{new:?}");
    assert!(new.windows(2).all(|two| two[1] == two[0] + 1), "{new:?}");
    assert_eq!(log(&restored).await, [&kept[..], &new].concat());
    assert_eq!(versions(&restored, "17").await, (1..=15).collect::<Vec<_>>());
    for after in [kept[9], lost[9]] {
        let pages = collect(restored.read_log(ReadLog::after(after))).await.unwrap();
        assert_eq!(positions(&pages), new, "a reader at {after} misses something");
    }
    // It was noted, and another process does not go on behind that again.
    let other = PostgresStore::connect(&here).await.unwrap();
    assert_eq!(write(&other, 1).await, [new[4] + 1]);

    // The same of the newest state, and once more of what was restored.
    let client = plain(&here).await;
    let newest = dump(&there);
    client.batch_execute("CREATE DATABASE newest").await.unwrap();
    client.batch_execute("CREATE DATABASE again").await.unwrap();
    let again = dump(&here);
    for (name, dump, given) in [("newest", newest, 20), ("again", again, new[4] + 1)] {
        let url = format!("{}/{name}", here.rsplit_once('/').unwrap().0);
        psql(&url, &dump);
        let restored = PostgresStore::connect(&url).await.unwrap();
        let new = write(&restored, 1).await;
        assert!(new[0] > given + 1_000_000, "{name}: {new:?} after {given}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_restored_in_its_own_place_gives_no_position_twice() {
    let own = tokio::task::spawn_blocking(Own::start).await.unwrap();
    let url = own.url();
    let store = PostgresStore::connect(&url).await.unwrap();
    let kept = write(&store, 10).await;
    let older = dump(&url);
    let lost = write(&store, 10).await;
    store.close().await;
    let client = plain(&url).await;
    client.batch_execute("DROP SCHEMA cqrs CASCADE").await.unwrap();
    psql(&url, &older);
    let store = PostgresStore::connect(&url).await.unwrap();
    let new = write(&store, 3).await;
    assert!(new[0] > lost[9], "given twice: {new:?} after {lost:?}");
    assert_eq!(log(&store).await, [&kept[..], &new].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_is_noticed_by_a_transaction_of_the_users_and_behind_a_pooler() {
    let schema = Schema::new();
    let connected = common::store(&schema.0).connect().await.unwrap();
    let pooled = common::store(&schema.0).behind_pooler().connect().await.unwrap();
    let before = write(&pooled, 2).await;
    // As a copy of the files has it that was promoted, without a connection of the writer's that ends.
    let client = plain(&common::url()).await;
    let elsewhere = format!("UPDATE {}.log SET place = 'elsewhere'", schema.0);
    client.batch_execute(&elsewhere).await.unwrap();
    let mut users = plain(&common::url()).await;
    let transaction = users.transaction().await.unwrap();
    connected.commit_in(&transaction, deposit("17", Expected::Any)).await.unwrap();
    transaction.commit().await.unwrap();
    let within = log(&connected).await[2];
    assert!(within > before[1] + 1_000_000, "{within} after {before:?}");

    client.batch_execute(&elsewhere).await.unwrap();
    let new = write(&pooled, 2).await;
    assert!(new[0] > within + 1_000_000, "{new:?} after {within}");
    assert_eq!(new[1], new[0] + 1, "it was noted");
}
