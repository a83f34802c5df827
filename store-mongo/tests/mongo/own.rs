//! A replica set of one test's own.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use test_servers::{Mongo, ServerError};

/// A set with the folder that it lies in.
pub(crate) struct Own {
    pub(crate) set: Mongo,
    _folder: TempDir,
}

impl Own {
    pub(crate) fn start(members: usize) -> Self {
        Self::with(|folder| Mongo::start_members(folder, members))
    }

    pub(crate) async fn begin(members: usize) -> Self {
        tokio::task::spawn_blocking(move || Self::start(members)).await.unwrap()
    }

    /// One with a certificate and the key to it.
    pub(crate) async fn with_certificate(pem: String) -> Self {
        let start = move || Self::with(|folder| Mongo::start_with_certificate(folder, &pem));
        tokio::task::spawn_blocking(start).await.unwrap()
    }

    fn with(start: impl FnOnce(&Path) -> Result<Mongo, ServerError>) -> Self {
        // On the disk that the build is on: a kill -9 is about what is on a disk.
        let (folder, path) = folder();
        let set = start(&path).unwrap_or_else(|error| panic!("{error}"));
        Self { set, _folder: folder }
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
