//! A replica set of one test's own.

use std::path::PathBuf;

use tempfile::TempDir;
use test_servers::Mongo;

/// A set with the folder that it lies in.
pub(crate) struct Own {
    pub(crate) set: Mongo,
    _folder: TempDir,
}

impl Own {
    pub(crate) fn start(members: usize) -> Self {
        // On the disk that the build is on: a kill -9 is about what is on a disk.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let set = Mongo::start_members(folder.path(), members);
        Self { set: set.unwrap_or_else(|error| panic!("{error}")), _folder: folder }
    }

    pub(crate) async fn begin(members: usize) -> Self {
        tokio::task::spawn_blocking(move || Self::start(members)).await.unwrap()
    }

    pub(crate) fn url(&self) -> String {
        self.set.url()
    }
}

/// A folder for a server.
pub(crate) fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

/// How often or how long, as a variable says.
pub(crate) fn wanted(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |wanted| wanted.parse().unwrap())
}
