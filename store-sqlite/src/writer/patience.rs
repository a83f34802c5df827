//! How long a group lets others come before it is written: as long as that pays.

use std::time::{Duration, Instant};

/// A group waits at most for these parts of the time that the last one took to write.
const LONGEST: u32 = 4;
const SHORTEST: u32 = 64;

/// A group costs one write to the disk, be it small or large, and callers who were just answered
/// are often about to commit again: started at once, the groups of many callers would be half of
/// them each. Waiting pays when more come, as a part of the group, than the wait is of the write.
///
/// One caller alone never waits.
#[derive(Debug)]
pub(super) struct Patience {
    /// How many waited for the last group, in it or behind it.
    callers: usize,
    /// How long it took to write.
    took: Duration,
    /// The part of that to wait for.
    part: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { callers: 0, took: Duration::ZERO, part: SHORTEST }
    }
}

impl Patience {
    /// Notes a group that was written, just before its members are answered.
    pub(super) fn written(&mut self, callers: usize, took: Duration) {
        (self.callers, self.took) = (callers, took);
    }

    /// Begins to wait for others to join a group of this size.
    pub(super) fn wait(&self, size: usize) -> Wait {
        let limit = if size < self.callers { self.took / self.part } else { Duration::ZERO };
        Wait { since: Instant::now(), limit, size }
    }

    /// Whether a group that has grown to this size may wait on.
    pub(super) fn lasts(&self, wait: &Wait, size: usize) -> bool {
        size < self.callers && wait.since.elapsed() < wait.limit
    }

    /// Learns from a wait that ended with a group of this size.
    pub(super) fn learn(&mut self, wait: &Wait, size: usize) {
        if wait.limit.is_zero() {
            return;
        }
        let came = (size - wait.size) as f64 / size as f64;
        let cost = wait.since.elapsed().as_secs_f64() / self.took.as_secs_f64();
        self.part = match came > cost {
            true => (self.part / 2).max(LONGEST),
            false => (self.part * 2).min(SHORTEST),
        };
    }
}

/// A wait for others to join a group.
#[derive(Debug)]
pub(super) struct Wait {
    since: Instant,
    limit: Duration,
    size: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_alone_never_waits() {
        let mut patience = Patience::default();
        patience.written(1, Duration::from_secs(1));
        let wait = patience.wait(1);
        assert!(!patience.lasts(&wait, 1));
    }

    #[test]
    fn nobody_is_waited_for_who_is_there() {
        let mut patience = Patience::default();
        patience.written(8, Duration::from_secs(1_000));
        let wait = patience.wait(5);
        assert!(patience.lasts(&wait, 5));
        assert!(!patience.lasts(&wait, 8));
    }

    #[test]
    fn it_grows_while_it_pays_and_shrinks_when_nobody_comes() {
        let mut patience = Patience::default();
        patience.written(8, Duration::from_secs(1_000));
        for _ in 0..9 {
            let wait = patience.wait(4);
            patience.learn(&wait, 8);
        }
        assert_eq!(patience.part, LONGEST);
        for _ in 0..9 {
            let wait = patience.wait(4);
            patience.learn(&wait, 4);
        }
        assert_eq!(patience.part, SHORTEST);
    }
}
