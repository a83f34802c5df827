//! When a group goes beside the one that is on its way.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// Groups on their way at most.
const FLIGHTS: usize = 2;

/// Commits of a second group at least: the half of those who commit at once, within these bounds. With
/// fewer, one larger group costs less than two.
const SECOND: RangeInclusive<usize> = 4..=16;

/// The crowd of a while ago counts less with each group, by one part in so many.
const FADING: usize = 16;

/// Those who commit at once go in two halves: the server has work with one of them while the other is told
/// its answers and decides anew.
#[derive(Default)]
pub(super) struct Pace {
    /// How many commits are on their way, by groups.
    away: VecDeque<usize>,
    /// How many the last group had.
    last: usize,
    /// How many commit at once: the most of late.
    crowd: usize,
}

impl Pace {
    /// A group is sent.
    pub(super) fn depart(&mut self, commits: usize) {
        self.away.push_back(commits);
        self.last = commits;
    }

    /// So many groups are still on their way.
    pub(super) fn arrive(&mut self, left: usize) {
        while self.away.len() > left {
            self.away.pop_front();
            self.crowd -= self.crowd.div_ceil(FADING);
        }
    }

    /// Whether what waits goes beside what is on its way.
    pub(super) fn goes_beside(&mut self, waiting: usize) -> bool {
        self.crowd = self.crowd.max(waiting + self.away.iter().sum::<usize>());
        let half = self.crowd.div_ceil(2).clamp(*SECOND.start(), *SECOND.end());
        self.away.len() < FLIGHTS && waiting >= half.max(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn few_wait_for_the_group_on_its_way() {
        let mut pace = Pace::default();
        pace.depart(1);
        assert!(!pace.goes_beside(3));
        assert!(pace.goes_beside(4));
    }

    #[test]
    fn a_crowd_goes_in_two_halves_and_never_in_three() {
        let mut pace = Pace::default();
        pace.depart(10);
        assert!(!pace.goes_beside(9));
        assert!(pace.goes_beside(10));
        pace.depart(10);
        assert!(!pace.goes_beside(100));
    }

    #[test]
    fn a_crowd_that_has_gone_is_forgotten() {
        let mut pace = Pace::default();
        pace.depart(2);
        assert!(!pace.goes_beside(0));
        pace.depart(30);
        assert!(!pace.goes_beside(0), "32 at once");
        for _ in 0..200 {
            pace.depart(1);
            pace.arrive(0);
        }
        pace.depart(1);
        assert!(pace.goes_beside(4));
    }
}
