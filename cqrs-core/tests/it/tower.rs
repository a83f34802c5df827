//! A tower that counts what it hears: the small domain of several tests.

use cqrs_core::{
    Aggregate, Command, Context, Decide, Decision, Event, EventType, Never, Request, RequestKind,
    Wire,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default)]
pub(crate) struct Tower(pub(crate) Vec<u64>);
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Heard {
    pub(crate) n: u64,
}
impl Event for Heard {
    const TYPES: &'static [EventType] = &[EventType::new("tower.heard", "Heard")];
    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}
impl Aggregate for Tower {
    const CATEGORY: &'static str = "tower";
    type Id = String;
    type Event = Heard;
    fn apply(&mut self, event: &Heard) {
        self.0.push(event.n);
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hear {
    pub(crate) n: u64,
}
impl Command for Hear {}
impl Request for Hear {
    const NAME: &'static str = "tower.hear";
    const KIND: RequestKind = RequestKind::Command;
    type Output = ();
    type Error = Never;
    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }
    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}
impl Decide<Hear> for Tower {
    fn target(_: &Hear) -> String {
        "old".into()
    }
    fn decide(&self, c: &Hear, _: &Context<'_>) -> Result<Decision<Heard>, Never> {
        Ok(Decision::event(Heard { n: c.n }))
    }
}
