//! Catching up: 1,000,000 events through a durable projection onto 1,000 documents, against a loop
//! written by hand over the same file, in pages and batches of the same size.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::{App, Entity, Fact, Projection, RuntimeSettings, Store};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use store_sqlite::SqliteStore;

use crate::domain::AccountEvent;
use crate::reading::{fill, resident};
use crate::{Outcome, Rates, floor};

/// Events that are handled in one commit.
const BATCH: usize = 1_024;

/// Each log is caught up with so often.
const ROUNDS: usize = 5;

const DOCUMENTS: usize = 1_000;

/// One for each round: each has a checkpoint and views of its own.
const NAMES: [&str; ROUNDS] = ["balance0", "balance1", "balance2", "balance3", "balance4"];

#[derive(Debug, Default, Serialize, Deserialize)]
struct Balance<const N: usize> {
    account: String,
    amount: i64,
    movements: u64,
    last: String,
}

impl<const N: usize> Entity for Balance<N> {
    const COLLECTION: &'static str = NAMES[N];

    fn id(&self) -> String {
        self.account.clone()
    }
}

struct Balances<const N: usize>;

impl<const N: usize> Projection for Balances<N> {
    const NAME: &'static str = NAMES[N];
    type Input = AccountEvent;
    type View = Balance<N>;

    fn keys(event: &Fact<'_, AccountEvent>) -> Vec<String> {
        vec![key_of(event.data)]
    }

    fn project(
        key: &str,
        view: Option<Balance<N>>,
        event: &Fact<'_, AccountEvent>,
    ) -> Option<Balance<N>> {
        let mut view = view.unwrap_or_else(|| fresh(key));
        fold(&mut view, event.data);
        Some(view)
    }
}

/// Spreads the events of one stream over all documents.
fn key_of(event: &AccountEvent) -> String {
    let (AccountEvent::Opened(m) | AccountEvent::Deposited(m) | AccountEvent::Withdrawn(m)) = event;
    let n = m.account.bytes().fold(0usize, |n, byte| n.wrapping_mul(31).wrapping_add(byte.into()));
    format!("document-{}", n % DOCUMENTS)
}

fn fresh<const N: usize>(key: &str) -> Balance<N> {
    Balance { account: key.to_owned(), ..Balance::default() }
}

fn fold<const N: usize>(view: &mut Balance<N>, event: &AccountEvent) {
    let movement = match event {
        AccountEvent::Opened(movement) => movement,
        AccountEvent::Deposited(movement) => {
            view.amount += movement.amount as i64;
            movement
        }
        AccountEvent::Withdrawn(movement) => {
            view.amount -= movement.amount as i64;
            movement
        }
    };
    view.movements += 1;
    view.last.clone_from(&movement.account);
}

pub(crate) async fn measure(events: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let path: Arc<Path> = folder.path().join("projection.db").into();
    let store = SqliteStore::open(&path).await?;
    fill(&store, events).await?;
    let (mut rates, mut grown) = (Rates::default(), 0);
    let (mut early, mut late) = (Vec::new(), Vec::new());
    // In all rounds together: on a machine that others use, it says more than the time.
    let (mut by_hands, mut by_us) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let by_hand = Arc::clone(&path);
        let used = processor_time();
        let floor = tokio::task::spawn_blocking(move || by_loop(&by_hand, round));
        rates.floor.push(floor.await??);
        let between = processor_time();
        let run = match round {
            0 => by_runtime::<0>(&store, events).await?,
            1 => by_runtime::<1>(&store, events).await?,
            2 => by_runtime::<2>(&store, events).await?,
            3 => by_runtime::<3>(&store, events).await?,
            _ => by_runtime::<4>(&store, events).await?,
        };
        rates.ours.push(run.rate);
        by_hands += between.saturating_sub(used);
        by_us += processor_time().saturating_sub(between);
        grown = grown.max(run.grown);
        early.push(run.early);
        late.push(run.late);
        compare(&path, round)?;
    }
    store.close().await?;
    rates.report("events through a durable projection", Some(0.6));
    let each = |time: Duration| time.as_nanos() as f64 / (ROUNDS * events) as f64;
    println!(
        "{:<46} by hand {:.0} ns  ours {:.0} ns",
        "processor time of an event, all threads",
        each(by_hands),
        each(by_us)
    );
    let (early, late) = (median(early), median(late));
    println!(
        "{:<46} {early:.0} ns, then {late:.0} ns  ratio {:.2}",
        "an event at the beginning, at the end of it",
        late / early
    );
    println!("{:<46} {grown} KiB at most in a round  bar 65536", "resident memory grew");
    Ok(())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// One catching up.
struct Run {
    rate: f64,
    /// Nanoseconds of an event, near the beginning of the log and near its end.
    early: f64,
    late: f64,
    grown: u64,
}

