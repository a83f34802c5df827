use proptest::prelude::*;

use super::*;
use crate::message::payload::{Json, Payload};
use crate::port::outgoing::{Outgoing, OutgoingKind};

fn message(position: Position, lane: &str) -> PendingMessage {
    let body = Payload::Json(Json::parse("{}").unwrap());
    let message = Outgoing::new(OutgoingKind::Message, "test", lane, body);
    PendingMessage { position, recorded_at: Timestamp::UNIX_EPOCH, message }
}

fn offer(lanes: &mut Lanes, lane: &str, positions: impl IntoIterator<Item = Position>) {
    for position in positions {
        lanes.offer(lane.to_owned(), message(position, lane));
    }
}

fn positions(lanes: &mut Lanes) -> Vec<Position> {
    std::iter::from_fn(|| lanes.next()).map(|turn| turn.position).collect()
}

fn wait(due: i64) -> Wait {
    let until = Until::Due(Timestamp::from_micros(due));
    Wait { until, notes: Notes { is_aside: true, passing: 0 } }
}

fn wake(lanes: &mut Lanes, now: i64) {
    lanes.wake(Timestamp::from_micros(now), Instant::now());
}

#[test]
fn a_lane_goes_one_at_a_time_and_the_oldest_lane_first() {
    let mut lanes = Lanes::default();
    offer(&mut lanes, "b", [1]);
    offer(&mut lanes, "a", [2, 3]);
    assert_eq!(positions(&mut lanes), [1, 2]);
    assert_eq!(lanes.open_from(), Some(1));
    lanes.done("b");
    lanes.done("a");
    assert_eq!(positions(&mut lanes), [3]);
    lanes.done("a");
    assert_eq!((lanes.open_from(), lanes.lanes.len()), (None, 0));
}

#[test]
fn a_lane_that_waits_keeps_nothing_and_goes_on_where_it_was() {
    let mut lanes = Lanes::default();
    offer(&mut lanes, "a", 1..=5);
    assert_eq!(positions(&mut lanes), [1]);
    lanes.block("a", wait(10));
    offer(&mut lanes, "a", [6]);
    assert_eq!((lanes.kept, lanes.blocked(), lanes.open_from()), (0, 1, None));
    wake(&mut lanes, 9);
    assert!(!lanes.has_ready());
    wake(&mut lanes, 10);
    let turn = lanes.next().unwrap();
    assert_eq!((turn.position, turn.message, turn.notes.is_aside), (1, None, true));
    assert_eq!(lanes.hungry_from(), Some(2));
    let taking = lanes.begin_again(2);
    offer(&mut lanes, "a", 1..=6);
    lanes.end_again(taking, 6, 6);
    lanes.done("a");
    for position in 2..=6 {
        assert_eq!(positions(&mut lanes), [position]);
        lanes.done("a");
    }
    assert!(lanes.lanes.is_empty());
}

#[test]
fn what_a_full_lane_has_no_room_for_is_read_again() {
    let mut lanes = Lanes::default();
    offer(&mut lanes, "a", 1..=100);
    offer(&mut lanes, "b", [101]);
    assert_eq!(lanes.kept, LANE + 1);
    let mut seen = Vec::new();
    while let Some(turn) = lanes.next() {
        seen.push((turn.lane.clone(), turn.position));
        lanes.done(&turn.lane);
        if let Some(from) = lanes.hungry_from() {
            let taking = lanes.begin_again(from);
            // A page that ends early.
            let to = (from + 40).min(101);
            for position in from..=to {
                offer(&mut lanes, if position == 101 { "b" } else { "a" }, [position]);
            }
            lanes.end_again(taking, to, 101);
        }
    }
    let a: Vec<_> = seen.iter().filter(|(lane, _)| lane == "a").map(|(_, p)| *p).collect();
    assert_eq!(a, (1..=100).collect::<Vec<_>>());
    assert!(seen.contains(&("b".to_owned(), 101)));
}

#[test]
fn lanes_that_wait_do_not_keep_the_reading_from_going_ahead() {
    let mut lanes = Lanes::default();
    offer(&mut lanes, "a", 1..=2_000);
    assert!(!lanes.may_go_ahead());
    assert_eq!(positions(&mut lanes), [1]);
    lanes.block("a", Wait { until: Until::Asked, notes: Notes::default() });
    assert!(lanes.may_go_ahead());
    offer(&mut lanes, "a", 2_001..=9_000);
    assert!(lanes.may_go_ahead() && lanes.has_room(256));
}

