//! Processes that write as fast as they can, and remember how long their commits took.

use std::fmt;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use cqrs_core::{
    Append, Commit, Expected, Json, NewEvent, Outgoing, OutgoingKind, Payload, Store, StreamId,
};

use crate::load::{answered, ended};

/// Tasks of a process.
const WRITERS: usize = 4;

/// Bytes of a large event.
const LARGE: usize = 32 << 10;

/// A commit: when it began, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waited {
    /// The time since 1970, as [`now`] tells it to other processes.
    pub began: Duration,
    /// How long its answer was waited for.
    pub took: Duration,
}

impl Waited {
    /// Whether it was on its way in one of these times, each from when until when.
    #[must_use]
    pub fn is_in(&self, times: &[(Duration, Duration)]) -> bool {
        times.iter().any(|(from, until)| self.began < *until && self.began + self.took > *from)
    }
}

/// The time since 1970.
#[must_use]
pub fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// What a process has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raced {
    /// How many commits it made.
    pub commits: usize,
    /// How long they took.
    pub waited: Vec<Waited>,
}

/// How long some commits took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// How many there were.
    pub commits: usize,
    /// The median.
    pub median: Duration,
    /// What one in a hundred took, or longer.
    pub slow: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Took {
    /// How long the commits of two processes took that were on their way in these times. Of the `other`, those do not
    /// count that were so while it was `stopped`.
    #[must_use]
    pub fn within(
        one: &Raced,
        other: &Raced,
        times: &[(Duration, Duration)],
        stopped: &[(Duration, Duration)],
    ) -> Self {
        let went_on = other.waited.iter().filter(|waited| !waited.is_in(stopped));
        Self::of(one.waited.iter().chain(went_on).filter(|waited| waited.is_in(times)))
    }

    /// How long these took.
    pub fn of<'w>(waited: impl IntoIterator<Item = &'w Waited>) -> Self {
        let mut took: Vec<_> = waited.into_iter().map(|waited| waited.took).collect();
        took.sort_unstable_by(|one, other| other.cmp(one));
        let nth = |n: usize| took.get(n).copied().unwrap_or_default();
        let (median, slow) = (nth(took.len() / 2), nth(took.len() / 100));
        Self { commits: took.len(), median, slow, longest: nth(0) }
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commits, median, slow, longest } = self;
        write!(f, "{commits} commits took {median:?}, one in 100 {slow:?}, the longest {longest:?}")
    }
}

/// Writes from one line of the standard input to the next, four commits at a time, each to streams of the name; then
/// says on the standard output what was done.
///
/// # Panics
/// When a commit is refused.
pub async fn write(store: Arc<dyn Store>, name: &str) {
    let heard = || async {
        let hear = || std::io::stdin().read_line(&mut String::new());
        ended(tokio::task::spawn_blocking(hear)).await.unwrap_or_default()
    };
    say("\nready\n");
    heard().await;
    let stops = Arc::<AtomicBool>::default();
    let writer =
        |n: usize| tokio::spawn(commits(store.clone(), format!("{name}-{n}"), stops.clone()));
    let writers: Vec<_> = (0..WRITERS).map(writer).collect();
    heard().await;
    stops.store(true, Ordering::Relaxed);
    let (mut commits, mut said) = (0, String::from("\n"));
    for writer in writers {
        for Waited { began, took } in ended(writer).await {
            commits += 1;
            said.push_str(&format!("waited {} {}\n", began.as_micros(), took.as_micros()));
        }
    }
    said.push_str(&format!("commits {commits}\n"));
    say(&said);
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    said.unwrap_or_else(|error| panic!("nobody listens: {error}"));
}

async fn commits(store: Arc<dyn Store>, stream: String, stops: Arc<AtomicBool>) -> Vec<Waited> {
    let mut waited = Vec::new();
    while !stops.load(Ordering::Relaxed) {
        let commit = commit(&stream, waited.len() as u64);
        let (began, started) = (now(), Instant::now());
        answered(store.commit(commit).await);
        waited.push(Waited { began, took: started.elapsed() });
    }
    waited
}

fn json(text: &str) -> Payload {
    match Json::parse(text) {
        Ok(json) => Payload::Json(json),
        Err(error) => panic!("a body is JSON: {error}"),
    }
}

/// The `n`-th commit of a writer: one event or three, of one stream or two, sometimes a large one, sometimes with a
/// message.
fn commit(stream: &str, n: u64) -> Commit {
    let event = || {
        let types = ["race.red", "race.green", "race.blue"];
        let tags = ["early", "late"].map(str::to_owned);
        let tags = if n.is_multiple_of(5) { vec![tags[n as usize % 2].clone()] } else { vec![] };
        let text = if n.is_multiple_of(16) { "x".repeat(LARGE) } else { String::new() };
        let body = json(&format!(r#"{{"amount":7,"text":"{text}"}}"#));
        NewEvent { tags, ..NewEvent::new(types[n as usize % 3], body) }
    };
    let of = |category: &'static str, expected, events| Append {
        stream: StreamId::new(category, stream),
        expected,
        events,
    };
    let mut commit = Commit::default();
    commit.appends.push(of("account", Expected::Exactly(n), vec![event()]));
    if n.is_multiple_of(4) {
        commit.appends.push(of("ledger", Expected::Any, vec![event(), event()]));
    }
    if n.is_multiple_of(7) {
        let told = Outgoing::new(OutgoingKind::Message, "race.told", stream, json("{}"));
        commit.outgoing.push(told);
    }
    commit
}

/// A process that calls [`write()`], with pipes for its input and output.
#[derive(Debug)]
pub struct Racer {
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Racer {
    /// Waits until it is there. It writes when it [begins](Self::begins).
    ///
    /// # Panics
    /// When it has no pipes, or ends.
    pub fn of(process: &mut Child) -> Self {
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            panic!("the process that is to race has no pipes");
        };
        let mut racer = Self { input, lines: BufReader::new(output).lines() };
        while racer.line().trim() != "ready" {}
        racer
    }

    /// Lets it begin.
    ///
    /// # Panics
    /// When it has ended.
    pub fn begins(&mut self) {
        let told = self.input.write_all(b"\n");
        told.unwrap_or_else(|error| panic!("a racer has ended: {error}"));
    }

    /// Lets it end. What it has done.
    ///
    /// # Panics
    /// When it ended before.
    pub fn ends(mut self) -> Raced {
        // What it reads is a line, as at its beginning.
        self.begins();
        let (mut waited, micros) = (Vec::new(), |text: &str| text.trim().parse().ok());
        loop {
            let line = self.line();
            if let Some(commits) = line.strip_prefix("commits ") {
                let commits = commits.trim().parse();
                let commits = commits.unwrap_or_else(|_| panic!("{line:?} is no number"));
                // It may say more, and must not find that nobody listens.
                self.lines.by_ref().for_each(drop);
                return Raced { commits, waited };
            }
            let times = line.strip_prefix("waited ").and_then(|times| times.split_once(' '));
            if let Some((began, took)) = times
                && let (Some(began), Some(took)) = (micros(began), micros(took))
            {
                let [began, took] = [began, took].map(Duration::from_micros);
                waited.push(Waited { began, took });
            }
        }
    }

    fn line(&mut self) -> String {
        match self.lines.next() {
            Some(Ok(line)) => line,
            Some(Err(error)) => panic!("a racer cannot be heard: {error}"),
            None => panic!("a racer has ended without a word"),
        }
    }
}
