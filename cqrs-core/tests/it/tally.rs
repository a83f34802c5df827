//! An aggregate whose state tells the order of its events, stored in every way there is.

use cqrs_core::{
    Aggregate, Command, Context, Decide, Decision, Event, EventType, Rejection, Request,
    RequestKind, Storage, Wire,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Step {
    Pushed { value: i64 },
    Doubled,
}

impl Event for Step {
    const TYPES: &'static [EventType] =
        &[EventType::new("tally.pushed", "Pushed"), EventType::new("tally.doubled", "Doubled")];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::Pushed { .. } => &Self::TYPES[0],
            Self::Doubled => &Self::TYPES[1],
        }
    }
}

/// Pushes a value, unless the sum is `limit` or more; `times` times in one decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Push {
    pub(crate) id: u32,
    pub(crate) value: i64,
    pub(crate) times: usize,
    pub(crate) limit: i64,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[error("the sum is {sum} already")]
pub(crate) struct Full {
    pub(crate) sum: i64,
}

impl Rejection for Full {
    fn code(&self) -> &'static str {
        "tally.full"
    }
}

impl Command for Push {}

impl Request for Push {
    const NAME: &'static str = "tally.push";
    const KIND: RequestKind = RequestKind::Command;
    type Output = i64;
    type Error = Full;

    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }
}

pub(crate) fn push(value: i64) -> Push {
    Push { id: 1, value, times: 1, limit: i64::MAX }
}

/// What every kind of tally does.
pub(crate) trait Tally:
    Aggregate<Id = u32, Event = Step> + PartialEq + std::fmt::Debug
{
    fn sum(&self) -> i64;
    fn sum_mut(&mut self) -> &mut i64;

    fn take(&mut self, step: &Step) {
        let sum = self.sum_mut();
        *sum = match step {
            Step::Pushed { value } => sum.wrapping_add(*value),
            Step::Doubled => sum.wrapping_mul(2),
        };
    }

    fn decide_on(&self, c: &Push) -> Result<Decision<Step, i64>, Full> {
        if self.sum() >= c.limit {
            return Err(Full { sum: self.sum() });
        }
        let pushed = std::iter::repeat_n(Step::Pushed { value: c.value }, c.times);
        Ok(Decision::events(pushed).returning(self.sum()))
    }
}

macro_rules! tally {
    ($(#[$doc:meta])* $name:ident $(<const $n:ident: u64>)? in $category:literal, $storage:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
        pub(crate) struct $name $(<const $n: u64>)? {
            sum: i64,
        }

        impl $(<const $n: u64>)? Tally for $name $(<$n>)? {
            fn sum(&self) -> i64 {
                self.sum
            }

            fn sum_mut(&mut self) -> &mut i64 {
                &mut self.sum
            }
        }

        impl $(<const $n: u64>)? Aggregate for $name $(<$n>)? {
            const CATEGORY: &'static str = $category;
            type Id = u32;
            type Event = Step;

            fn apply(&mut self, event: &Step) {
                self.take(event);
            }

            fn storage() -> Storage<Self> {
                $storage
            }
        }

        impl $(<const $n: u64>)? Decide<Push> for $name $(<$n>)? {
            fn target(command: &Push) -> u32 {
                command.id
            }

            fn decide(&self, c: &Push, _: &Context<'_>) -> Result<Decision<Step, i64>, Full> {
                self.decide_on(c)
            }
        }
    };
}

tally! {
    /// Folded from all its events.
    Folded in "tally", Storage::events()
}
tally! {
    /// With a snapshot every `N` events, of the same streams as [`Folded`].
    Snapped<const N: u64> in "tally", Storage::snapshots(N)
}
tally! {
    /// The same with another schema.
    Newer in "tally", Storage::snapshots(3).version(2)
}
tally! {
    /// With a snapshot of every event, which grows too large.
    Large in "tally", Storage::snapshots(1)
}
