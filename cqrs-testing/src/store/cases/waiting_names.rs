//! Hostile names of what waits: leases, timers, messages, entries that are set aside.

use cqrs_core::{
    AnswerTo, CheckpointWrite, Fence, FindParked, FindTimers, Metadata, Outgoing, ParkedWrite,
    Settled, Timer, TimerWrite, Timestamp,
};

use crate::store::case::{leases, outgoing, parked, timers, timers_settled};
use crate::store::cases::hostile::{NAMES, assert_nothing, ids};
use crate::store::cases::prelude::*;
use crate::store::waiting::{
    LONG, MAILER, aside, at, fenced, message, parks, request, sends, sets, settles, timer, unparked,
};

cases! { "hostile":
    names_of_leases_stay_apart if leases,
    names_of_leases_are_no_patterns if leases,
    names_of_timers_stay_apart if timers,
    names_of_messages_come_back_exactly if outgoing,
    names_of_entries_stay_apart if parked,
    hostile_leases_are_refused_by_the_name_of_the_field if leases,
    hostile_timers_are_refused_by_the_name_of_the_field if timers,
    hostile_messages_are_refused_by_the_name_of_the_field if outgoing,
    hostile_entries_are_refused_by_the_name_of_the_field if parked,
    hostile_fired_timers_are_refused_by_the_name_of_the_field if timers_settled,
    timers_that_cannot_exist_are_not_found if timers,
    entries_that_cannot_exist_are_not_found if parked,
}

/// What no name holds, and no name at all.
const REFUSED: [&str; 6] = ["", "\0", "a\0b", "a\n", "a\u{7f}", "\u{85}"];

async fn names_of_leases_stay_apart(t: Probe) {
    let names = ids(t.limits().id);
    for (n, name) in names.iter().enumerate() {
        let lease = t.takes(name, name).await;
        assert_eq!((&lease.name, &lease.holder, lease.token), (name, name, 1), "the {n}. lease");
    }
    for name in &names {
        let told = t.asks_for("another", name, LONG).await;
        assert_eq!((&told.name, &told.holder), (name, name), "whose {name:?} is");
        let head = t.applied(fenced(vec![told.fence()], grows(&account("1"), 1))).await;
        assert_eq!(t.end().await, head, "under the lease {name:?}");
    }
    let mut sorted = names.clone();
    sorted.sort();
    let held = t.held("").await.into_iter().map(|lease| lease.name);
    assert_eq!(held.collect::<Vec<_>>(), sorted, "in the order of their bytes");
    for name in &names {
        t.gives_back(name, &[name]).await;
    }
    assert_eq!(t.held("").await, [], "all were given back");
}

async fn names_of_leases_are_no_patterns(t: Probe) {
    t.asks(request("node-a", NAMES, LONG)).await;
    for prefix in NAMES {
        let mut expected =
            NAMES.iter().filter(|name| name.starts_with(prefix)).copied().collect::<Vec<_>>();
        expected.sort_unstable();
        let held = t.held(prefix).await;
        let held = held.iter().map(|lease| lease.name.as_str()).collect::<Vec<_>>();
        assert_eq!(held, expected, "those that begin with {prefix:?}");
    }
}

async fn names_of_timers_stay_apart(t: Probe) {
    let of = |name: &str, due| TimerWrite {
        owner: name.to_owned(),
        tenant: Some(name.into()),
        key: name.to_owned(),
        name: name.to_owned(),
        generation: 1,
        due,
    };
    for (n, name) in NAMES.iter().enumerate() {
        t.applied(sets(vec![of(name, Some(at(n as i64)))])).await;
    }
    for (n, name) in NAMES.iter().enumerate() {
        let found = t.due(name, Timestamp::MAX, 10).await;
        let Timer { owner, tenant, key, name: of_timer, .. } = match found.as_slice() {
            [one] => one.clone(),
            found => panic!("{name:?} has one timer: {found:?}"),
        };
        let all = [&owner, tenant.as_deref().unwrap_or_default(), &key, &of_timer];
        assert_eq!((all, found[0].due), ([*name; 4], at(n as i64)), "the timer of {name:?}");
        t.applied(sets(vec![of(name, None)])).await;
        assert_eq!(t.due(name, Timestamp::MAX, 10).await, [], "cancelled for {name:?}");
    }
    let long = ids(t.limits().id);
    t.applied(sets(long.iter().map(|key| timer(key, 1, Some(1))).collect())).await;
    assert_eq!(t.set().await.len(), long.len(), "one timer for each key");
}

