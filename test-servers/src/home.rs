//! Where a server lives: a folder of its own, and the user it runs as.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use tempfile::TempDir;

use crate::error::ServerError;

/// A folder that goes when this is dropped, and the user that owns it.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    /// None: the one that runs this process.
    user: Option<User>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

impl Home {
    /// A new folder in that one, which is made if it is not there. As root, it belongs to the first
    /// of the users that exists, and is among the temporary files when that user cannot reach it.
    pub(crate) fn new(within: &Path, name: &str, users: &[&str]) -> Result<Self, ServerError> {
        fs::create_dir_all(within).map_err(ServerError::io(within.display()))?;
        let within = within.canonicalize().map_err(ServerError::io(within.display()))?;
        let folder = make(&within, name)?;
        let owner = folder.path().metadata().map_err(ServerError::io(within.display()))?.uid();
        if owner != 0 {
            return Ok(Self { folder, user: None });
        }
        let accounts = fs::read_to_string("/etc/passwd").map_err(ServerError::io("/etc/passwd"))?;
        let user = users.iter().find_map(|name| find(&accounts, name));
        let user = user.ok_or_else(|| ServerError::NoAccount {
            why: format!("there is no user {}", users.join(" or ")),
        })?;
        let home = Self { folder, user: Some(user) };
        if home.is_reached()? {
            return Ok(home);
        }
        let within = env::temp_dir();
        let home = Self { folder: make(&within, name)?, user: Some(user) };
        if home.is_reached()? {
            return Ok(home);
        }
        Err(ServerError::NoAccount { why: format!("it cannot reach {}", within.display()) })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file that the server alone can read.
    pub(crate) fn write(&self, file: &Path, contents: &[u8]) -> Result<PathBuf, ServerError> {
        let file = self.path().join(file);
        let write = || {
            fs::write(&file, "")?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            fs::write(&file, contents)?;
            self.give(&file)
        };
        write().map_err(ServerError::io(file.display()))?;
        Ok(file)
    }

    /// The program, as the user that owns the folder, in the folder.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path());
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    /// Whether the owner can: for root, the folder becomes another user's first.
    fn is_reached(&self) -> Result<bool, ServerError> {
        let doing = || format!("{}: enter it as another user", self.path().display());
        self.give(self.path()).map_err(ServerError::io(doing()))?;
        let mut command = self.command("sh");
        // The folder is entered by the program: before that, it would still be root that enters.
        command.current_dir("/").args(["-c", "cd \"$1\"", "sh"]).arg(self.path());
        let status = command.stderr(Stdio::null()).status().map_err(ServerError::io(doing()))?;
        Ok(status.success())
    }

    fn give(&self, file: &Path) -> io::Result<()> {
        self.user.map_or(Ok(()), |user| chown(file, Some(user.uid), Some(user.gid)))
    }
}

fn make(within: &Path, name: &str) -> Result<TempDir, ServerError> {
    let prefix = format!("{name}-{}-", process::id());
    tempfile::Builder::new()
        .prefix(&prefix)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(within)
        .map_err(ServerError::io(format_args!("{}: make a folder in it", within.display())))
}

/// Looks the user up in the text of `/etc/passwd`.
fn find(accounts: &str, name: &str) -> Option<User> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        Some(User { uid, gid: fields.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\n\
                        postgres-old:x:7:8::/:/bin/sh\n\
                        postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(find(accounts, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(find(accounts, "nobody"), None);
    }

    #[test]
    fn a_folder_that_its_user_cannot_reach_is_made_elsewhere() {
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let home = Home::new(&closed.path().join("inner"), "server", &["nobody"]).unwrap();
        let inside = home.path().starts_with(closed.path().canonicalize().unwrap());
        // As root, `closed` belongs to root alone.
        assert_eq!(inside, home.user.is_none());
        let (path, owner) = (home.path().to_owned(), home.path().metadata().unwrap().uid());
        assert_ne!(owner, 0);
        drop(home);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_is_readable_by_the_server_alone() {
        let home = Home::new(&env::temp_dir(), "server", &["nobody"]).unwrap();
        let file = home.write("key".as_ref(), b"secret").unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(file.metadata().unwrap().uid(), home.path().metadata().unwrap().uid());
        let command = home.command("cat").arg("key").output().unwrap();
        assert_eq!(command.stdout, b"secret");
    }
}
