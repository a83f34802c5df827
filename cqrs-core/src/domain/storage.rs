//! How an aggregate is stored: as its events, with snapshots of them, or as a document beside them.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::aggregate::Aggregate;
use crate::domain::snapshots::Snapshots;
use crate::error::BoxError;
use crate::message::payload::Json;
use crate::port::document::DocumentKey;
use crate::port::stream_id::StreamId;
use crate::schema::entity::Entity;

/// How an aggregate is stored: what [`Aggregate::storage`] says. Its events are recorded whatever it
/// says.
///
/// ```
/// use cqrs_core::{Aggregate, Storage};
/// # use cqrs_core::{Event, EventType};
/// use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # struct Deposited { amount: u64 }
/// # impl Event for Deposited {
/// #     const TYPES: &'static [EventType] = &[EventType::new("bank.deposited", "Deposited")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
///
/// #[derive(Debug, Default, Serialize, Deserialize)]
/// struct Account { balance: u64 }
///
/// impl Aggregate for Account {
///     const CATEGORY: &'static str = "account";
///     type Id = String;
///     type Event = Deposited;
///     fn apply(&mut self, event: &Deposited) { self.balance += event.amount; }
///     fn storage() -> Storage<Self> { Storage::snapshots(100) }
/// }
///
/// let back = Account::storage().restored(&Account { balance: 5 }).unwrap().unwrap();
/// assert_eq!(back.balance, 5);
/// ```
pub struct Storage<A>(pub(crate) Kind<A>);

pub(crate) enum Kind<A> {
    Events,
    Snapshots(Snapshots<A>),
    Document(Whole<A>),
}

/// How a state is written, and read again.
pub(crate) struct Form<A> {
    pub(crate) encode: fn(&A) -> Result<Json, BoxError>,
    pub(crate) decode: fn(&str) -> Result<A, BoxError>,
}

/// A state that is stored as a document.
pub(crate) struct Whole<A> {
    pub(crate) form: Form<A>,
    pub(crate) id: fn(&A) -> String,
    pub(crate) is_deleted: fn(&A) -> bool,
    collection: &'static str,
}

impl<A> Whole<A> {
    /// Its document has the id of its stream.
    pub(crate) fn key(&self, stream: &StreamId) -> DocumentKey {
        DocumentKey {
            tenant: stream.tenant.clone(),
            ..DocumentKey::new(self.collection, &*stream.id)
        }
    }
}

impl<A: Aggregate> Storage<A> {
    /// As its events: a load folds all of them. The default.
    pub const fn events() -> Self {
        Self(Kind::Events)
    }

    /// As its events, with a snapshot of the state whenever so many came since the last one (at least
    /// one): a load folds those that came after it.
    ///
    /// A snapshot is written in the commit of the events that make it due, and read in the reading of
    /// the events. It is derived data: one that is missing or cannot be decoded is made anew from the
    /// events, and it never makes a commit fail. One that is larger than the store takes is left out.
    ///
    /// The state must come back from its JSON as it was: what `#[serde(skip)]` leaves out, a load
    /// with a snapshot does not have. A scenario of `cqrs-testing` sends the state through it, so
    /// that a test finds out.
    ///
    /// # Which snapshots are read
    /// Those with the same *schema*, a digest of
    /// - the category, the aggregate's type by its path, and the [version](Self::version) that is
    ///   given here,
    /// - the names and versions of the events ([`Event::TYPES`](crate::Event::TYPES)),
    /// - the shape of the state as its `Deserialize` tells it: names of types, fields and variants,
    ///   and kinds of values, all the way down,
    /// - the shape of the default state as it is serialized: names of fields and kinds of values.
    ///
    /// When one of them changes, the snapshots from before are ignored, the states are folded from
    /// all events once more, and the next command on an aggregate writes a new one. Two versions of a
    /// program that run side by side have snapshots of their own.
    ///
    /// Not covered is what no type tells: **when only `apply` changes**, or an
    /// [`Upcaster`](crate::Upcaster), or what a field means, raise the [version](Self::version).
    ///
    /// The same goes for what serde reads without saying what it expects. Of that no change shows,
    /// and a snapshot from before a new optional field would be read without it:
    /// - what is behind `untagged` and `tag`, in a `serde_json::Value`, and in a `Deserialize` written
    ///   by hand that asks for anything,
    /// - all fields of a struct that has a `flatten`, its own as well,
    /// - what follows, in a tuple, a value with rules that none of the usual ones keeps: ids, times,
    ///   addresses and the like are tried.
    ///
    /// [`unseen`](Self::unseen) tells where that is. Unless a version is given, it is also told once,
    /// as a warning, when the first such aggregate is used.
    ///
    /// # What a snapshot hides
    /// The events before it are not read. One among them that this code cannot decode is noticed when
    /// the state is folded anew, not before; one after it fails every load (P6).
    ///
    /// A snapshot holds what its events held. Who erases something from events must have their
    /// snapshots [forgotten](crate::SnapshotWrite::Forget) in the same commit.
    pub fn snapshots(every: u64) -> Self
    where
        A: Serialize + DeserializeOwned,
    {
        Self(Kind::Snapshots(Snapshots::every(every)))
    }

