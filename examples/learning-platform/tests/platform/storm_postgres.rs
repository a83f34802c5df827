//! The storm over services on PostgreSQL: one is killed, one of two is, and the database is as well.

use std::env;

use store_postgres::tokio_postgres::{self, NoTls};
use tempfile::TempDir;
use test_servers::Postgres;

use crate::service::Folder;
use crate::storm::Storm;

/// A schema of its own on the server of the tests.
pub(crate) struct Schema {
    url: String,
    name: String,
}

impl Schema {
    pub(crate) fn new() -> Self {
        let url = env::var("POSTGRES_URL").unwrap_or_else(|_| {
            panic!("set POSTGRES_URL to a server, or run `cargo xtask test`, which starts one")
        });
        Self { url, name: format!("storm_{}_{:x}", std::process::id(), fastrand::u32(..)) }
    }

    pub(crate) fn folder(&self) -> Folder {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        Folder::with_store(&format!("{}{separator}schema={}", self.url, self.name))
    }

    pub(crate) async fn remove(self) {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.name)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kills_at_random_moments_everything_adds_up_in_a_database() {
    let schema = Schema::new();
    Storm::wanted().on(&schema.folder()).await;
    schema.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_on_one_database_one_may_die_again_and_again() {
    let schema = Schema::new();
    Storm::wanted().beside_another().on(&schema.folder()).await;
    schema.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_processes_may_die_and_the_database_as_well() {
    // On the disk that the build is on: a kill -9 is about what is on a disk.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = tokio::task::block_in_place(|| Postgres::start(folder.path()));
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    let services = Folder::with_store(&server.url());
    Storm::wanted().beside_another().with_server(server).on(&services).await;
}
