//! The process-log example from end to end: import a table into a fresh database, report, compare.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{self, Command};

use crate::command::{self, Cause, cargo, root, target};
use crate::json;
use crate::table::records;

/// The table that is imported, from the root of the workspace.
const SAMPLE: &str = "examples/process-log/sample.csv";

/// The column that names the case of a row.
const CASE: &str = "case:concept:name";

/// A figure of the report, with what it must be.
type Figure = (&'static str, u64);

/// Imports the sample into a database that only this run uses and compares the report with the
/// table. The database is removed, unless something is wrong with it.
pub(crate) fn run() -> Result<(), Cause> {
    let folder = target().join("xtask").join(format!("process-log-{}", process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let sample = fs::read_to_string(root().join(SAMPLE)).map_err(|e| format!("{SAMPLE}: {e}"))?;
    import_and_report(&folder.join("log.db"), &expected(&sample)?)
        .map_err(|cause| format!("{cause}\nthe database is kept in {}", folder.display()))?;
    fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))
}

fn import_and_report(database: &Path, expected: &[Figure]) -> Result<(), Cause> {
    let store = format!("sqlite:{}", database.display());
    command::run(process_log(["import", SAMPLE, "--store", &store]))?;
    let report = command::output(process_log(["report", "--store", &store]))?;
    compare(&report, expected)
}

fn process_log<const N: usize>(args: [&str; N]) -> Command {
    let mut command = cargo(["run", "--quiet", "-p", "process-log", "--"]);
    command.args(args);
    command
}

/// The figures that the report must show for a table. To compare another one, add it here.
fn expected(table: &str) -> Result<Vec<Figure>, Cause> {
    let records = records(table);
    let (heading, rows) = records.split_first().ok_or("the table is empty")?;
    let case = heading.iter().position(|name| name == CASE);
    let case = case.ok_or_else(|| format!("the table has no column `{CASE}`"))?;
    let cases: BTreeSet<_> = rows.iter().filter_map(|row| row.get(case)).collect();
    Ok(vec![("cases", cases.len() as u64), ("events", rows.len() as u64)])
}

/// Err: every figure that differs.
fn compare(report: &str, expected: &[Figure]) -> Result<(), Cause> {
    let mut wrong = Vec::new();
    for &(key, expected) in expected {
        match json::number(report, key) {
            Some(found) if found == expected => println!("   {key}: {found}"),
            Some(found) => wrong.push(format!("`{key}` is {found}, not {expected}")),
            None => wrong.push(format!("`{key}` is missing, not {expected}")),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("the report: {}", wrong.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_events_and_cases_are_counted_once() {
        let table = "x,case:concept:name\n1,a\n2,b\n3,a\n";
        assert_eq!(expected(table), Ok(vec![("cases", 2), ("events", 3)]));
    }

    #[test]
    fn a_table_without_cases_is_refused() {
        assert_eq!(expected(""), Err("the table is empty".to_owned()));
        assert!(expected("a,b\n").unwrap_err().contains(CASE));
    }

    #[test]
    fn every_figure_that_differs_is_named() {
        let expected = [("cases", 2), ("events", 3)];
        assert_eq!(compare(r#"{"cases":2,"events":3}"#, &expected), Ok(()));
        let cause = compare(r#"{"cases":1}"#, &expected).unwrap_err();
        assert_eq!(cause, "the report: `cases` is 1, not 2; `events` is missing, not 3");
    }
}