#[test]
fn what_may_pass_at_any_time_holds_up_and_wakes_whatever_the_clock_says() {
    let mut lanes = Lanes::default();
    offer(&mut lanes, "a", [1]);
    assert_eq!(positions(&mut lanes), [1]);
    let soon = Instant::now();
    lanes.block("a", Wait { until: Until::Soon(soon), notes: Notes::default() });
    assert_eq!((lanes.open_from(), lanes.blocked()), (Some(1), 1));
    assert_eq!((lanes.next_soon(), lanes.next_due()), (Some(soon), None));
    lanes.block("a", Wait { until: Until::Elsewhere(soon), notes: Notes::default() });
    assert_eq!((lanes.open_from(), lanes.next_due()), (None, None));
    lanes.wake(Timestamp::MIN, soon);
    assert_eq!((lanes.blocked(), lanes.next_soon()), (0, None));
    assert_eq!(positions(&mut lanes), [1]);
}

#[test]
fn an_operator_wakes_what_waits_for_him() {
    let mut lanes = Lanes::default();
    lanes.set_aside("a", 7, None);
    offer(&mut lanes, "a", [7, 9]);
    assert!(!lanes.has_ready());
    lanes.look_at("a", 8);
    assert!(!lanes.has_ready());
    lanes.look_at("a", 7);
    assert_eq!(positions(&mut lanes), [7]);
}

#[test]
fn an_earlier_one_goes_before_what_is_set_aside() {
    let mut lanes = Lanes::default();
    lanes.set_aside("a", 7, None);
    offer(&mut lanes, "a", [5, 7]);
    assert_eq!(positions(&mut lanes), [5]);
    assert_eq!(lanes.hungry_from(), Some(7));
}

proptest! {
    /// Whatever happens meanwhile: each lane in order, each message once, nothing forgotten.
    #[test]
    fn every_message_has_its_turn_in_the_order_of_its_lane(
        keys in proptest::collection::vec(0u8..6, 1..400),
        blocks in proptest::collection::vec(any::<bool>(), 64),
        page in 1usize..50,
    ) {
        let mut store: BTreeMap<Position, String> =
            keys.iter().zip(1..).map(|(key, n)| (n, format!("lane {key}"))).collect();
        let last = keys.len() as Position;
        let (mut lanes, mut cursor, mut clock) = (Lanes::default(), 0, 0);
        let mut seen: HashMap<String, Position> = HashMap::new();
        for round in 0.. {
            prop_assert!(round < 20_000, "{lanes:?}");
            clock += 1;
            wake(&mut lanes, clock);
            if let Some(from) = lanes.hungry_from() {
                let taking = lanes.begin_again(from);
                let found: Vec<_> =
                    store.range(from..=cursor).take(page).map(|(p, l)| (*p, l.clone())).collect();
                let through = if found.len() < page { cursor } else { found[page - 1].0 };
                for (position, lane) in found {
                    lanes.offer(lane.clone(), message(position, &lane));
                }
                lanes.end_again(taking, through, cursor);
            } else if cursor < last && lanes.may_go_ahead() {
                let found: Vec<_> =
                    store.range(cursor + 1..).take(page).map(|(p, l)| (*p, l.clone())).collect();
                cursor = found.last().map_or(last, |(position, _)| *position);
                for (position, lane) in found {
                    lanes.offer(lane.clone(), message(position, &lane));
                }
            }
            let Some(turn) = lanes.next() else {
                if store.is_empty() { break }
                continue;
            };
            prop_assert_eq!(&store[&turn.position], &turn.lane);
            if blocks[clock as usize % blocks.len()] && round < 2_000 {
                lanes.block(&turn.lane, wait(clock + 3));
                continue;
            }
            store.remove(&turn.position);
            let before = seen.insert(turn.lane.clone(), turn.position);
            prop_assert!(before.is_none_or(|before| before < turn.position));
            lanes.done(&turn.lane);
        }
        lanes.wake(Timestamp::MAX, Instant::now());
        prop_assert!(lanes.open_from().is_none());
        prop_assert_eq!((lanes.kept, lanes.blocked()), (0, 0));
    }
}
