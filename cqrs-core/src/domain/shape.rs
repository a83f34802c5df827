//! The shape of a type as its `Deserialize` tells it: the names of fields and variants, the kinds of
//! values, all the way down.
//!
//! A deserializer is asked for what a type needs. A [`Probe`] answers with the names of one field,
//! one variant or one element at a time, notes what is asked of it there, and breaks off. Values are
//! made for nothing but the elements of a tuple that stand before the one that is looked at; where
//! one has rules of its own, samples are tried until it takes one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;

use serde::de::DeserializeOwned;

use crate::domain::probe::Probe;
use crate::domain::sample::Samples;
use crate::message::fingerprint::Fingerprinter;

/// How deep is looked.
const DEPTH: usize = 32;

/// How many places are looked at, the shallow ones first.
const PLACES: usize = 4_096;

/// How often a place is looked for with other samples.
const TRIES: usize = 256;

/// Adds the shape of `T`. What it does not see: the places, from the outermost in.
pub(crate) fn add<T: DeserializeOwned>(f: &mut Fingerprinter) -> Vec<String> {
    let mut known = Known::default();
    let mut ahead = VecDeque::from([(Vec::new(), String::new())]);
    let mut unseen = Vec::new();
    let mut places = 1;
    while let Some((path, at)) = ahead.pop_front() {
        let place = look::<T>(&path);
        if place.hides {
            unseen.push(if at.is_empty() { "all of it".to_owned() } else { at.clone() });
        }
        f.number(path.len() as u64);
        f.text(place.kind);
        f.text(place.name);
        f.each(place.names, |f, name| f.text(name));
        f.number(place.inside as u64);
        // Whoever holds itself has no end, and what was looked into once need not be again.
        if let Some(before) = known.before(&place) {
            f.number(before);
            continue;
        }
        let inside = if place.is_alike { place.inside.min(1) } else { place.inside };
        if inside > 0 && (path.len() == DEPTH || places + inside > PLACES) {
            unseen.push(format!("{at} and deeper"));
            continue;
        }
        places += inside;
        for step in 0..inside {
            let path = path.iter().copied().chain([step]).collect();
            ahead.push_back((path, place.label(&at, step)));
        }
    }
    unseen
}

/// What is asked for at the end of a path.
fn look<T: DeserializeOwned>(path: &[usize]) -> Place {
    let samples = Samples::default();
    for _ in 0..TRIES {
        let mut found = None;
        // It breaks off, always.
        let _ = T::deserialize(Probe { path, found: &mut found, samples: &samples });
        if let Some(place) = found {
            return place;
        }
        if !samples.others() {
            break;
        }
    }
    Place { hides: true, ..Place::leaf("unseen") }
}

/// The types that were looked into, by the number under which they came up.
#[derive(Default)]
struct Known(HashMap<(&'static str, Type, &'static str), u64>);

impl Known {
    fn before(&mut self, place: &Place) -> Option<u64> {
        let next = self.0.len() as u64;
        match self.0.entry((place.kind, place.of?, place.name)) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(new) => {
                new.insert(next);
                None
            }
        }
    }
}

/// What tells types of one name apart within a process, by the names that the compiler has for the
/// visitor and its value. They are no part of the shape: another compiler has others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Type(&'static str, &'static str);

impl Type {
    pub(super) fn of<Visitor, Value>() -> Self {
        Self(std::any::type_name::<Visitor>(), std::any::type_name::<Value>())
    }

    /// A plain array, which a deserializer is asked for as it is for a tuple.
    pub(super) fn is_array(self) -> bool {
        self.1.starts_with('[')
    }
}

/// What is asked for at a place.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    pub(super) names: &'static [&'static str],
    /// How many places are inside.
    pub(super) inside: usize,
    /// All of them are the same.
    pub(super) is_alike: bool,
    /// Something is there that is not told.
    pub(super) hides: bool,
    /// `None`: not a type of its own.
    pub(super) of: Option<Type>,
}

impl Place {
    pub(super) const fn leaf(kind: &'static str) -> Self {
        Self { kind, name: "", names: &[], inside: 0, is_alike: false, hides: false, of: None }
    }

    /// How a place inside is called.
    fn label(&self, at: &str, step: usize) -> String {
        let dot = if at.is_empty() { "" } else { "." };
        match (self.kind, self.names.get(step)) {
            ("enum", Some(variant)) => format!("{at}::{variant}"),
            (_, Some(field)) => format!("{at}{dot}{field}"),
            ("map", None) => format!("{at}[{}]", if step == 0 { "key" } else { "value" }),
            ("seq", None) => format!("{at}[]"),
            ("option" | "newtype", None) => at.to_owned(),
            (_, None) => format!("{at}{dot}{step}"),
        }
    }
}

/// Breaks off.
#[derive(Debug)]
pub(super) struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("looked at")
    }
}

impl std::error::Error for Stop {}

impl serde::de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
