//! An aggregate that is stored as a document, and deleted when it retires.

use cqrs_core::{
    Aggregate, Command, Context, Decide, Decision, Documents, Entity, Event, EventType, Failure,
    Metadata, ReadLog, Rejection, Repository, Request, RequestKind, Storage, Store, Wire,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use crate::watched::Watched;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum TutorEvent {
    Registered { id: String, email: String },
    Moved { city: String },
    Retired,
}

impl Event for TutorEvent {
    const TYPES: &'static [EventType] = &[
        EventType::new("tutor.registered", "Registered"),
        EventType::new("tutor.moved", "Moved"),
        EventType::new("tutor.retired", "Retired"),
    ];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::Registered { .. } => &Self::TYPES[0],
            Self::Moved { .. } => &Self::TYPES[1],
            Self::Retired => &Self::TYPES[2],
        }
    }
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tutor {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) city: String,
    pub(crate) moves: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) retired: bool,
}

impl Entity for Tutor {
    const COLLECTION: &'static str = "tutor";
    const UNIQUE: &'static [&'static str] = &["email"];
    const INDEXED: &'static [&'static str] = &["city"];

    fn id(&self) -> String {
        self.id.clone()
    }
}

impl Aggregate for Tutor {
    const CATEGORY: &'static str = "tutor";
    type Id = String;
    type Event = TutorEvent;

    fn apply(&mut self, event: &TutorEvent) {
        match event {
            TutorEvent::Registered { id, email } => {
                *self = Self { id: id.clone(), email: email.clone(), ..Self::default() };
            }
            TutorEvent::Moved { city } => {
                self.city.clone_from(city);
                self.moves += 1;
            }
            TutorEvent::Retired => self.retired = true,
        }
    }

    fn storage() -> Storage<Self> {
        Storage::document().deleted_if(|tutor: &Self| tutor.retired)
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub(crate) enum No {
    #[error("there is one already")]
    Exists,
    #[error("there is none")]
    Missing,
    #[error("it has moved {0} times")]
    Restless(u32),
}

impl Rejection for No {
    fn code(&self) -> &'static str {
        "tutor.no"
    }
}

macro_rules! command {
    ($name:ident { $($field:ident),* } = $wire:literal, |$tutor:ident, $c:ident, $context:ident| $decide:expr) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub(crate) struct $name { pub(crate) id: String, $($field: String),* }

        impl Command for $name {}

        impl Request for $name {
            const NAME: &'static str = $wire;
            const KIND: RequestKind = RequestKind::Command;
            type Output = u64;
            type Error = No;

            fn wire() -> Option<Wire<Self>> {
                Some(Wire::json())
            }
        }

        impl Decide<$name> for Tutor {
            fn target(command: &$name) -> String {
                command.id.clone()
            }

            fn decide(
                &self,
                $c: &$name,
                $context: &Context<'_>,
            ) -> Result<Decision<TutorEvent, u64>, No> {
                let $tutor = self;
                let events: Vec<TutorEvent> = $decide?;
                Ok(Decision::events(events).returning($context.version()))
            }
        }
    };
}

command!(Register { email } = "tutor.register", |_tutor, c, context| {
    match context.exists() {
        true => Err(No::Exists),
        false => Ok(vec![TutorEvent::Registered { id: c.id.clone(), email: c.email.clone() }]),
    }
});
command!(Move { city } = "tutor.move", |tutor, c, context| {
    match (context.exists(), tutor.city == c.city) {
        (false, _) => Err(No::Missing),
        (true, true) => Ok(Vec::new()),
        (true, false) if tutor.moves >= 100 => Err(No::Restless(tutor.moves)),
        (true, false) => Ok(vec![TutorEvent::Moved { city: c.city.clone() }]),
    }
});
command!(Retire {} = "tutor.retire", |_tutor, _c, context| {
    match context.exists() {
        true => Ok(vec![TutorEvent::Retired]),
        false => Err(No::Missing),
    }
});
// Registers under an id that is not the stream's.
command!(Mislabel {} = "tutor.mislabel", |_tutor, _c, _context| {
    Ok(vec![TutorEvent::Registered { id: "somebody else".into(), email: "x".into() }])
});

pub(crate) fn register(id: &str, email: &str) -> Register {
    Register { id: id.into(), email: email.into() }
}

pub(crate) fn moving(id: &str, city: &str) -> Move {
    Move { id: id.into(), city: city.into() }
}

pub(crate) fn retire(id: &str) -> Retire {
    Retire { id: id.into() }
}

pub(crate) async fn declared() -> (Watched, Repository<Tutor>, Documents<Tutor>) {
    let store = Watched::default();
    let documents = Documents::<Tutor>::new(store.shared());
    documents.declare().await.unwrap();
    (store.clone(), Repository::new(store.shared()), documents)
}

pub(crate) async fn send<C: Command>(
    tutors: &Repository<Tutor>,
    command: C,
) -> Result<C::Output, Failure<C::Error>>
where
    Tutor: Decide<C>,
{
    Ok(tutors.execute(&command, &Metadata::default()).await?.output)
}

pub(crate) async fn types(store: &Watched) -> Vec<String> {
    let mut pages = store.read_log(ReadLog::after(0));
    let mut types = Vec::new();
    while let Some(page) = pages.next().await {
        types.extend(page.unwrap().iter().map(|event| event.event_type.to_owned()));
    }
    types
}

#[track_caller]
pub(crate) fn assert_no<T: std::fmt::Debug>(answer: Result<T, Failure<No>>, no: &No) {
    match answer {
        Err(Failure::Rejected(rejection)) => assert_eq!(rejection, *no),
        other => panic!("{other:?}"),
    }
}