    /// As a document: commands decide on what the document says, and the new one is written in one
    /// commit with the events. It is found by its fields with [`Documents`](crate::Documents), its
    /// collection is declared there, and its events are for those who follow the log.
    ///
    /// The state after a decision is the document with the decided events applied. It must have the id
    /// that the stream has ([`Entity::id`] is [`AggregateId::key`](crate::AggregateId::key)), from the
    /// first event on.
    ///
    /// A commit expects both the document and the stream as they were read, so that neither is changed
    /// without the other by two commands at once. A value that another document holds in a unique
    /// field is a conflict, which is met with one more decision. Who writes the document otherwise,
    /// with [`Work::save`](crate::Work::save), leaves no event, and the next command begins with it.
    ///
    /// The document counts, not the events: one that is not there is one that does not
    /// [exist](crate::Context::exists), though its stream may have events from before it was deleted.
    /// A document that cannot be decoded is an error; it is not made anew, and one that could not be
    /// decoded is not written. A state of the past
    /// ([`Repository::load_at`](crate::Repository::load_at)) is folded from the events, and is as
    /// complete as they are.
    ///
    /// # Aggregates that were stored as their events
    /// They have no documents, so none of them exists until its document is written. Do that once, with
    /// [`Repository::rebuild`](crate::Repository::rebuild) for each stream of the category, before
    /// the first command. Nothing tells such a stream from one whose document was deleted without an
    /// event, so it is not done by itself.
    ///
    /// ```
    /// use cqrs_core::{Aggregate, Entity, Storage};
    /// # use cqrs_core::{Event, EventType};
    /// use serde::{Deserialize, Serialize};
    /// # #[derive(Debug, Clone, Serialize, Deserialize)]
    /// # enum TutorEvent { Registered { id: String, city: String }, Moved { city: String } }
    /// # impl Event for TutorEvent {
    /// #     const TYPES: &'static [EventType] = &[
    /// #         EventType::new("tutor.registered", "Registered"),
    /// #         EventType::new("tutor.moved", "Moved"),
    /// #     ];
    /// #     fn event_type(&self) -> &'static EventType {
    /// #         match self { Self::Registered { .. } => &Self::TYPES[0], Self::Moved { .. } => &Self::TYPES[1] }
    /// #     }
    /// # }
    ///
    /// #[derive(Debug, Default, Serialize, Deserialize)]
    /// struct Tutor { id: String, city: String }
    ///
    /// impl Entity for Tutor {
    ///     const COLLECTION: &'static str = "tutor";
    ///     const INDEXED: &'static [&'static str] = &["city"];
    ///     fn id(&self) -> String { self.id.clone() }
    /// }
    ///
    /// impl Aggregate for Tutor {
    ///     const CATEGORY: &'static str = "tutor";
    ///     type Id = String;
    ///     type Event = TutorEvent;
    ///     fn apply(&mut self, event: &TutorEvent) {
    ///         match event {
    ///             TutorEvent::Registered { id, city } => (self.id, self.city) = (id.clone(), city.clone()),
    ///             TutorEvent::Moved { city } => self.city = city.clone(),
    ///         }
    ///     }
    ///     fn storage() -> Storage<Self> { Storage::document() }
    /// }
    /// ```
    pub fn document() -> Self
    where
        A: Entity,
    {
        Self(Kind::Document(Whole {
            form: Form::json(),
            id: Entity::id,
            is_deleted: |_| false,
            collection: A::COLLECTION,
        }))
    }

