//! The rules of a group, one by one, and whatever happens.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add(SECOND * u32::try_from(seconds).unwrap())
}

fn member(member: u64) -> Holder {
    Holder { connection: member % 2, member, at_once: 3, settle_within: SECOND * 10 }
}

fn key(key: &str) -> Option<Lane> {
    Some(Lane::new(None, key))
}

#[test]
fn the_next_of_a_key_waits_until_the_broker_has_noted_the_one_before() {
    let mut lanes = Lanes::new(9);
    lanes.add(key("a"), 1, 0);
    lanes.add(key("a"), 2, 0);
    assert_eq!(lanes.hand(member(1), 10, at(0)), Some((&1, 1)));
    assert_eq!(lanes.finish(10), None, "it is not settled");
    assert_eq!(lanes.settle(10, Verdict::Ack, at(0)), Some(Fate::Done));
    assert_eq!(lanes.hand(member(1), 11, at(0)), None, "nobody knows of it yet");
    assert_eq!(lanes.settle(10, Verdict::Ack, at(0)), None, "it is settled");
    assert!(lanes.expire(at(1_000)).is_empty(), "nobody is waited for");
    assert_eq!((lanes.finish(10), lanes.finish(10)), (Some(1), None));
    assert_eq!(lanes.hand(member(1), 12, at(0)), Some((&2, 1)));
}

#[test]
fn what_is_handed_over_too_often_is_given_up() {
    let mut lanes = Lanes::new(3);
    lanes.add(None, "x", 1);
    assert_eq!(lanes.hand(member(1), 1, at(0)), Some((&"x", 2)), "one attempt was before");
    assert_eq!(lanes.settle(1, Verdict::Retry(SECOND), at(0)), Some(Fate::Again));
    assert_eq!((lanes.next_due(), lanes.is_ready()), (Some(at(1)), false));
    assert!(lanes.expire(at(1)).is_empty());
    assert_eq!(lanes.hand(member(1), 2, at(1)), Some((&"x", 3)));
    let fallen = lanes.expire(at(11));
    let cause = "it was handed over 3 times, and is not handled".to_owned();
    assert_eq!(fallen, [(2, Fate::Fallen(cause))]);
    assert_eq!((lanes.handed(2), lanes.len()), (Some((&"x", 3)), 1), "until it is stored");
    assert_eq!((lanes.finish(2), lanes.is_empty()), (Some("x"), true));
}

#[test]
fn who_is_heard_of_keeps_what_he_holds() {
    let mut lanes = Lanes::new(9);
    lanes.add(None, "x", 0);
    assert_eq!(lanes.hand(member(1), 1, at(0)), Some((&"x", 1)));
    assert!(lanes.extend(1, at(9)));
    assert_eq!(lanes.next_due(), Some(at(19)));
    assert!(lanes.expire(at(18)).is_empty() && !lanes.is_ready());
    assert_eq!(lanes.expire(at(19)), [(1, Fate::Again)]);
    assert!(lanes.is_ready());
    assert!(!lanes.extend(1, at(19)), "it is in nobody's hands");
    assert_eq!(lanes.settle(1, Verdict::Ack, at(19)), None);
}

#[test]
fn what_a_connection_holds_comes_back_in_the_order_in_which_it_went() {
    let mut lanes = Lanes::new(9);
    for n in 0..3 {
        lanes.add(None, n, 0);
        assert!(lanes.hand(member(1), 10 + n, at(0)).is_some());
    }
    assert_eq!(lanes.settle(11, Verdict::Ack, at(0)), Some(Fate::Done));
    assert!(lanes.give_back_all(0).is_empty(), "another connection");
    assert_eq!(lanes.give_back_all(1), [(10, Fate::Again), (12, Fate::Again)]);
    assert_eq!(lanes.hand(member(2), 20, at(0)), Some((&0, 2)));
    assert_eq!(lanes.hand(member(2), 21, at(0)), Some((&2, 2)));
    assert_eq!(lanes.hand(member(2), 22, at(0)), None);
}

#[test]
fn what_never_got_there_was_not_handed_over() {
    let mut lanes = Lanes::new(1);
    lanes.add(key("a"), 1, 0);
    lanes.add(key("a"), 2, 0);
    lanes.add(None, 3, 0);
    assert_eq!(lanes.hand(member(1), 1, at(0)), Some((&1, 1)));
    assert!(lanes.take_back(1) && !lanes.take_back(1));
    assert_eq!(lanes.hand(member(1), 2, at(0)), Some((&1, 1)), "the first one of all");
    assert!(lanes.settle(2, Verdict::Ack, at(0)).is_some() && !lanes.take_back(2));
}

