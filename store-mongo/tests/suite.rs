//! The store suite.

mod common;

use std::process::ExitCode;
use std::sync::Arc;

use common::Database;
use cqrs_core::Store;
use cqrs_testing::store_suite;

fn main() -> ExitCode {
    let suite = store_suite("mongo", || async {
        let database = Arc::new(Database::new());
        move || {
            let database = database.clone();
            async move {
                let store = common::store(&database.0).connect().await;
                Arc::new(store.expect("the store connects")) as Arc<dyn Store>
            }
        }
    });
    suite.main()
}
