//! Hints from other processes: what the change stream misses is read from the log.

use std::time::Duration;

use cqrs_core::{Expected, Filter, Store};

use crate::common::{self, Database};
use crate::faults::{Failing, Fault, named};
use crate::short::{deposit, log_of, positions};

/// How long a hint may take to come, the pauses after errors included.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_hint_comes_from_another_process_also_after_the_history_was_lost() {
    let database = Database::new();
    let failing = Failing::of("hints").await;
    let store = named(&database.0, "hints", PATIENCE).await;
    let other = common::store(&database.0).connect().await.unwrap();
    let mut hint = store.hint();
    for round in 0..3 {
        if round > 0 {
            // The stream ends where it is, and so do the next ones.
            failing.set("getMore", Fault::HistoryLost, 3).await;
        }
        other.commit(deposit("17", Expected::Any)).await.unwrap();
        let grown = tokio::time::timeout(PATIENCE, hint.changed()).await;
        grown.unwrap_or_else(|_| panic!("no hint in round {round}"));
        failing.unset().await;
    }
    assert_eq!(positions(&log_of(&store, Filter::default()).await).len(), 3, "all are read");
}