#[derive(Debug, Clone)]
enum Step {
    Add(Option<u8>),
    Hand(u64),
    Settle(usize, u8),
    Finish(usize),
    GiveBack(usize),
    TakeBack(usize),
    GiveBackAll(u64),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::option::weighted(0.8, 0..3u8).prop_map(Step::Add),
        6 => (0..4u64).prop_map(Step::Hand),
        4 => (0..8usize, 0..3u8).prop_map(|(n, verdict)| Step::Settle(n, verdict)),
        4 => (0..8usize).prop_map(Step::Finish),
        1 => (0..8usize).prop_map(Step::GiveBack),
        1 => (0..8usize).prop_map(Step::TakeBack),
        1 => (0..2u64).prop_map(Step::GiveBackAll),
        1 => (0..15u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..120)
}

#[test]
fn what_was_handed_over_often_enough_before_is_exhausted() {
    let mut lanes = Lanes::new(3);
    lanes.add(Some(Lane::new(None, "a")), "poison", 3);
    lanes.add(Some(Lane::new(None, "b")), "by chance", 2);
    lanes.add(Some(Lane::new(None, "b")), "waits", 0);
    let holder =
        Holder { connection: 1, member: 1, at_once: 9, settle_within: Duration::from_secs(1) };
    let (_, attempt) = lanes.hand(holder, 1, Timestamp::UNIX_EPOCH).unwrap();
    let cause = lanes.exhausted(attempt).unwrap();
    assert_eq!(cause, "it was handed over 3 times, and is not handled");
    let (_, attempt) = lanes.hand(holder, 2, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((attempt, lanes.exhausted(attempt)), (3, None));
    let mut unfinished: Vec<_> = lanes.unfinished().collect();
    unfinished.sort();
    assert_eq!(unfinished, [(&"by chance", 3), (&"poison", 4), (&"waits", 0)]);
}

proptest! {
    /// Whatever happens: of a key one at a time, in order, and each message is finished once.
    #[test]
    fn keys_keep_their_order_and_nothing_is_lost(steps in steps()) {
        let (mut lanes, mut now, mut token) = (Lanes::new(u32::MAX), 0, 0);
        let mut added: Vec<Option<u8>> = Vec::new();
        let mut out: Vec<u64> = Vec::new();
        let mut finished: Vec<usize> = Vec::new();
        let work = |lanes: &mut Lanes<usize>, token: &mut u64, out: &mut Vec<u64>, who, now| {
            *token += 1;
            if lanes.hand(member(who), *token, at(now)).is_some() {
                out.push(*token);
            }
        };
        for step in steps {
            let nth = |out: &[u64], n: usize| out.get(n % out.len().max(1)).copied().unwrap_or(0);
            match step {
                Step::Add(lane) => {
                    let n = added.len();
                    added.push(lane);
                    lanes.add(lane.and_then(|lane| key(&lane.to_string())), n, 0);
                }
                Step::Hand(who) => work(&mut lanes, &mut token, &mut out, who, now),
                Step::Settle(n, verdict) => {
                    let verdict = match verdict {
                        0 => Verdict::Ack,
                        1 => Verdict::Park("no".into()),
                        _ => Verdict::Retry(SECOND * 5),
                    };
                    lanes.settle(nth(&out, n), verdict, at(now));
                }
                Step::Finish(n) => finished.extend(lanes.finish(nth(&out, n))),
                Step::GiveBack(n) => {
                    lanes.give_back(nth(&out, n));
                }
                Step::TakeBack(n) => {
                    lanes.take_back(nth(&out, n));
                }
                Step::GiveBackAll(connection) => {
                    lanes.give_back_all(connection);
                }
                Step::Wait(seconds) => {
                    now += seconds;
                    lanes.expire(at(now));
                }
            }
            out.retain(|token| lanes.handed(*token).is_some());
            let mut of_keys: Vec<u8> =
                out.iter().filter_map(|t| added[*lanes.handed(*t).unwrap().0]).collect();
            let count = of_keys.len();
            of_keys.sort_unstable();
            of_keys.dedup();
            prop_assert_eq!(of_keys.len(), count, "one of a key at a time");
            prop_assert_eq!(lanes.len() + finished.len(), added.len());
        }
        // All that is left is handled.
        while !lanes.is_empty() {
            now += 20;
            lanes.expire(at(now));
            work(&mut lanes, &mut token, &mut out, 9, now);
            for token in std::mem::take(&mut out) {
                lanes.settle(token, Verdict::Ack, at(now));
                finished.extend(lanes.finish(token));
            }
        }
        for lane in 0..3 {
            let order: Vec<usize> =
                finished.iter().copied().filter(|n| added[*n] == Some(lane)).collect();
            prop_assert!(order.is_sorted(), "the order of a key: {:?}", order);
        }
        finished.sort_unstable();
        prop_assert_eq!(finished, (0..added.len()).collect::<Vec<_>>());
        prop_assert!(lanes.held.is_empty() && lanes.silent.is_empty() && lanes.places.is_empty());
    }
}
