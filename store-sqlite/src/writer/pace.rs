//! Leaving room for other processes: SQLite's lock has no queue, so who holds it must step back.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long to step back: longer than another process sleeps between two tries.
const PAUSE: Duration = Duration::from_millis(1);

/// How long to write without a pause while nobody else is seen.
const RUN: Duration = Duration::from_millis(50);

/// Between two tries for the lock, in microseconds; with jitter, so that no two processes keep in
/// step.
const RETRY_MICROS: std::ops::Range<u64> = 300..900;

/// When the writer last left the lock alone.
pub(super) struct Pace {
    shared: bool,
    last_pause: Instant,
    ended: Instant,
}

impl Pace {
    /// `shared`: other processes may have the file open.
    pub(super) fn new(shared: bool) -> Self {
        let now = Instant::now();
        Self { shared, last_pause: now, ended: now }
    }

    /// Notes how long the lock was free.
    pub(super) fn before_group(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.ended) >= PAUSE {
            self.last_pause = now;
        }
    }

    /// Steps back when others wrote since the last group, or may be waiting to.
    pub(super) fn after_group(&mut self, others: bool) {
        if self.shared && (others || self.last_pause.elapsed() >= RUN) {
            sleep(PAUSE);
            self.last_pause = Instant::now();
            self.ended = self.last_pause;
        } else {
            self.ended = Instant::now();
        }
    }

    /// Waits before the next try for the lock.
    pub(super) fn wait_for_lock() {
        sleep(Duration::from_micros(fastrand::u64(RETRY_MICROS)));
    }
}