async fn names_of_messages_come_back_exactly(t: Probe) {
    let of = |name: &&'static str| Outgoing {
        name: (*name).into(),
        answer_to: Some(AnswerTo {
            saga: (*name).into(),
            key: (*name).into(),
            step: (*name).into(),
        }),
        metadata: Metadata::default().with_tenant(*name),
        ..message(name)
    };
    t.applied(sends(NAMES.iter().map(of).collect())).await;
    for (name, found) in NAMES.iter().zip(t.pending(0).await) {
        let Outgoing { name: of_message, key, answer_to, metadata, .. } = found.message;
        let told = answer_to.unwrap_or_else(|| panic!("{name:?} has somebody to tell"));
        let all = [&of_message, key.as_str(), &told.saga, &told.key, &told.step];
        assert_eq!(all, [*name; 5], "the message {name:?}");
        assert_eq!(metadata.tenant(), Some(*name), "its tenant");
    }
}

async fn names_of_entries_stay_apart(t: Probe) {
    let names = ids(t.limits().id.min(t.limits().name));
    let of = |name: &String| ParkedWrite {
        key: name.clone(),
        message: name.clone(),
        cause: name.clone(),
        ..aside(name, 1)
    };
    t.applied(parks(names.iter().map(of).collect())).await;
    for name in &names {
        for find in [FindParked::of(name), FindParked::default().key(name)] {
            let found = t.aside(find.clone()).await;
            assert_eq!(found.len(), 1, "one entry: {find:?}");
            let all = [&found[0].subscription, &found[0].key, &found[0].message, &found[0].cause];
            assert_eq!(all, [name; 4], "{find:?}");
        }
    }
    let mut sorted = names.clone();
    sorted.sort();
    let found = t.aside(FindParked::default().limit(1_000)).await;
    let seen = found.iter().map(|entry| &entry.subscription);
    assert!(seen.eq(&sorted), "in the order of their bytes");
    for (n, name) in sorted.iter().enumerate() {
        let after = (name.clone(), 1, name.clone());
        let rest = t.aside(FindParked::default().after(after).limit(1_000)).await;
        assert_eq!(rest, found[n + 1..], "after {name:?}");
    }
    let done = |name: &String| Settled::Parked {
        subscription: name.clone(),
        position: 1,
        key: name.clone(),
    };
    t.applied(settles(names.iter().map(done).collect())).await;
    assert_eq!(t.aside(FindParked::default()).await, [], "all are done");
}

async fn hostile_leases_are_refused_by_the_name_of_the_field(t: Probe) {
    for name in REFUSED {
        let error = t.lease(request("node-a", &["fine", name], LONG)).await;
        assert_invalid(&error.expect_err("no name"), "lease", &format!("{name:?} as a lease"));
        let error = t.lease(request(name, &["fine"], LONG)).await;
        assert_invalid(&error.expect_err("no name"), "holder", &format!("{name:?} as a holder"));
        let fence = Fence { lease: name.to_owned(), token: 1 };
        let commit = fenced(vec![fence.clone()], grows(&account("1"), 1));
        assert_invalid(&t.refused(commit).await, "lease", &format!("{name:?} in a fence"));
        let checkpoint = Some(CheckpointWrite { fence: Some(fence), ..moves(MAILER, 0, 0) });
        let commit = Commit { checkpoint, ..grows(&account("1"), 1) };
        assert_invalid(&t.refused(commit).await, "lease", &format!("{name:?} in a checkpoint"));
    }
    assert_eq!(t.held("").await, [], "nothing was given out");
}

async fn hostile_timers_are_refused_by_the_name_of_the_field(t: Probe) {
    let fine = || timer("17", 1, Some(5));
    for name in REFUSED.map(str::to_owned) {
        let writes = [
            ("owner", TimerWrite { owner: name.clone(), ..fine() }),
            ("tenant", TimerWrite { tenant: Some(name.as_str().into()), ..fine() }),
            ("key", TimerWrite { key: name.clone(), ..fine() }),
            ("timer", TimerWrite { name: name.clone(), ..fine() }),
        ];
        for (field, write) in writes {
            for due in [Some(at(5)), None] {
                let timers = vec![timer("18", 1, Some(5)), TimerWrite { due, ..write.clone() }];
                let commit = Commit { timers, ..grows(&account("1"), 1) };
                let error = t.refused(commit).await;
                assert_invalid(&error, field, &format!("{name:?} as a {field}"));
            }
        }
    }
    assert_eq!(t.set().await, [], "nothing was set");
}

