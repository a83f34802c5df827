//! The storm over services on MongoDB: one is killed, and one of two is.

use std::env;

use store_mongo::mongodb::Client;

use crate::service::Folder;
use crate::storm::Storm;

/// A database of its own on the replica set of the tests.
pub(crate) struct Database {
    url: String,
    name: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        let url = env::var("MONGODB_URI").unwrap_or_else(|_| {
            panic!("set MONGODB_URI to a replica set, or run `cargo xtask test`, which starts one")
        });
        Self { url, name: format!("storm_{}_{:x}", std::process::id(), fastrand::u32(..)) }
    }

    pub(crate) fn folder(&self) -> Folder {
        let (hosts, options) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let hosts = hosts.trim_end_matches('/');
        // Who is named in the database of all is named there.
        let of_all = if options.contains("authSource=") { "" } else { "&authSource=admin" };
        let of_all = if hosts.contains('@') { of_all } else { "" };
        Folder::with_store(&format!("{hosts}/{}?{options}{of_all}", self.name))
    }

    pub(crate) async fn remove(self) {
        let client = Client::with_uri_str(&self.url).await.unwrap();
        client.database(&self.name).drop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kills_at_random_moments_everything_adds_up_in_a_replica_set() {
    let database = Database::new();
    Storm::wanted().on(&database.folder()).await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_on_one_replica_set_one_may_die_again_and_again() {
    let database = Database::new();
    Storm::wanted().beside_another().on(&database.folder()).await;
    database.remove().await;
}
