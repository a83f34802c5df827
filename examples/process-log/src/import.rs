//! Sends a command for each row: many cases at once, the rows of one case in the order of the file.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::{
    App, BoxError, Error, ErrorKind, Failure, Fingerprint, MessageId, Metadata, Store,
};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::case::{Case, RecordActivity};
use crate::rows::{BadRow, Row, Rows, column_of};

/// Cases in flight. Their commits are written in groups, so more of them cost little.
const LANES: usize = 128;
/// Rows that wait in a lane.
const WAITING: usize = 8;

/// What came of an import.
pub(crate) struct Imported {
    pub(crate) bad_rows: u64,
    rows: u64,
    new_events: u64,
    took: Duration,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bad_rows, rows, new_events, took } = self;
        let rate = *new_events as f64 / took.as_secs_f64().max(0.001);
        let seconds = took.as_secs_f64();
        write!(f, "{rows} rows, {new_events} new events in {seconds:.2} s ({rate:.0} events/s)")?;
        match bad_rows {
            0 => Ok(()),
            n => write!(f, ", {n} bad rows left out"),
        }
    }
}

#[derive(Default)]
struct Counts {
    rows: AtomicU64,
    new_events: AtomicU64,
    bad_rows: AtomicU64,
}

pub(crate) async fn import(path: &Path, store: Arc<dyn Store>) -> Result<Imported, BoxError> {
    let app = App::builder().shared_store(store).decides::<Case, RecordActivity>().build()?;
    let counts = Arc::new(Counts::default());
    let progress = progress_bar(path)?;
    let started = Instant::now();

    let mut lanes = JoinSet::new();
    let senders: Vec<_> = (0..LANES)
        .map(|_| {
            let (sender, rows) = mpsc::channel(WAITING);
            lanes.spawn(lane(app.clone(), rows, counts.clone(), progress.clone()));
            sender
        })
        .collect();
    let rows = Rows::of(path)?;
    let reading = {
        let (counts, progress) = (counts.clone(), progress.clone());
        tokio::task::spawn_blocking(move || read(rows, &senders, &counts, &progress))
    };
    // The first lane that fails ends the import: its rows are not recorded, and the next run will.
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    reading.await?;
    progress.finish_and_clear();
    Ok(Imported {
        bad_rows: counts.bad_rows.load(Ordering::Relaxed),
        rows: counts.rows.load(Ordering::Relaxed),
        new_events: counts.new_events.load(Ordering::Relaxed),
        took: started.elapsed(),
    })
}

/// Hands each row to the lane of its case.
fn read(mut rows: Rows, lanes: &[mpsc::Sender<Row>], counts: &Counts, progress: &ProgressBar) {
    while let Some(row) = rows.next() {
        counts.rows.fetch_add(1, Ordering::Relaxed);
        match row {
            Ok(row) => {
                progress.set_position(row.byte);
                let mut hasher = DefaultHasher::new();
                row.command.case.hash(&mut hasher);
                let lane = &lanes[(hasher.finish() % lanes.len() as u64) as usize];
                if lane.blocking_send(row).is_err() {
                    // The lane has failed and says why.
                    return;
                }
            }
            Err(bad) => report_bad(&bad, counts, progress),
        }
    }
}

async fn lane(
    app: App,
    mut rows: mpsc::Receiver<Row>,
    counts: Arc<Counts>,
    progress: ProgressBar,
) -> Result<(), Error> {
    while let Some(Row { line, command, .. }) = rows.recv().await {
        let metadata = Metadata::of(id_of(&command)).with_occurred_at(command.done.at);
        match app.send(command).with(metadata).await {
            Ok(true) => {
                let new_events = counts.new_events.fetch_add(1, Ordering::Relaxed) + 1;
                if new_events.is_multiple_of(64) {
                    let rate = new_events as f64 / progress.elapsed().as_secs_f64().max(0.001);
                    progress.set_message(format!("{new_events} events, {rate:.0}/s"));
                }
            }
            Ok(false) => {}
            Err(Failure::Rejected(never)) => match never {},
            Err(Failure::Failed(error)) => match error.kind() {
                ErrorKind::Invalid { field: Some(field) } => {
                    let bad = BadRow { line, column: column_of(field), reason: error.to_string() };
                    report_bad(&bad, &counts, &progress);
                }
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

/// The same row has the same id in every run.
fn id_of(command: &RecordActivity) -> MessageId {
    let RecordActivity { case, done, repeats } = command;
    let text = format!("{case:?} {:?} {:?} {}", done.activity, done.resource, done.at);
    let base = u128::from_be_bytes(*Fingerprint::of(text.as_bytes()).as_bytes());
    MessageId::from_u128(base).derived("row", *repeats)
}

fn report_bad(bad: &BadRow, counts: &Counts, progress: &ProgressBar) {
    counts.bad_rows.fetch_add(1, Ordering::Relaxed);
    progress.suspend(|| eprintln!("{bad}"));
}

fn progress_bar(path: &Path) -> Result<ProgressBar, BoxError> {
    let size = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?.len();
    let style = "{bar:40} {percent:>3} %  {msg}  {eta} left";
    Ok(ProgressBar::new(size).with_style(ProgressStyle::with_template(style)?))
}
