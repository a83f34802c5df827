//! The domain: a case is the sequence of what was done for it.

use std::collections::HashMap;

use cqrs_core::{
    Aggregate, Command, Context, Decide, Decision, Error, Event, EventType, Never, Request,
    RequestKind, Result, Timestamp, Wire,
};
use serde::{Deserialize, Serialize};

/// Something was done for a case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ActivityDone {
    pub(crate) activity: String,
    pub(crate) resource: String,
    pub(crate) at: Timestamp,
}

impl Event for ActivityDone {
    const TYPES: &'static [EventType] = &[EventType::new("case.activity_done", "ActivityDone")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// A case: what was done for it so far.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// How often each was done: files hold some rows twice, and mean it.
    done: HashMap<ActivityDone, u32>,
    last: Option<ActivityDone>,
}

impl Case {
    pub(crate) fn activities(&self) -> u32 {
        self.done.values().sum()
    }

    pub(crate) fn last(&self) -> Option<&ActivityDone> {
        self.last.as_ref()
    }
}

impl Aggregate for Case {
    const CATEGORY: &'static str = "case";
    type Id = String;
    type Event = ActivityDone;

    fn apply(&mut self, event: &ActivityDone) {
        *self.done.entry(event.clone()).or_default() += 1;
        self.last = Some(event.clone());
    }
}

/// Record that something was done: one row of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RecordActivity {
    pub(crate) case: String,
    pub(crate) done: ActivityDone,
    /// How many rows that say the same come before it in the file.
    pub(crate) repeats: u32,
}

impl Command for RecordActivity {}

impl Request for RecordActivity {
    const NAME: &'static str = "case.record_activity";
    const KIND: RequestKind = RequestKind::Command;
    /// Whether it is news.
    type Output = bool;
    type Error = Never;

    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }

    fn validate(&self) -> Result<()> {
        named("case", &self.case)?;
        named("activity", &self.done.activity)?;
        bounded("resource", &self.done.resource)
    }
}

fn named(field: &'static str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::invalid_field(field, "it is empty"));
    }
    bounded(field, text)
}

fn bounded(field: &'static str, text: &str) -> Result<()> {
    if text.len() > 1024 {
        return Err(Error::invalid_field(field, format!("{} bytes, at most 1,024", text.len())));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid_field(field, "it holds a control character"));
    }
    Ok(())
}

impl Decide<RecordActivity> for Case {
    fn target(command: &RecordActivity) -> String {
        command.case.clone()
    }

    fn decide(
        &self,
        command: &RecordActivity,
        _: &Context<'_>,
    ) -> Result<Decision<ActivityDone, bool>, Never> {
        let known = self.done.get(&command.done).copied().unwrap_or(0);
        if known > command.repeats {
            return Ok(Decision::nothing().returning(false));
        }
        Ok(Decision::event(command.done.clone()).returning(true))
    }
}

#[cfg(test)]
mod tests {
    use cqrs_testing::scenario::Scenario;

    use super::*;

    fn checked() -> ActivityDone {
        let at = "2024-03-04T08:00:00+01:00".parse().expect("a time");
        ActivityDone { activity: "Check".into(), resource: "Mina".into(), at }
    }

    fn record(repeats: u32) -> RecordActivity {
        RecordActivity { case: "a".into(), done: checked(), repeats }
    }

    #[test]
    fn a_row_is_recorded_once() {
        Scenario::<Case>::given_nothing()
            .when(&record(0))
            .then_output(&true)
            .then([checked()])
            .when(&record(0))
            .then_output(&false)
            .then_nothing();
    }

    #[test]
    fn the_second_of_two_rows_that_say_the_same_is_news() {
        Scenario::<Case>::given([checked()]).when(&record(1)).then([checked()]);
    }

    #[test]
    fn a_row_without_a_case_or_an_activity_is_invalid() {
        let nameless = RecordActivity { case: String::new(), ..record(0) };
        assert!(nameless.validate().is_err());
        let mut idle = record(0);
        idle.done.activity.clear();
        assert!(idle.validate().is_err());
    }
}
