//! Entries that are set aside.

use std::time::Duration;

use cqrs_core::{
    Commit, Conflict, Expected, FindParked, Json, ManualClock, ParkedState, ParkedWrite, Payload,
    Settled, Store, Timestamp,
};
use store_sqlite::SqliteStore;

use crate::waiting::{conflict, settles};

pub(crate) fn settled(entry: &ParkedWrite) -> Settled {
    let ParkedWrite { subscription, position, key, .. } = entry.clone();
    Settled::Parked { subscription, position, key }
}

pub(crate) fn aside(subscription: &str, position: u64) -> ParkedWrite {
    ParkedWrite {
        subscription: subscription.to_owned(),
        position,
        expected: Expected::Any,
        partition: 3,
        key: format!("key-{}", position % 2),
        message: "bank.opened".to_owned(),
        state: ParkedState::Parked,
        due: None,
        cause: "no such address".to_owned(),
        attempts: 8,
        edited: None,
    }
}

pub(crate) fn parks(parked: Vec<ParkedWrite>) -> Commit {
    Commit { parked, ..Commit::default() }
}

#[tokio::test]
async fn entries_are_counted_by_their_writes_and_settled_once() {
    let start = Timestamp::from_micros(1_700_000_000_000_000);
    let clock = ManualClock::at(start);
    let store = SqliteStore::builder().clock(clock.clone()).in_memory().await.unwrap();
    let first = ParkedWrite { expected: Expected::NoStream, ..aside("mailer", 4) };
    store.commit(parks(vec![first.clone()])).await.unwrap();
    let error = store.commit(parks(vec![first])).await.unwrap_err();
    let conflicts = Conflict::Parked { subscription: "mailer".to_owned(), position: 4, actual: 1 };
    assert_eq!(*conflict(&error), conflicts);
    clock.advance(Duration::from_secs(1));
    for edited in [
        Payload::Json(Json::parse("{}").unwrap()),
        Payload::Binary { content_type: "text/plain".into(), bytes: "hi".into() },
        Payload::Erased,
    ] {
        let known = store.parked(FindParked::of("mailer")).await.unwrap().remove(0);
        let due = Some(Timestamp::from_micros(9));
        let write = ParkedWrite { edited: Some(edited), due, ..known.to_write() };
        store.commit(parks(vec![write.clone()])).await.unwrap();
        let entry = store.parked(FindParked::of("mailer")).await.unwrap().remove(0);
        assert_eq!((entry.version, entry.since), (known.version + 1, start));
        assert_eq!(ParkedWrite { expected: write.expected, ..entry.to_write() }, write);
    }
    let done = || settles(settled(&aside("mailer", 4)));
    store.commit(done()).await.unwrap();
    assert!(matches!(conflict(&store.commit(done()).await.unwrap_err()), Conflict::Settled { .. }));
}

/// Every combination of what can be asked for, against a plain filter over all.
#[tokio::test]
async fn entries_are_found_by_every_combination() {
    let store = SqliteStore::in_memory().await.unwrap();
    let mut all = Vec::new();
    for (n, subscription) in ["b", "a", "c/d"].into_iter().enumerate() {
        for position in 1..=12_u64 {
            let state = ParkedState::ALL[(position as usize + n) % 4];
            let due =
                (!position.is_multiple_of(3)).then(|| Timestamp::from_micros(position as i64 % 5));
            all.push(ParkedWrite { state, due, ..aside(subscription, position) });
        }
    }
    store.commit(parks(all.clone())).await.unwrap();
    all.sort_by_key(|write| (write.subscription.clone(), write.position));
    let after = |subscription: &str, position| (subscription.to_owned(), position, "~".to_owned());
    let afters = [
        None,
        Some(after("a", 5)),
        Some(after("aa", 0)),
        Some(after("b", u64::MAX)),
        Some(after("z", 1)),
    ];
    let mut combinations = 0;
    for subscription in [None, Some("a"), Some("c/d"), Some("none")] {
        for key in [None, Some("key-1"), Some("none")] {
            for state in [None, Some(ParkedState::Retrying), Some(ParkedState::Behind)] {
                for due_by in [None, Some(2), Some(-1)] {
                    for after in &afters {
                        for limit in [0, 3, 100] {
                            let find = FindParked {
                                subscription: subscription.map(str::to_owned),
                                key: key.map(str::to_owned),
                                state,
                                due_by: due_by.map(Timestamp::from_micros),
                                position: None,
                                after: after.clone(),
                                limit,
                            };
                            let fits = |w: &&ParkedWrite| {
                                let place = (&*w.subscription, w.position, &*w.key);
                                subscription.is_none_or(|s| s == w.subscription)
                                    && key.is_none_or(|key| key == w.key)
                                    && state.is_none_or(|state| state == w.state)
                                    && find.due_by.is_none_or(|by| w.due.is_some_and(|d| d <= by))
                                    && after.as_ref().is_none_or(|a| place > (&*a.0, a.1, &*a.2))
                            };
                            let expected = all.iter().filter(fits).take(limit as usize);
                            let expected: Vec<_> =
                                expected.map(|w| (&*w.subscription, w.position)).collect();
                            let found = store.parked(find.clone()).await.unwrap();
                            let found: Vec<_> =
                                found.iter().map(|e| (&*e.subscription, e.position)).collect();
                            assert_eq!(found, expected, "{find:?}");
                            combinations += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(combinations, 4 * 3 * 3 * 3 * 5 * 3);
}
