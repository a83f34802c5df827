//! The runtime suite, on files.

use std::process::ExitCode;
use std::sync::Arc;

use cqrs_core::Store;
use cqrs_testing::runtime_suite;
use store_sqlite::SqliteStore;

fn main() -> ExitCode {
    let suite = runtime_suite("file", || async {
        let folder = Arc::new(tempfile::tempdir().expect("a folder for the database"));
        move || {
            let folder = folder.clone();
            async move {
                let store = SqliteStore::open(folder.path().join("log.db")).await;
                Arc::new(store.expect("the database opens")) as Arc<dyn Store>
            }
        }
    });
    suite.main()
}
