//! Tasks that commit while something happens to the server.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::Store;
use cqrs_testing::Load;
use futures_util::FutureExt;
use store_postgres::PostgresStore;

use crate::short::plain;

/// Within this time commits go on.
pub(crate) const RECOVERS: Duration = Duration::from_secs(5);

/// A store that tries again for a while, and one that soon leaves that to those who commit.
pub(crate) async fn patient_and_not(url: &str) -> [PostgresStore; 2] {
    let soon = PostgresStore::builder(url).patience(Duration::from_millis(20));
    [PostgresStore::connect(url).await.unwrap(), soon.connect().await.unwrap()]
}

/// Begins, with three tasks on each store. `url` is the way to the server on which nothing is cut.
pub(crate) async fn begin(stores: &[PostgresStore], url: String) -> Load {
    let stores: Vec<Arc<dyn Store>> =
        stores.iter().map(|store| Arc::new(store.clone()) as Arc<dyn Store>).collect();
    let load = Load::begin(&stores).await;
    load.told_by(move || activity(url.clone()).boxed())
}

/// What the server is doing, for whoever wants to know why nothing goes on.
async fn activity(url: String) -> String {
    let query = "SELECT concat_ws(' | ', pid, state, wait_event, now() - xact_start,
        pg_blocking_pids(pid), left(query, 60))
      FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let rows = plain(&url).await.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
}
