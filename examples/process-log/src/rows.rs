//! Rows of a process log: CSV in, commands out, bad rows named by line and column.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use cqrs_core::{BoxError, Timestamp};
use csv::{ByteRecord, Position, Reader, ReaderBuilder};

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
    reader: Reader<File>,
    record: ByteRecord,
    indices: [usize; 4],
    /// How often each row was seen, by its hash: 16 bytes tell a billion rows apart.
    seen: HashMap<(u64, u64), u32>,
    hashers: [RandomState; 2],
}

impl Rows {
    pub(crate) fn of(path: &Path) -> Result<Self, BoxError> {
        let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
        let headers = reader.byte_headers()?.clone();
        let mut indices = [0; 4];
        for (index, (column, _)) in indices.iter_mut().zip(COLUMNS) {
            let found = headers.iter().position(|header| header == column.as_bytes());
            *index = found.ok_or_else(|| format!("{}: no column {column}", path.display()))?;
        }
        let hashers = [RandomState::new(), RandomState::new()];
        Ok(Self { reader, record: ByteRecord::new(), indices, seen: HashMap::new(), hashers })
    }

    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Result<Row, BadRow>> {
        let more = self.reader.read_byte_record(&mut self.record);
        let position = self.record.position().cloned().unwrap_or_else(Position::new);
        match more {
            Ok(false) => None,
            Ok(true) => Some(self.row(&position)),
            Err(error) => {
                let reason = error.to_string();
                Some(Err(BadRow { line: position.line(), column: "?", reason }))
            }
        }
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
