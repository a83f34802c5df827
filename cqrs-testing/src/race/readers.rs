//! Readers of a log that others write, and what they must have been given.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cqrs_core::{Filter, Page, Position, ReadLog, Store, StreamId};
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::load::{answered, ended, log_of};

/// Readings from the beginning that are kept.
const READINGS: usize = 200;

/// Everything, and by each kind of index, of what two processes of these names [write](super::write).
#[must_use]
pub fn filters(one: &str, other: &str) -> Vec<Filter> {
    let of =
        |category: &'static str, name: &str, n: u8| StreamId::new(category, format!("{name}-{n}"));
    vec![
        Filter::default(),
        Filter::default().event_type("race.red"),
        Filter::default().event_type("race.blue").event_type("race.green"),
        Filter::default().category("ledger"),
        Filter::default().tag("early"),
        Filter::default().stream(of("account", one, 0)).stream(of("ledger", other, 3)),
    ]
}

/// One reader for each filter that follows the log, page by page, and one that reads it from the beginning again and
/// again.
pub struct Readers {
    is_over: Arc<AtomicBool>,
    followers: Vec<(Filter, JoinHandle<Vec<Position>>)>,
    again: JoinHandle<Vec<Reading>>,
}

/// What somebody was given who read from the beginning.
struct Reading {
    filter: Filter,
    given: Vec<Position>,
    through: Position,
}

impl Readers {
    /// Begins to read.
    pub fn begin(store: &Arc<dyn Store>, filters: Vec<Filter>) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let again = tokio::spawn(again(store.clone(), filters.clone(), is_over.clone()));
        let follower = |filter: Filter| {
            (filter.clone(), tokio::spawn(follow(store.clone(), filter, is_over.clone())))
        };
        let followers = filters.into_iter().map(follower).collect();
        Self { is_over, followers, again }
    }

    /// Lets them end, when nobody writes any more. Answers with the whole log.
    ///
    /// # Panics
    /// When somebody was given something else than what is there, or nothing; when positions do not grow, or a
    /// version is missing.
    pub async fn end(self, store: &dyn Store) -> Vec<Page> {
        self.is_over.store(true, Ordering::Relaxed);
        let log = log_of(store).await;
        let all = wanted_of(&log, &Filter::default(), Position::MAX);
        assert!(all.is_sorted_by(|one, next| one < next), "positions grow: {all:?}");
        for (filter, follower) in self.followers {
            let given = ended(follower).await;
            assert_eq!(given, wanted_of(&log, &filter, Position::MAX), "{filter:?}");
            assert!(!given.is_empty(), "nothing is there for {filter:?}");
        }
        for Reading { filter, given, through } in ended(self.again).await {
            assert_eq!(given, wanted_of(&log, &filter, through), "{filter:?} up to {through}");
        }
        let mut last = HashMap::new();
        for event in log.iter().flat_map(Page::iter) {
            let version = last.entry(event.stream_id()).or_insert(0);
            *version += 1;
            assert_eq!(event.version, *version, "{event:?}");
        }
        log
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let followers = self.followers.len();
        f.debug_struct("Readers").field("followers", &followers).finish_non_exhaustive()
    }
}

fn any_size() -> u32 {
    [1, 10, 100, 1_000][fastrand::usize(..4)]
}

/// Follows the log. What it was given, once all is written and it has come to the end.
async fn follow(store: Arc<dyn Store>, filter: Filter, is_over: Arc<AtomicBool>) -> Vec<Position> {
    let (mut given, mut after) = (Vec::new(), 0);
    loop {
        let was_over = is_over.load(Ordering::Relaxed);
        let mut pages =
            store.read_log(ReadLog::after(after).filter(filter.clone()).page(any_size()));
        while let Some(page) = pages.next().await {
            let page = answered(page);
            for event in page.iter() {
                assert!(event.position > after, "{} after {after}", event.position);
                given.push(event.position);
            }
            assert!(page.through() >= after, "{} after {after}", page.through());
            after = page.through();
            // Slower than those who write, so that others write between its pages.
            if fastrand::u8(..8) == 0 {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..5))).await;
            }
        }
        if was_over {
            return given;
        }
    }
}

/// Reads from the beginning, in the middle of all that is written.
async fn again(
    store: Arc<dyn Store>,
    filters: Vec<Filter>,
    is_over: Arc<AtomicBool>,
) -> Vec<Reading> {
    let mut readings = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let filter = filters[fastrand::usize(..filters.len())].clone();
        let (mut given, mut through) = (Vec::new(), 0);
        let mut pages = store.read_log(ReadLog::after(0).filter(filter.clone()).page(any_size()));
        while let Some(page) = pages.next().await {
            let page = answered(page);
            given.extend(page.iter().map(|event| event.position));
            through = page.through();
        }
        let reading = Reading { filter, given, through };
        // Of many, some.
        match readings.len() {
            READINGS => readings[fastrand::usize(..READINGS)] = reading,
            _ => readings.push(reading),
        }
    }
    readings
}

/// What a filter lets through of the whole log, up to there.
fn wanted_of(log: &[Page], filter: &Filter, through: Position) -> Vec<Position> {
    let events = log.iter().flat_map(Page::iter).take_while(|event| event.position <= through);
    events.filter(|event| filter.matches(event)).map(|event| event.position).collect()
}
