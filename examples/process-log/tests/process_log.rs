//! The program as a user runs it: import, report, history, bad rows, kill -9 in the middle.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sample.csv");

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_process-log"));
        let store = format!("sqlite:{}", self.path("log.db").display());
        command.args(arguments).args(["--store", &store]).env_remove("STORE_URL");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn import(&self, file: &Path) -> Output {
        self.run(&["import", file.to_str().unwrap()])
    }

    fn report(&self) -> Value {
        let output = self.run(&["report"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A log of so many cases with 4 to 9 rows each, the cases interleaved.
fn made_up_log(cases: usize) -> (String, usize) {
    let mut log = String::from("concept:name,case:concept:name,time:timestamp,org:resource\n");
    let mut rows = 0;
    for step in 0..9 {
        for case in (0..cases).filter(|case| step < 4 + case % 6) {
            let (hour, minute) = (step, case % 60);
            writeln!(
                log,
                "Step {step},case-{case},2024-01-0{} {hour:02}:{minute:02}:00+00:00,R{}",
                1 + case % 9,
                case % 7
            )
            .unwrap();
            rows += 1;
        }
    }
    (log, rows)
}

#[test]
fn the_sample_is_reported_as_counted_by_hand() {
    let folder = Folder::new();
    let output = folder.import(Path::new(SAMPLE));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report = folder.report();
    for (key, expected) in [
        ("cases", json!(12)),
        ("events", json!(48)),
        ("variants", json!(4)),
        ("top_variant", json!(6)),
        (
            "activities",
            json!({
                "Cancelled": 2, "Order received": 12, "Packed": 10, "Restocked": 3, "Returned": 1,
                "Shipped": 10, "Stock checked": 10
            }),
        ),
    ] {
        assert_eq!(report[key], expected, "{key} in {report:#}");
    }
}

#[test]
fn importing_again_adds_nothing() {
    let folder = Folder::new();
    folder.import(Path::new(SAMPLE));
    let before = folder.report();
    let output = folder.import(Path::new(SAMPLE));
    assert!(text(&output.stderr).contains(" 0 new events"), "{}", text(&output.stderr));
    assert_eq!(folder.report(), before);
}

#[test]
fn rows_that_say_the_same_are_all_recorded_once() {
    let folder = Folder::new();
    let row = "a,Check,Mina,2024-01-01T08:00:00Z\n";
    let header = "case:concept:name,concept:name,org:resource,time:timestamp\n";
    let file = folder.path("twice.csv");
    fs::write(&file, format!("{header}{row}{row}")).unwrap();
    for _ in 0..2 {
        assert!(folder.import(&file).status.success());
        assert_eq!(folder.report()["events"], 2);
    }
}

#[test]
fn a_bad_row_is_named_and_the_rest_goes_on() {
    let folder = Folder::new();
    let file = folder.path("bad.csv");
    let mut log = b"case:concept:name,concept:name,org:resource,time:timestamp\n".to_vec();
    log.extend(b"a,Check,Mina,2024-01-01T08:00:00Z\n");
    log.extend(b"a,Check,Mina,yesterday\n");
    log.extend(b",Check,Mina,2024-01-01T08:00:00Z\n");
    log.extend(b"a,Check\n");
    log.extend(b"a,\xff,Mina,2024-01-01T08:00:00Z\n");
    log.extend(b"a,\"Che\0ck\",Mina,2024-01-01T08:00:00Z\n");
    log.extend(format!("{},Check,Mina,2024-01-01T08:00:00Z\n", "x".repeat(1025)).bytes());
    log.extend(b"a,Pack,Otto,2024-01-01 09:00:00+01:00\n");
    fs::write(&file, log).unwrap();
    let output = folder.import(&file);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    for named in [
        "line 3, column time:timestamp: \"yesterday\"",
        "line 4, column case:concept:name: it is empty",
        "line 5, column time:timestamp: the row is too short",
        "line 6, column concept:name: it is not UTF-8",
        "line 7, column concept:name: it holds a control character",
        "line 8, column case:concept:name: 1025 bytes",
        "6 bad rows",
    ] {
        assert!(text(&output.stderr).contains(named), "{named}: {}", text(&output.stderr));
    }
    assert_eq!(folder.report()["events"], 2);
}

#[test]
fn a_quote_that_is_never_closed_costs_one_row() {
    let folder = Folder::new();
    let file = folder.path("quote.csv");
    let mut log = String::from("case:concept:name,concept:name,org:resource,time:timestamp\n");
    log.push_str("a,\"Check,Mina,2024-01-01T08:00:00Z\n");
    for n in 0..40_000 {
        writeln!(log, "case-{},Pack,Otto,2024-01-01T09:00:00Z", n % 200).unwrap();
    }
    assert!(log.len() > 1 << 20, "the quote would be closed by the end of the file");
    fs::write(&file, log).unwrap();
    let output = folder.import(&file);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("line 2, column all"), "{}", text(&output.stderr));
    assert_eq!(folder.report()["events"], 40_000);
}

#[test]
fn a_file_that_is_no_process_log_is_refused() {
    let folder = Folder::new();
    let file = folder.path("other.csv");
    fs::write(&file, "name,age\nAda,36\n").unwrap();
    let output = folder.import(&file);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no column case:concept:name"));
    let output = folder.import(&folder.path("missing.csv"));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("missing.csv"), "{}", text(&output.stderr));
}

#[test]
fn a_case_is_shown_with_its_events_and_as_it_was() {
    let folder = Folder::new();
    folder.import(Path::new(SAMPLE));
    let events = text(&folder.run(&["history", "order-001"]).stdout);
    assert!(events.lines().next().unwrap().contains("Order received"), "{events}");
    assert_eq!(events.lines().count(), 4, "{events}");
    let then = folder.run(&["history", "order-001", "--at", "2024-03-04T08:00:00+01:00"]);
    assert!(text(&then.stdout).contains("1 activities done"), "{}", text(&then.stdout));
    let before = folder.run(&["history", "order-001", "--at", "2024-03-04T07:59:59+01:00"]);
    assert!(text(&before.stdout).contains("nothing done yet"), "{}", text(&before.stdout));
    assert_eq!(folder.run(&["history", "order-999"]).status.code(), Some(1));
}

#[test]
fn an_import_into_memory_reports_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_process-log"))
        .args(["import", SAMPLE, "--store", "memory:"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["events"], 48);
}

#[test]
fn a_store_that_is_none_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_process-log"))
        .args(["report", "--store", "carrier-pigeon:"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("sqlite:PATH"), "{}", text(&output.stderr));
}

#[test]
fn an_import_that_is_killed_is_completed_by_the_next() {
    let (log, rows) = made_up_log(1_000);
    let whole = Folder::new();
    let file = whole.path("log.csv");
    fs::write(&file, &log).unwrap();
    assert!(whole.import(&file).status.success());
    let expected = whole.report();
    assert_eq!(expected["events"], rows);

    let killed = Folder::new();
    for round in 1..=3 {
        let mut child = killed
            .command(&["import", file.to_str().unwrap()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| size(&killed) > round * 200_000 || child.try_wait().unwrap().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = killed.import(&file);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(killed.report(), expected);
}

/// Bytes of the database and its log so far.
fn size(folder: &Folder) -> u64 {
    let of = |name| fs::metadata(folder.path(name)).map_or(0, |file| file.len());
    of("log.db") + of("log.db-wal")
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "it takes too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}
