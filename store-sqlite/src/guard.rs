//! Keeps statements of the user's from ending a transaction of the store's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

/// Watches over the connection that writes. As long as code of the user's runs, nothing can be
/// committed over it: SQLite asks at every COMMIT, written or implied, and turns it into a ROLLBACK.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Code of the user's is running.
    is_up: AtomicBool,
    /// It ended the transaction.
    ended: AtomicBool,
}

impl Guard {
    pub(crate) fn over(conn: &mut Connection) -> rusqlite::Result<Arc<Self>> {
        let guard = Arc::new(Self::default());
        let (commits, rolls_back) = (Arc::clone(&guard), Arc::clone(&guard));
        conn.commit_hook(Some(move || commits.notice()))?;
        conn.rollback_hook(Some(move || {
            rolls_back.notice();
        }))?;
        Ok(guard)
    }

    /// Notes that a transaction ends. Whether it may not be committed.
    fn notice(&self) -> bool {
        // One thread at a time uses a connection, and the hooks run on it.
        let is_up = self.is_up.load(Ordering::Relaxed);
        if is_up {
            self.ended.store(true, Ordering::Relaxed);
        }
        is_up
    }

    /// Runs code of the user's; `Err` is its panic.
    pub(crate) fn run<T>(&self, users: impl FnOnce() -> T) -> std::thread::Result<T> {
        self.ended.store(false, Ordering::Relaxed);
        self.is_up.store(true, Ordering::Relaxed);
        let done = catch_unwind(AssertUnwindSafe(users));
        self.is_up.store(false, Ordering::Relaxed);
        done
    }

    /// Whether the last code that ran ended the transaction it ran in.
    pub(crate) fn was_broken(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}
