//! Everything through a pooler that gives out a connection for a transaction, no longer.

use cqrs_core::{Commit, CommitId, Expected, Filter, MessageId, Store};
use store_postgres::PostgresStore;
use tempfile::TempDir;
use test_servers::PgBouncer;

use crate::load::{self, RECOVERS};
use crate::short::{Own, deposit, log_of, versions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_behind_a_pooler_keeps_its_promises() {
    let (own, pooler, _folder) = tokio::task::spawn_blocking(|| {
        let own = Own::start();
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let pooler = PgBouncer::start(&own.server, 3, folder.path());
        (own, pooler.unwrap_or_else(|error| panic!("{error}")), folder)
    })
    .await
    .unwrap();
    let url = own.server.url_on(pooler.port());
    let connect = async || PostgresStore::builder(&url).behind_pooler().connect().await.unwrap();
    let stores = [connect().await, connect().await];

    let load = load::begin(&stores, own.url()).await;
    load.goes_on(30, RECOVERS).await;
    println!("behind a pooler: {}", load.end(&stores[0]).await);

    // A transaction of one's own, and one that is given up.
    let mut client = stores[0].pool().get().await.unwrap();
    for is_kept in [true, false] {
        let commit = deposit(&format!("kept-{is_kept}"), Expected::NoStream);
        let transaction = client.transaction().await.unwrap();
        stores[0].commit_in(&transaction, commit).await.unwrap();
        match is_kept {
            true => transaction.commit().await.unwrap(),
            false => transaction.rollback().await.unwrap(),
        }
    }
    assert_eq!(versions(&stores[1], "kept-true").await, [1]);
    assert_eq!(versions(&stores[1], "kept-false").await, [0; 0]);

    // What the stores set for themselves is nobody else's to find.
    let row = client.query_typed("SELECT current_setting('lock_timeout')", &[]).await.unwrap();
    assert_eq!(row[0].get::<_, &str>(0), "0");
    let before = log_of(&stores[1], Filter::default()).await.len();
    let empty = Commit { id: CommitId(MessageId::fresh()), ..Commit::default() };
    stores[1].commit(empty).await.unwrap();
    assert_eq!(log_of(&stores[0], Filter::default()).await.len(), before);
}
