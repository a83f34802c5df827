//! Whatever happens in whatever order, an enrolment comes to a good end: all orders are tried.

use std::collections::{BTreeSet, HashSet};

use super::simulation::{Act, Chances, World};
use crate::learning::views::EnrollmentStatus;
use EnrollmentStatus::{Active, Cancelled, Declined, TimedOut};

const FINE: Chances = Chances {
    price_cents: 4_900,
    seats: 1,
    cancels: 0,
    operators: 0,
    repeats: 0,
    handled_at_most: 1,
};
const TOO_DEAR: u64 = 50_001;

/// Says how it came to a failed assertion.
struct Way(Vec<Act>);

impl Drop for Way {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after {:?}", self.0);
        }
    }
}

/// Goes through all that can happen, and tells which ends there are and how many worlds were seen.
fn explore(chances: Chances) -> (BTreeSet<&'static str>, usize) {
    let mut ends = BTreeSet::new();
    let mut seen = HashSet::new();
    let mut open = vec![(World::of(chances), Vec::new())];
    while let Some((world, way)) = open.pop() {
        let way = Way(way);
        world.check();
        let mut acts = world.due();
        if acts.is_empty() {
            world.check_at_rest();
            ends.insert(world.shown().status.name());
        }
        acts.extend(world.possible());
        for act in acts {
            let mut way = Way(way.0.iter().copied().chain([act]).collect());
            let mut next = world.clone();
            next.act(act);
            if seen.insert(next.key()) {
                open.push((next, std::mem::take(&mut way.0)));
            }
        }
    }
    (ends, seen.len())
}

#[track_caller]
fn ends(chances: Chances, expected: &[EnrollmentStatus]) {
    let (ends, seen) = explore(chances);
    println!("{seen} worlds: {chances:?}");
    let expected: BTreeSet<_> = expected.iter().map(|status| status.name()).collect();
    assert_eq!(ends, expected);
    assert!(seen > 10);
}

#[test]
fn an_enrolment_that_nobody_disturbs_is_active_or_timed_out() {
    ends(FINE, &[Active, TimedOut]);
    ends(Chances { price_cents: TOO_DEAR, ..FINE }, &[Declined, TimedOut]);
    ends(Chances { seats: 0, ..FINE }, &[Cancelled, TimedOut]);
}

#[test]
fn a_student_may_give_up_at_any_time() {
    let chances = Chances { cancels: 2, ..FINE };
    ends(chances, &[Active, Cancelled, TimedOut]);
    ends(Chances { price_cents: TOO_DEAR, ..chances }, &[Cancelled, Declined, TimedOut]);
    ends(Chances { seats: 0, ..chances }, &[Cancelled, TimedOut]);
}

#[test]
fn an_operator_may_end_it_at_any_time() {
    let chances = Chances { operators: 2, cancels: 1, ..FINE };
    ends(chances, &[Active, Cancelled, TimedOut]);
    ends(Chances { price_cents: TOO_DEAR, ..chances }, &[Cancelled, Declined, TimedOut]);
    ends(Chances { seats: 0, ..chances }, &[Cancelled, TimedOut]);
}

#[test]
fn events_that_come_again_and_commands_that_are_handled_again_change_nothing() {
    let chances = Chances { cancels: 1, repeats: 2, handled_at_most: 2, ..FINE };
    ends(chances, &[Active, Cancelled, TimedOut]);
    ends(Chances { price_cents: TOO_DEAR, ..chances }, &[Cancelled, Declined, TimedOut]);
    ends(Chances { seats: 0, ..chances }, &[Cancelled, TimedOut]);
}
