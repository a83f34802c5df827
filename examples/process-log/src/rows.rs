//! Rows of a process log: CSV in, commands out, bad rows named by line and column.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use cqrs_core::{BoxError, Timestamp};
use csv::{ByteRecord, Position, Reader, ReaderBuilder};

use crate::bounded::{BoundedFile, Budget, LONGEST_RECORD};
use crate::case::{ActivityDone, RecordActivity};

/// The columns we read, and the fields of the command that they become.
const COLUMNS: [(&str, &str); 4] = [
    ("case:concept:name", "case"),
    ("concept:name", "activity"),
    ("org:resource", "resource"),
    ("time:timestamp", "at"),
];

/// The column behind a field of [`RecordActivity`].
pub(crate) fn column_of(field: &str) -> &'static str {
    COLUMNS.iter().find(|(_, f)| *f == field).map_or("?", |(column, _)| column)
}

/// One row, as a command.
pub(crate) struct Row {
    pub(crate) line: u64,
    /// Byte at which it starts.
    pub(crate) byte: u64,
    pub(crate) command: RecordActivity,
}

/// A row that says nothing we can record.
#[derive(Debug)]
pub(crate) struct BadRow {
    pub(crate) line: u64,
    pub(crate) column: &'static str,
    pub(crate) reason: String,
}

impl std::fmt::Display for BadRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.reason)
    }
}

pub(crate) struct Rows {
    path: PathBuf,
    reader: Reader<BoundedFile>,
    budget: Budget,
    record: ByteRecord,
    indices: [usize; 4],
    /// How often each row was seen, by its hash: 16 bytes tell a billion rows apart.
    seen: HashMap<(u64, u64), u32>,
    hashers: [RandomState; 2],
    ended: bool,
}

impl Rows {
    pub(crate) fn of(path: &Path) -> Result<Self, BoxError> {
        let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let (file, budget) = BoundedFile::new(file);
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
        let headers = reader.byte_headers()?.clone();
        let mut indices = [0; 4];
        for (index, (column, _)) in indices.iter_mut().zip(COLUMNS) {
            let found = headers.iter().position(|header| header == column.as_bytes());
            *index = found.ok_or_else(|| format!("{}: no column {column}", path.display()))?;
        }
        let hashers = [RandomState::new(), RandomState::new()];
        let (path, record, seen) = (path.to_owned(), ByteRecord::new(), HashMap::new());
        Ok(Self { path, reader, budget, record, indices, seen, hashers, ended: false })
    }

    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Result<Row, BadRow>> {
        let start = self.reader.position().clone();
        self.budget.renew();
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => {
                let position = self.record.position().cloned().unwrap_or(start);
                Some(self.row(&position))
            }
            Err(error) => {
                let reason = match self.budget.is_spent() {
                    true => format!("more than {LONGEST_RECORD} bytes: is a quote not closed?"),
                    false => error.to_string(),
                };
                let bad = BadRow { line: start.line(), column: "all", reason };
                match self.skip_line(&start) {
                    Ok(()) => Some(Err(bad)),
                    Err(_) if self.ended => None,
                    // The file cannot be read on: say so once, then end.
                    Err(error) => {
                        self.ended = true;
                        let reason = format!("{}; {error}", bad.reason);
                        Some(Err(BadRow { reason, ..bad }))
                    }
                }
            }
        }
    }

    /// Goes on with the line after the one in which a record began that cannot be read.
    fn skip_line(&mut self, start: &Position) -> Result<(), BoxError> {
        let mut file = BufReader::new(File::open(&self.path)?);
        file.seek(SeekFrom::Start(start.byte()))?;
        let skipped = file.skip_until(b'\n')? as u64;
        let mut next = Position::new();
        next.set_byte(start.byte() + skipped).set_line(start.line() + 1);
        next.set_record(start.record() + 1);
        self.budget.renew();
        Ok(self.reader.seek(next)?)
    }

    fn row(&mut self, position: &Position) -> Result<Row, BadRow> {
        let line = position.line();
        let bad = |n: usize, reason: String| BadRow { line, column: COLUMNS[n].0, reason };
        let text = |n: usize| {
            let field = self.record.get(self.indices[n]);
            let field = field.ok_or_else(|| bad(n, "the row is too short".into()))?;
            std::str::from_utf8(field).map_err(|_| bad(n, "it is not UTF-8".into()))
        };
        let at = text(3)?
            .parse::<Timestamp>()
            .map_err(|e| bad(3, format!("{:?}: {e}", text(3).unwrap_or_default())))?;
        let done = ActivityDone { activity: text(1)?.into(), resource: text(2)?.into(), at };
        let case: String = text(0)?.into();
        let hash = |hasher: &RandomState| hasher.hash_one((&case, &done));
        let seen = self.seen.entry((hash(&self.hashers[0]), hash(&self.hashers[1]))).or_default();
        let repeats = *seen;
        *seen += 1;
        Ok(Row { line, byte: position.byte(), command: RecordActivity { case, done, repeats } })
    }
}