    /// Deletes the document in the commit of an event after which this holds. From there on the state
    /// is the default one and does not [exist](crate::Context::exists): what follows begins anew,
    /// whether it is in the same decision, the same [`Work`](crate::Work) or a later one, and a state
    /// of the past is folded in the same way. For an aggregate that is stored otherwise it says
    /// nothing.
    ///
    /// `Storage::document().deleted_if(|account: &Account| account.closed)`
    #[must_use]
    pub const fn deleted_if(mut self, is_deleted: fn(&A) -> bool) -> Self {
        if let Kind::Document(whole) = &mut self.0 {
            whole.is_deleted = is_deleted;
        }
        self
    }

    /// Whether nothing is left of an aggregate that has come to this state
    /// ([`deleted_if`](Self::deleted_if)): for tests.
    pub fn deletes(&self, state: &A) -> bool {
        matches!(&self.0, Kind::Document(whole) if (whole.is_deleted)(state))
    }

    /// Another version of what the snapshots say, from 1: those of other versions are ignored. To be
    /// raised when the meaning of the state changes and its shape does not. For an aggregate without
    /// snapshots it says nothing.
    #[must_use]
    pub const fn version(mut self, version: u32) -> Self {
        if let Kind::Snapshots(snapshots) = &mut self.0 {
            snapshots.version = Some(version);
        }
        self
    }

    /// The places of the state of which the [schema](Self::snapshots) of its snapshots does not see
    /// what is in them: where something changes there, raise the [version](Self::version). Empty for
    /// an aggregate without snapshots.
    ///
    /// ```
    /// use cqrs_core::{Aggregate, Storage};
    /// # use cqrs_core::{Event, EventType};
    /// use serde::{Deserialize, Serialize};
    /// # #[derive(Debug, Clone, Serialize, Deserialize)]
    /// # struct Noted;
    /// # impl Event for Noted {
    /// #     const TYPES: &'static [EventType] = &[EventType::new("notes.noted", "Noted")];
    /// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
    /// # }
    ///
    /// #[derive(Debug, Default, Serialize, Deserialize)]
    /// struct Notes { count: u64, last: serde_json::Value }
    ///
    /// impl Aggregate for Notes {
    ///     const CATEGORY: &'static str = "notes";
    ///     type Id = String;
    ///     type Event = Noted;
    ///     fn apply(&mut self, _: &Noted) { self.count += 1; }
    ///     fn storage() -> Storage<Self> { Storage::snapshots(100).version(1) }
    /// }
    /// assert_eq!(Notes::storage().unseen(), ["last"]);
    /// ```
    pub fn unseen(&self) -> Vec<String> {
        match &self.0 {
            Kind::Snapshots(snapshots) => snapshots.unseen(),
            Kind::Events | Kind::Document(_) => Vec::new(),
        }
    }

    /// The state as it comes back from where it is stored: for tests. `None`: it is always folded
    /// from its events. See [`Storage`] for an example.
    ///
    /// # Errors
    /// When the state cannot be encoded, or not be decoded again.
    pub fn restored(&self, state: &A) -> Result<Option<A>, BoxError> {
        let form = match &self.0 {
            Kind::Events => return Ok(None),
            Kind::Snapshots(snapshots) => &snapshots.form,
            Kind::Document(whole) => &whole.form,
        };
        (form.decode)((form.encode)(state)?.as_str()).map(Some)
    }
}

impl<A: Serialize + DeserializeOwned> Form<A> {
    pub(crate) fn json() -> Self {
        Self { encode: |state| Json::encode(state), decode: |body| Ok(serde_json::from_str(body)?) }
    }
}

impl<A> fmt::Debug for Storage<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Events => f.write_str("Events"),
            Kind::Snapshots(Snapshots { every, version, .. }) => f
                .debug_struct("Snapshots")
                .field("every", every)
                .field("version", &version.unwrap_or(1))
                .finish_non_exhaustive(),
            Kind::Document(Whole { collection, .. }) => {
                f.debug_struct("Document").field("collection", collection).finish_non_exhaustive()
            }
        }
    }
}
