//! Locks of the operating system, one for each holder of leases: the kernel frees them when a
//! process dies, so that its death is known before its leases are over.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cqrs_core::Fingerprint;

/// The lock files beside a database. Every function is called by who holds the database's own lock
/// for writing, so that no two processes make, look at and remove files at once.
///
/// A holder has a shared lock: several stores may use its name. Whoever can lock a file exclusively
/// knows that nobody has it any more. A file that is missing says nothing.
#[derive(Debug)]
pub(crate) struct Holders {
    folder: PathBuf,
    locks: HashMap<String, File>,
    swept: bool,
    warned: bool,
}

/// What became of a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A living process has its lock, or nobody can tell.
    MayLive,
    /// No process has it.
    Gone,
}

impl Holders {
    /// Those of a database that is there.
    pub(crate) fn beside(database: &Path) -> io::Result<Self> {
        // One name for the folder, whatever links the path goes through.
        let mut folder = fs::canonicalize(database)?.into_os_string();
        folder.push("-holders");
        let folder = folder.into();
        Ok(Self { folder, locks: HashMap::new(), swept: false, warned: false })
    }

    /// Keeps the holder's lock until it is [let go](Self::let_go). Whether there is one: where there
    /// cannot be, only the terms of its leases free them.
    pub(crate) fn hold(&mut self, holder: &str) -> bool {
        if self.locks.contains_key(holder) {
            return true;
        }
        match self.lock(holder) {
            Ok(file) => {
                self.locks.insert(holder.to_owned(), file);
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!(
                        folder = %self.folder.display(), %error,
                        "no lock for a holder of leases: when this process dies, others wait until \
                         its leases are over"
                    );
                }
                false
            }
        }
    }

    fn lock(&self, holder: &str) -> io::Result<File> {
        fs::create_dir_all(&self.folder)?;
        let path = self.file_of(holder);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        file.try_lock_shared()?;
        if file.metadata()?.len() == 0 {
            // For people; the name of the file is a digest.
            writeln!(file, "{holder}")?;
        }
        Ok(file)
    }

    /// Looks whether a holder is gone. Its file is then gone as well.
    pub(crate) fn look(&self, holder: &str) -> Standing {
        let path = self.file_of(holder);
        match is_free(&path) {
            Ok(true) => {
                remove(&path);
                Standing::Gone
            }
            Ok(false) => Standing::MayLive,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!(path = %path.display(), %error, "a lock cannot be looked at");
                }
                Standing::MayLive
            }
        }
    }

    /// Frees the lock of a holder that has no leases any more. The file goes unless another store
    /// uses it, and the folder when it is empty.
    pub(crate) fn let_go(&mut self, holder: &str) {
        if self.locks.remove(holder).is_some() && self.look(holder) == Standing::Gone {
            // It is not empty as long as there are other holders.
            let _ = fs::remove_dir(&self.folder);
        }
    }

    /// The holders whose locks are kept.
    pub(crate) fn names(&self) -> Vec<String> {
        self.locks.keys().cloned().collect()
    }

    /// Removes, once, what processes left behind that died: all but the files of these holders,
    /// which have leases.
    pub(crate) fn sweep(
        &mut self,
        holding: impl FnOnce() -> rusqlite::Result<Vec<String>>,
    ) -> rusqlite::Result<()> {
        if std::mem::replace(&mut self.swept, true) {
            return Ok(());
        }
        let Ok(files) = fs::read_dir(&self.folder) else { return Ok(()) };
        let kept: Vec<PathBuf> = holding()?.iter().map(|holder| self.file_of(holder)).collect();
        for path in files.flatten().map(|file| file.path()) {
            let is_lock = path.extension().is_some_and(|extension| extension == "lock");
            if is_lock && !kept.contains(&path) && matches!(is_free(&path), Ok(true)) {
                remove(&path);
            }
        }
        Ok(())
    }

    fn file_of(&self, holder: &str) -> PathBuf {
        let digest = u128::from_be_bytes(*Fingerprint::of(holder.as_bytes()).as_bytes());
        self.folder.join(format!("{digest:032x}.lock"))
    }
}

/// Whether nobody has a lock on a file.
fn is_free(path: &Path) -> io::Result<bool> {
    // Writable, because some systems lock no other files exclusively. It is freed when it is closed.
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "the file of a lock cannot be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(folder: &Path) -> Holders {
        let database = folder.join("log.db");
        File::create(&database).unwrap();
        Holders::beside(&database).unwrap()
    }

    fn files(holders: &Holders) -> usize {
        fs::read_dir(&holders.folder).map_or(0, Iterator::count)
    }

    #[test]
    fn a_holder_lives_as_long_as_anybody_has_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (beside(folder.path()), beside(folder.path()));
        let third = beside(folder.path());
        assert!(one.hold("a") && two.hold("a") && one.hold("a"));
        assert_eq!((third.look("a"), one.look("a")), (Standing::MayLive, Standing::MayLive));
        drop(one);
        assert_eq!(third.look("a"), Standing::MayLive);
        drop(two);
        assert_eq!(third.look("a"), Standing::Gone);
        // Its file is gone, and says nothing any more.
        assert_eq!(third.look("a"), Standing::MayLive);
    }

    #[test]
    fn nothing_stays_of_who_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (beside(folder.path()), beside(folder.path()));
        assert!(one.hold("a/../b") && one.hold("b") && two.hold("b"));
        assert_eq!(files(&one), 2);
        one.let_go("a/../b");
        one.let_go("b");
        one.let_go("never had");
        assert_eq!((files(&one), one.look("b")), (1, Standing::MayLive));
        two.let_go("b");
        assert!(!two.folder.exists());
    }

    #[test]
    fn what_the_dead_left_is_swept_but_for_who_has_leases() {
        let folder = tempfile::tempdir().unwrap();
        let (mut dead, mut living) = (beside(folder.path()), beside(folder.path()));
        assert!(dead.hold("a") && dead.hold("b") && living.hold("c"));
        drop(dead);
        let mut sweeper = beside(folder.path());
        sweeper.sweep(|| Ok(vec!["b".to_owned()])).unwrap();
        assert_eq!(files(&sweeper), 2);
        assert_eq!((sweeper.look("b"), sweeper.look("c")), (Standing::Gone, Standing::MayLive));
    }

    #[test]
    fn a_place_without_room_for_locks_leaves_it_to_the_terms() {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("log.db-holders")).unwrap();
        let mut holders = beside(folder.path());
        assert!(!holders.hold("a"));
        assert_eq!(holders.look("a"), Standing::MayLive);
    }
}
