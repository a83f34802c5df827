//! The store suite.

mod common;

use std::process::ExitCode;
use std::sync::Arc;

use common::Schema;
use cqrs_core::Store;
use cqrs_testing::store_suite;

fn main() -> ExitCode {
    let suite = store_suite("postgres", || async {
        let schema = Arc::new(Schema::new());
        move || {
            let schema = schema.clone();
            async move {
                let store = common::store(&schema.0).connect().await;
                Arc::new(store.expect("the store connects")) as Arc<dyn Store>
            }
        }
    });
    suite.main()
}
