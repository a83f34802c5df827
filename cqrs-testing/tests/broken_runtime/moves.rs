//! Stores that change what is said of a subscription that moves to other partitions.

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{Commit, Committed, Error, ErrorKind, Json, Result, Store};
use serde_json::Value;

use crate::base::Fault;

/// Writes that new partitions begin elsewhere. Whether it did.
fn begins(commit: &mut Commit, change: impl Fn(u64) -> u64) -> bool {
    let mut has_changed = false;
    let controls = commit.documents.iter_mut().filter(|d| d.key.collection == "cqrs.subscriptions");
    for body in controls.filter_map(|document| document.body.as_mut()) {
        let mut control: Value = serde_json::from_str(body.as_str()).expect("it is JSON");
        let live = &mut control["live"];
        let (number, start) = (live["number"].as_u64(), live["start"].as_u64());
        live["start"] = change(start.expect("a position")).into();
        if number > Some(1) && control["moving"].is_null() {
            *body = Json::encode(&control).expect("it is JSON");
            has_changed = true;
        }
    }
    has_changed
}

/// Declares a fault that lets new partitions begin elsewhere. Who wrote that is not told, and reads it.
macro_rules! begins {
    ($(#[$doc:meta])* $name:ident, $change:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        #[async_trait]
        impl Fault for $name {
            async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
                let has_changed = begins(&mut commit, $change);
                let committed = store.commit(commit).await?;
                match has_changed {
                    false => Ok(committed),
                    true => Err(Error::new(ErrorKind::OutcomeUnknown, "the connection was lost")),
                }
            }
        }
    };
}

begins! {
    /// Lets them begin with the log.
    BeginsAgain, |_| 0
}

begins! {
    /// Lets them leave out a few events.
    BeginsTooLate, |start| start + 10
}
