//! Random commits against a model of a few lines: the laws P2, P3 and P5 after each of them.
//!
//! `MODEL_RUNS` says how many; 20 unless it is set. A failure says its seed; `MODEL_SEED` runs it
//! again, alone.

use std::collections::HashMap;

use cqrs_core::{
    Committed, Conflict, DocumentWrite, ErrorKind, Expected, MessageId, Position, Version,
};
use fastrand::Rng;
use serde_json::json;

use crate::store::cases::prelude::*;

cases! { "model":
    random_commits_keep_the_laws_of_versions_positions_and_repeats,
}

const STEPS: usize = 60;
const STREAMS: u64 = 4;
const DOCUMENTS: u64 = 3;

/// What the store must hold.
#[derive(Default)]
struct Model {
    log: Vec<(StreamId, Version, MessageId)>,
    streams: HashMap<StreamId, Version>,
    /// Version, and whether it is there.
    documents: HashMap<String, (Version, bool)>,
    done: Vec<(Commit, Position)>,
    head: Position,
}

pub(super) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

async fn random_commits_keep_the_laws_of_versions_positions_and_repeats(t: Probe) {
    let seeds = match number("MODEL_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("MODEL_RUNS").unwrap_or(20)).map(|_| fastrand::u64(..)).collect(),
    };
    t.declared(Collection::new(TUTOR)).await;
    for seed in seeds {
        let why = format!("to run this again: MODEL_SEED={seed}");
        let (mut rng, mut model) = (Rng::with_seed(seed), Model::default());
        let start = t.end().await;
        model.head = start;
        for _ in 0..STEPS {
            step(&t, &mut rng, &mut model, seed, &why).await;
        }
        let log = t.log_of(cqrs_core::ReadLog::after(start)).await;
        let seen = log.iter().map(|e| (e.stream.clone(), e.version, e.id)).collect::<Vec<_>>();
        assert_eq!(seen, model.log, "{why}: the log in the end");
        assert!(positions(&log).is_sorted_by(|a, b| a < b), "{why}: positions increase");
        for (stream, version) in &model.streams {
            let seen = versions(&t.stream(stream).await);
            assert_eq!(seen, (1..=*version).collect::<Vec<_>>(), "{why}: {stream} in the end");
        }
        for (id, (version, there)) in &model.documents {
            let seen = t.tutor(id).await.map(|document| document.version);
            assert_eq!(seen, there.then_some(*version), "{why}: the document {id} in the end");
        }
    }
}

async fn step(t: &Probe, rng: &mut Rng, model: &mut Model, seed: u64, why: &str) {
    if !model.done.is_empty() && rng.u8(..) < 50 {
        let (commit, position) = rng.choice(&model.done).expect("it is not empty").clone();
        let again = t.answered(commit).await;
        assert_eq!(again, Committed::Before { position, reply: None }, "{why}: a repeat (P5)");
        return;
    }
    let commit = any_commit(rng, model, seed);
    let events = commit.appends.iter().map(|append| append.events.len()).sum::<usize>();
    match (t.settled(commit.clone()).await, model.refuses(&commit)) {
        (Ok(Committed::Now { position }), None) => {
            if events > 0 {
                assert!(position > model.head, "{why}: {position} after {} (P3)", model.head);
            } else {
                assert_eq!(position, model.head, "{why}: a commit without events");
            }
            model.apply(commit, position);
            assert_eq!(t.end().await, position, "{why}: the head (P3)");
        }
        (Err(error), Some(conflicts)) => {
            let ErrorKind::Conflict(conflict) = error.kind() else {
                panic!("{why}: a conflict, not {error:?}\n{commit:?}");
            };
            assert!(conflicts.contains(conflict), "{why}: {conflict:?} of {conflicts:?} (P2)");
            assert_eq!(t.end().await, model.head, "{why}: a refused commit (P1)");
        }
        (answer, conflicts) => {
            panic!("{why}: the store says {answer:?}, the model {conflicts:?}\n{commit:?}")
        }
    }
}

fn any_commit(rng: &mut Rng, model: &Model, seed: u64) -> Commit {
    let mut commit = Commit::default();
    for n in 0..STREAMS {
        if rng.u8(..) < 90 {
            let stream = account(&format!("{seed} {n}"));
            let actual = model.streams.get(&stream).copied().unwrap_or(0);
            let some = events(rng.usize(1..4));
            commit.appends.push(append(&stream, expectation(rng, actual), some));
        }
    }
    for n in 0..DOCUMENTS {
        if rng.u8(..) < 60 {
            let id = format!("{seed} {n}");
            let expected = expectation(rng, model.document(&id));
            let deletes =
                rng.u8(..) < 80 && !matches!(expected, Expected::NoStream | Expected::Exactly(0));
            commit.documents.push(match deletes {
                true => DocumentWrite::delete(key(&id), expected),
                false => put(&id, expected, &json!({ "n": rng.u32(..) })),
            });
        }
    }
    if rng.bool() { named(commit) } else { commit }
}

/// Mostly one that holds.
fn expectation(rng: &mut Rng, actual: Version) -> Expected {
    match rng.u8(..) {
        0..80 => Expected::Any,
        80..200 => Expected::Exactly(actual),
        200..215 => Expected::Exactly(rng.u64(0..6)),
        215..235 => Expected::Exists,
        235.. => Expected::NoStream,
    }
}

impl Model {
    fn document(&self, id: &str) -> Version {
        self.documents.get(id).map_or(0, |(version, there)| if *there { *version } else { 0 })
    }

    /// The conflicts of which the store may name any.
    fn refuses(&self, commit: &Commit) -> Option<Vec<Conflict>> {
        let streams = commit.appends.iter().filter_map(|append| {
            let actual = self.streams.get(&append.stream).copied().unwrap_or(0);
            let stream = append.stream.to_string();
            (!append.expected.holds(actual)).then_some(Conflict::Stream { stream, actual })
        });
        let documents = commit.documents.iter().filter_map(|write| {
            let (collection, id) = (write.key.collection.to_string(), write.key.id.clone());
            let actual = self.document(&id);
            let conflict = Conflict::Document { collection, id, actual };
            (!write.expected.holds(actual)).then_some(conflict)
        });
        let conflicts = streams.chain(documents).collect::<Vec<_>>();
        (!conflicts.is_empty()).then_some(conflicts)
    }

    fn apply(&mut self, commit: Commit, position: Position) {
        for append in &commit.appends {
            let version = self.streams.entry(append.stream.clone()).or_default();
            for event in &append.events {
                *version += 1;
                self.log.push((append.stream.clone(), *version, event.id()));
            }
        }
        for write in &commit.documents {
            let (version, there) = self.documents.entry(write.key.id.clone()).or_default();
            if write.body.is_some() || *there {
                (*version, *there) = (*version + 1, write.body.is_some());
            }
        }
        self.head = position;
        self.done.push((commit, position));
    }
}
