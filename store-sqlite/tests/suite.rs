//! The store suite, on files and in memory.

use std::process::ExitCode;
use std::sync::Arc;

use cqrs_core::Store;
use cqrs_testing::{run_suites, store_suite};
use store_sqlite::SqliteStore;

fn main() -> ExitCode {
    let file = store_suite("file", || async {
        let folder = Arc::new(tempfile::tempdir().expect("a folder for the database"));
        move || {
            let folder = folder.clone();
            async move {
                let store = SqliteStore::open(folder.path().join("log.db")).await;
                Arc::new(store.expect("the database opens")) as Arc<dyn Store>
            }
        }
    });
    let memory = store_suite("memory", || async {
        let store = SqliteStore::in_memory().await.expect("the database opens");
        move || {
            let store: Arc<dyn Store> = Arc::new(store.clone());
            async move { store }
        }
    });
    run_suites([file, memory])
}
