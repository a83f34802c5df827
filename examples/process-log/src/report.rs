//! Reads the log once and counts.

use std::collections::{BTreeMap, HashMap};

use cqrs_core::{Aggregate, BoxError, Filter, ReadLog, Store, Timestamp};
use futures_util::StreamExt;
use serde::Serialize;

use crate::case::{ActivityDone, Case};

#[derive(Debug, Serialize)]
struct Report {
    cases: usize,
    events: u64,
    activities: BTreeMap<String, u64>,
    variants: usize,
    top_variant: u64,
    median_case_seconds: Option<f64>,
    busiest_resource: Option<String>,
}

/// What the report knows of a case.
struct Seen {
    activities: Vec<u32>,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Default)]
struct Counting {
    cases: HashMap<String, Seen>,
    names: HashMap<String, u32>,
    by_activity: Vec<u64>,
    by_resource: HashMap<String, u64>,
    events: u64,
}

pub(crate) async fn print(store: &dyn Store) -> Result<(), BoxError> {
    let mut counting = Counting::default();
    let filter = Filter { categories: vec![Case::CATEGORY.into()], ..Filter::of::<ActivityDone>() };
    let mut pages = store.read_log(ReadLog::after(0).filter(filter));
    while let Some(page) = pages.next().await {
        for event in page?.iter() {
            if let Some(event) = event.decode::<ActivityDone>()? {
                counting.add(event.stream, event.data);
            }
        }
    }
    println!("{}", serde_json::to_string_pretty(&counting.report())?);
    Ok(())
}

impl Counting {
    fn add(&mut self, case: &str, done: ActivityDone) {
        self.events += 1;
        let next = self.by_activity.len() as u32;
        let activity = *self.names.entry(done.activity).or_insert(next);
        if activity == next {
            self.by_activity.push(0);
        }
        self.by_activity[activity as usize] += 1;
        if !done.resource.is_empty() {
            *self.by_resource.entry(done.resource).or_default() += 1;
        }
        match self.cases.get_mut(case) {
            Some(seen) => {
                seen.activities.push(activity);
                seen.first = seen.first.min(done.at);
                seen.last = seen.last.max(done.at);
            }
            None => {
                let seen = Seen { activities: vec![activity], first: done.at, last: done.at };
                self.cases.insert(case.to_owned(), seen);
            }
        }
    }

    fn report(self) -> Report {
        let mut variants: HashMap<&[u32], u64> = HashMap::new();
        for seen in self.cases.values() {
            *variants.entry(&seen.activities).or_default() += 1;
        }
        let busiest = self.by_resource.iter().max_by_key(|(name, count)| {
            // Of equally busy ones, the first by name.
            (**count, std::cmp::Reverse((*name).clone()))
        });
        let activities = self.names.iter();
        let activities = activities.map(|(name, n)| (name.clone(), self.by_activity[*n as usize]));
        Report {
            cases: self.cases.len(),
            events: self.events,
            activities: activities.collect(),
            variants: variants.len(),
            top_variant: variants.values().copied().max().unwrap_or(0),
            median_case_seconds: median_seconds(self.cases.values()),
            busiest_resource: busiest.map(|(name, _)| name.clone()),
        }
    }
}

fn median_seconds<'a>(cases: impl Iterator<Item = &'a Seen>) -> Option<f64> {
    let mut micros: Vec<_> = cases.map(|c| c.last.duration_since(c.first).as_micros()).collect();
    micros.sort_unstable();
    let middle = micros.len() / 2;
    match micros.len() {
        0 => None,
        n if n % 2 == 1 => Some(micros[middle] as f64 / 1e6),
        _ => Some((micros[middle - 1] + micros[middle]) as f64 / 2e6),
    }
}
