//! Which of the versions on this machine is used.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder with the newest version of the programs. One that lacks any of them does not count.
///
/// Looked for on `PATH`, and in the `bin` of each folder in `versions`. The first program tells the
/// version when it is asked for it.
pub(crate) fn newest(programs: &[&str], versions: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    newest_of(&path, programs, versions)
}

fn newest_of(path: &OsStr, programs: &[&str], versions: &Path) -> Option<PathBuf> {
    let others = fs::read_dir(versions).into_iter().flatten().flatten();
    let folders = env::split_paths(path).chain(others.map(|folder| folder.path().join("bin")));
    let complete = |folder: &PathBuf| programs.iter().all(|name| folder.join(name).is_file());
    let with_version = |folder: PathBuf| Some((version(&folder.join(programs.first()?))?, folder));
    folders.filter(complete).filter_map(with_version).max().map(|(_, folder)| folder)
}

fn version(program: &Path) -> Option<Vec<u32>> {
    let output = Command::new(program).arg("--version").output().ok()?;
    numbers(&String::from_utf8_lossy(&output.stdout))
}

/// The first word that is a version: `postgres (PostgreSQL) 15.18 (Debian)` is 15, 18. What follows
/// the digits, as in `17beta2`, is left out.
fn numbers(told: &str) -> Option<Vec<u32>> {
    let word =
        told.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse().ok()
    };
    Some(word.split('.').map_while(digits).collect())
}

/// A program on `PATH`, or in that folder.
pub(crate) fn one(program: &str, folder: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([folder.to_owned()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A program in one of these folders, or else on `PATH`.
pub(crate) fn one_of(program: &str, folders: &[&Path]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().map(|folder| folder.to_path_buf()).chain(env::split_paths(&path));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(folder: &Path, name: &str, version: &str) {
        fs::create_dir_all(folder).unwrap();
        let file = folder.join(name);
        fs::write(&file, format!("#!/bin/sh\necho '{name} (Some) {version} (Debian)'\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_newest_folder_that_has_all_programs_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (versions, on_path) = (folder.path().join("lib"), folder.path().join("on-path"));
        let find = || newest_of(on_path.as_os_str(), &["server", "init"], &versions);
        assert_eq!(find(), None);
        for (version, programs) in
            [("9.6", ["server", "init"]), ("15.2", ["server", "init"]), ("17.1", ["server"; 2])]
        {
            let bin = versions.join(version).join("bin");
            programs.iter().for_each(|name| program(&bin, name, version));
        }
        assert_eq!(find(), Some(versions.join("15.2/bin")));
        ["server", "init"].iter().for_each(|name| program(&on_path, name, "15.10"));
        assert_eq!(find(), Some(on_path.clone()));
    }

    #[test]
    fn versions_are_read_as_the_programs_tell_them() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)";
        assert_eq!(numbers(debian), Some(vec![15, 18]));
        assert_eq!(numbers("postgres (PostgreSQL) 17beta2"), Some(vec![17]));
        assert_eq!(numbers("nothing"), None);
    }
}