async fn by_runtime<const N: usize>(store: &SqliteStore, events: usize) -> Outcome<Run> {
    let app = App::builder()
        .store(store.clone())
        .projection::<Balances<N>>()
        .subscription(NAMES[N], |settings| settings.batch(BATCH as u32))
        .runtime(RuntimeSettings::production())
        .build()?;
    let head = store.head().await?.position;
    let reach = async |position| -> Outcome<Instant> {
        let reached = app.wait_for(NAMES[N], position, Duration::from_secs(600)).await?;
        assert!(reached.is_yes(), "{reached:?}");
        Ok(Instant::now())
    };
    let window = (events / 20) as u64;
    let each = |from: Instant, to: Instant| (to - from).as_nanos() as f64 / window as f64;
    let peak = Peak::watch();
    let started = Instant::now();
    let running = app.start().await?;
    let early = each(reach(window / 5).await?, reach(window / 5 + window).await?);
    let late = each(reach(head - window).await?, reach(head).await?);
    let rate = events as f64 / started.elapsed().as_secs_f64();
    let grown = peak.end();
    running.stop(Duration::from_secs(10)).await?;
    Ok(Run { rate, early, late, grown })
}

/// Of this process so far, where the system tells, to a hundredth of a second.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// How far the memory of this process grows.
struct Peak {
    before: u64,
    highest: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Peak {
    fn watch() -> Self {
        let before = resident().unwrap_or(0);
        let (highest, ended) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
        let (high, end) = (highest.clone(), ended.clone());
        std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                high.fetch_max(resident().unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { before, highest, ended }
    }

    fn end(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.highest.load(Ordering::Relaxed).saturating_sub(self.before)
    }
}

/// What somebody would write by hand; events per second.
fn by_loop(path: &Path, round: usize) -> Outcome<f64> {
    let mut conn = Connection::open(path)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch(&format!(
        "CREATE TABLE hand{round} (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL);
         CREATE TABLE hand{round}_at (position INTEGER NOT NULL);
         INSERT INTO hand{round}_at VALUES (0);"
    ))?;
    let read = format!(
        "SELECT {} FROM event_rows WHERE position > ?1 ORDER BY position LIMIT {BATCH}",
        floor::COLUMNS
    );
    let get = format!("SELECT version, body FROM hand{round} WHERE id = ?1");
    let put = format!(
        "INSERT INTO hand{round} VALUES (?1, 1, ?2)
         ON CONFLICT (id) DO UPDATE SET version = version + 1, body = excluded.body"
    );
    let note = format!("UPDATE hand{round}_at SET position = ?1");
    let started = Instant::now();
    let (mut views, mut events, mut after) = (HashMap::<String, Balance<0>>::new(), 0u64, 0i64);
    loop {
        let mut dirty = Vec::new();
        let mut changed = HashMap::<String, Balance<0>>::new();
        let before = after;
        {
            let mut read = conn.prepare_cached(&read)?;
            let mut rows = read.query((after,))?;
            while let Some(row) = rows.next()? {
                after = row.get(0)?;
                let event = floor::decode(row)?;
                let key = key_of(&event);
                let view = match changed.get_mut(&key) {
                    Some(view) => view,
                    None => {
                        let known = match views.remove(&key) {
                            Some(view) => Some(view),
                            None => conn
                                .prepare_cached(&get)?
                                .query_row((&key,), |row| row.get::<_, String>(1))
                                .optional()?
                                .map(|body| serde_json::from_str(&body))
                                .transpose()?,
                        };
                        dirty.push(key.clone());
                        let view = known.unwrap_or_else(|| fresh(&key));
                        changed.entry(key).or_insert(view)
                    }
                };
                fold(view, &event);
                events += 1;
            }
        }
        if after == before {
            break;
        }
        let transaction = conn.transaction()?;
        for key in &dirty {
            let body = serde_json::to_string(&changed[key])?;
            transaction.prepare_cached(&put)?.execute(params![key, body])?;
        }
        transaction.prepare_cached(&note)?.execute((after,))?;
        transaction.commit()?;
        views.extend(changed);
    }
    Ok(events as f64 / started.elapsed().as_secs_f64())
}

/// Both made the same.
fn compare(path: &Path, round: usize) -> Outcome<()> {
    let conn = Connection::open(path)?;
    let sql = format!(
        "SELECT count(*) FROM hand{round} h JOIN documents d
         ON d.collection = '{}' AND d.id = h.id AND d.body = h.body",
        NAMES[round]
    );
    let same = conn.query_row(&sql, (), |row| row.get::<_, i64>(0))?;
    let all: i64 =
        conn.query_row(&format!("SELECT count(*) FROM hand{round}"), (), |row| row.get(0))?;
    assert_eq!(same, all);
    Ok(())
}