async fn hostile_messages_are_refused_by_the_name_of_the_field(t: Probe) {
    let to = |saga: &str, key: &str, step: &str| {
        Some(AnswerTo { saga: saga.into(), key: key.into(), step: step.into() })
    };
    for name in REFUSED {
        let content_type = name.to_owned().into();
        let binary = cqrs_core::Payload::Binary { content_type, bytes: b"x"[..].into() };
        let tenant = Metadata::default().with_tenant(name);
        let messages = [
            ("name", Outgoing { name: name.into(), ..message("1") }),
            ("key", message(name)),
            ("answer_to", Outgoing { answer_to: to(name, "a", "b"), ..message("1") }),
            ("answer_to", Outgoing { answer_to: to("a", name, "b"), ..message("1") }),
            ("answer_to", Outgoing { answer_to: to("a", "b", name), ..message("1") }),
            ("content_type", Outgoing { body: binary, ..message("1") }),
            ("tenant", Outgoing { metadata: tenant, ..message("1") }),
        ];
        for (field, hostile) in messages {
            let outgoing = vec![message("fine"), hostile];
            let error = t.refused(Commit { outgoing, ..grows(&account("1"), 1) }).await;
            assert_invalid(&error, field, &format!("{name:?} as a {field}"));
        }
    }
    assert_eq!(t.pending(0).await, [], "nothing was sent");
}

async fn hostile_entries_are_refused_by_the_name_of_the_field(t: Probe) {
    for name in REFUSED {
        let writes = [
            ("subscription", aside(name, 1)),
            ("key", ParkedWrite { key: name.to_owned(), ..aside(MAILER, 1) }),
            ("message", ParkedWrite { message: name.to_owned(), ..aside(MAILER, 1) }),
        ];
        for (field, write) in writes {
            let commit = Commit { parked: vec![aside(MAILER, 2), write], ..Commit::default() };
            let error = t.refused(commit).await;
            assert_invalid(&error, field, &format!("{name:?} as a {field}"));
        }
        let error = t.refused(settles(vec![unparked(name, 1)])).await;
        assert_invalid(&error, "subscription", &format!("{name:?} to be settled"));
    }
    assert_eq!(t.aside(FindParked::default()).await, [], "nothing was set aside");
}

async fn timers_that_cannot_exist_are_not_found(t: Probe) {
    let fine = timer("17", 1, Some(5));
    t.applied(sets(vec![fine.clone()])).await;
    for name in REFUSED.map(str::to_owned) {
        let find = FindTimers { owner: name.clone(), due_by: Timestamp::MAX, limit: 10 };
        let found = t.timers(find).await.map(|found| found.into_iter().next());
        assert_nothing(found, &format!("a timer of {name:?}"));
    }
    assert_eq!(t.set().await.len(), 1, "the timer of a good name");
}

async fn entries_that_cannot_exist_are_not_found(t: Probe) {
    t.applied(parks(vec![aside(MAILER, 1)])).await;
    for name in REFUSED {
        for find in [FindParked::of(name), FindParked::default().key(name)] {
            let found = t.parked(find).await.map(|found| found.into_iter().next());
            assert_nothing(found, &format!("an entry of {name:?}"));
        }
    }
    assert_eq!(t.aside(FindParked::default()).await.len(), 1, "the entry of good names");
}

async fn hostile_fired_timers_are_refused_by_the_name_of_the_field(t: Probe) {
    t.applied(sets(vec![timer("17", 1, Some(5))])).await;
    let fired = t.set().await.remove(0);
    for name in REFUSED.map(str::to_owned) {
        let hostile = [
            ("owner", Timer { owner: name.clone(), ..fired.clone() }),
            ("tenant", Timer { tenant: Some(name.as_str().into()), ..fired.clone() }),
            ("key", Timer { key: name.clone(), ..fired.clone() }),
            ("timer", Timer { name: name.clone(), ..fired.clone() }),
        ];
        for (field, hostile) in hostile {
            let settled = vec![Settled::Timer(fired.clone()), Settled::Timer(hostile)];
            let error = t.refused(settles(settled)).await;
            assert_invalid(&error, field, &format!("{name:?} as a {field} to be settled"));
        }
    }
    assert_eq!(t.set().await, [fired], "it is still set");
}
