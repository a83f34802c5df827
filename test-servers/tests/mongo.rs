//! MongoDB is started as a set, has another primary after a death, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use test_servers::{Mongo, ServerError};

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().count() == 0
}

#[test]
fn a_set_of_one_takes_writes_again_after_kill_9() {
    let folder = folder();
    let mut set = Mongo::start(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((set.members(), set.primary().unwrap()), (1, 0));
    let (url, pid) = (set.url(), set.pid(0).unwrap());
    let password = url.split([':', '@']).nth(2).unwrap().to_owned();
    assert!(password.len() >= 16);
    assert!(!format!("{set:?}").contains(&password));
    assert!(matches!(set.start_again(0), Err(ServerError::NotNow(_))));
    set.kill(0).unwrap();
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    set.start_again(0).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(set.primary().unwrap(), 0);
    assert_eq!(set.url(), url);
    drop(set);
    assert!(is_empty(folder.path()), "something is left behind");
}

#[test]
fn one_of_three_is_the_primary_when_another_one_dies() {
    let folder = folder();
    let mut set = Mongo::start_members(folder.path(), 3).unwrap_or_else(|e| panic!("{e}"));
    let first = set.primary().unwrap();
    set.kill(first).unwrap();
    assert_ne!(set.primary().unwrap(), first);
    set.start_again(first).unwrap_or_else(|e| panic!("{e}"));
    drop(set);
    assert!(is_empty(folder.path()), "something is left behind");
}

#[test]
fn a_standalone_server_is_no_set() {
    let folder = folder();
    let server = Mongo::start_standalone(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    assert!(server.url().starts_with("mongodb://127.0.0.1:"));
    drop(server);
    assert!(is_empty(folder.path()), "something is left behind");
}
