//! PostgreSQL is started, answers, comes back after a death, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_servers::{Postgres, ServerError};

/// How long something may take that is to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// On the disk where the build is: what is tested is also that it is written.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn start(folder: &TempDir) -> Postgres {
    Postgres::start(folder.path()).unwrap_or_else(|e| panic!("{e}"))
}

fn psql(url: &str, statement: &str) -> Output {
    let arguments = ["--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement, url];
    Command::new("psql")
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("psql, of the package postgresql-client: {e}"))
}

#[track_caller]
fn ask(server: &Postgres, statement: &str) -> String {
    let output = psql(&server.url(), statement);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[track_caller]
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The state of a process, and its parent. None: there is no such process.
fn state(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let state = fields.next().unwrap().to_owned();
    // A process that nobody has waited for has ended all the same.
    (state != "Z").then(|| (state, fields.next().unwrap().parse().unwrap()))
}

/// The processes of the server: itself and its children.
fn processes(server: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|pid| pid.file_name().to_str()?.parse().ok());
    let children = pids.filter(|pid| state(*pid).is_some_and(|(_, parent)| parent == server));
    let processes: Vec<u32> = children.chain([server]).collect();
    assert!(processes.len() > 3, "{processes:?}");
    processes
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn it_answers_whoever_has_the_password() {
    let folder = folder();
    let server = start(&folder);
    assert_eq!(
        ask(&server, "SELECT current_user || ' of ' || current_database()"),
        "postgres of postgres"
    );
    assert_eq!(ask(&server, "SHOW server_encoding"), "UTF8");
    assert_eq!(ask(&server, "SHOW listen_addresses"), "127.0.0.1");
    assert_eq!(ask(&server, "SHOW max_connections"), "300");
    assert_eq!(ask(&server, "SHOW fsync"), "on");
    let password = server.url().split([':', '@']).nth(2).unwrap().to_owned();
    assert!(password.len() >= 16, "{password}");
    let refused = psql(&server.url().replace(&password, "guessed"), "SELECT 1");
    assert!(!refused.status.success());
    let shown = format!("{server:?}");
    assert!(shown.contains(&server.port().to_string()) && !shown.contains(&password), "{shown}");
}

#[test]
fn what_was_committed_outlives_kill_9() {
    let folder = folder();
    let mut server = start(&folder);
    ask(&server, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)");
    let (url, pid) = (server.url(), server.pid().unwrap());
    let processes = processes(pid);
    server.kill().unwrap();
    assert_eq!(server.pid(), None);
    wait_for("all its processes end", || processes.iter().all(|pid| state(*pid).is_none()));
    assert!(matches!(server.kill(), Err(ServerError::NotNow(_))));

    // On no other port than before.
    let taken = TcpListener::bind(("127.0.0.1", server.port())).unwrap();
    let refused = server.start_again().unwrap_err();
    assert!(refused.to_string().contains("Address already in use"), "{refused}");
    drop(taken);
    server.start_again().unwrap();
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), Some(pid));
    assert_eq!(ask(&server, "SELECT n FROM kept"), "42");
    assert!(matches!(server.start_again(), Err(ServerError::NotNow(_))));
}

#[test]
fn what_was_committed_outlives_a_stop() {
    let folder = folder();
    let mut server = start(&folder);
    ask(&server, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)");
    server.stop().unwrap();
    assert_eq!(server.pid(), None);
    assert!(!psql(&server.url(), "SELECT 1").status.success());
    server.start_again().unwrap();
    assert_eq!(ask(&server, "SELECT n FROM kept"), "7");
    let log = fs::read_to_string(server.log()).unwrap();
    assert!(!log.contains("was not properly shut down"), "{log}");
}

#[test]
fn two_run_side_by_side() {
    let folder = folder();
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| start(&folder));
        (start(&folder), one.join().unwrap())
    });
    assert_ne!(one.port(), other.port());
    ask(&one, "CREATE TABLE mine (n int)");
    assert_eq!(ask(&other, "SELECT count(*) FROM pg_tables WHERE tablename = 'mine'"), "0");
    drop(one);
    assert_eq!(ask(&other, "SELECT 1"), "1");
}

#[test]
fn settings_and_files_are_the_tests_own() {
    let folder = folder();
    let builder = Postgres::builder()
        .set("max_connections", "12")
        .set("hba_file", "anybody.conf")
        .file("anybody.conf", "host all all 127.0.0.1/32 trust\n");
    let server = builder.start(folder.path()).unwrap();
    assert_eq!(ask(&server, "SHOW max_connections"), "12");
    let anybody = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port());
    assert!(psql(&anybody, "SELECT 1").status.success());
}

#[test]
fn a_server_that_does_not_start_says_why_and_leaves_nothing() {
    let folder = folder();
    let refused = Postgres::builder().set("no_such_setting", "1").start(folder.path()).unwrap_err();
    assert!(refused.to_string().contains("\"no_such_setting\""), "{refused}");
    assert!(is_empty(folder.path()));
}

#[test]
fn a_paused_server_keeps_its_clients_waiting() {
    let folder = folder();
    let mut server = start(&folder);
    let processes = processes(server.pid().unwrap());
    // One that was about to end may have done so.
    let is_stopped = |pid: &u32| state(*pid).is_none_or(|(state, _)| state == "T");
    server.pause().unwrap();
    wait_for("all its processes stop", || processes.iter().all(is_stopped));
    let mut client = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    client.write_all(b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0").unwrap();
    let silence = client.read(&mut [0]).unwrap_err();
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");

    server.go_on().unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 1);
    assert_eq!(ask(&server, "SELECT 1"), "1");
    server.pause().unwrap();
    server.stop().unwrap();
}

#[test]
fn a_dropped_server_leaves_nothing() {
    let folder = folder();
    for state_then in ["runs", "is paused", "is killed", "is killed paused"] {
        let mut server = start(&folder);
        let (port, processes) = (server.port(), processes(server.pid().unwrap()));
        match state_then {
            "is paused" => server.pause().unwrap(),
            "is killed" => server.kill().unwrap(),
            "is killed paused" => server.pause().and_then(|()| server.kill()).unwrap(),
            _ => {}
        }
        drop(server);
        wait_for(state_then, || processes.iter().all(|pid| state(*pid).is_none()));
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(is_empty(folder.path()));
    }
}

#[test]
fn a_server_ends_with_the_process_that_started_it() {
    for pause in ["", "pause"] {
        let folder = folder();
        // This test binary, once more.
        let mut parent = Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_process_that_is_killed", "--ignored", "--nocapture"])
            .env("SERVER_FOLDER", folder.path())
            .env("SERVER_PAUSE", pause)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines().map_while(Result::ok);
        let pid = lines.find_map(|line| line.strip_prefix("pid ")?.parse().ok()).unwrap();
        let processes = processes(pid);
        parent.kill().unwrap();
        parent.wait().unwrap();
        wait_for("all its processes end", || processes.iter().all(|pid| state(*pid).is_none()));
        wait_for("its data is removed", || is_empty(folder.path()));
    }
}

#[test]
#[ignore = "started and killed by another test"]
fn a_process_that_is_killed() {
    let Some(folder) = env::var_os("SERVER_FOLDER") else { return };
    let mut server = Postgres::start(folder.as_ref()).unwrap();
    if env::var_os("SERVER_PAUSE").is_some_and(|pause| !pause.is_empty()) {
        server.pause().unwrap();
    }
    println!("\npid {}", server.pid().unwrap());
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
