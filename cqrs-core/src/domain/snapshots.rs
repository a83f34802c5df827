//! What the snapshots of an aggregate are made of, and by what those of other code are told apart.

use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::aggregate::Aggregate;
use crate::domain::shape;
use crate::domain::storage::Form;
use crate::message::event::Event;
use crate::message::fingerprint::{Fingerprint, Fingerprinter};

/// How often there is one, and what is in it.
pub(crate) struct Snapshots<A> {
    pub(crate) every: u64,
    pub(crate) form: Form<A>,
    /// `None`: the author says none, which is 1.
    pub(super) version: Option<u32>,
    add_shape: fn(&mut Fingerprinter) -> Vec<String>,
}

/// The schemas that were asked for, by aggregate and version: looking at a type takes longer than
/// loading an aggregate.
static SCHEMAS: LazyLock<RwLock<HashMap<(TypeId, u32), Fingerprint>>> =
    LazyLock::new(RwLock::default);

impl<A: Aggregate> Snapshots<A> {
    pub(super) fn every(every: u64) -> Self
    where
        A: Serialize + DeserializeOwned,
    {
        let every = every.max(1);
        Self { every, form: Form::json(), version: None, add_shape: add_shape::<A> }
    }

    /// See [`Storage::unseen`](crate::Storage::unseen).
    pub(super) fn unseen(&self) -> Vec<String> {
        (self.add_shape)(&mut Fingerprinter::new())
    }

    /// What the snapshots are made of. See [`Storage::snapshots`](crate::Storage::snapshots).
    pub(crate) fn schema(&self) -> Fingerprint {
        let version = self.version.unwrap_or(1);
        let key = (TypeId::of::<A>(), version);
        if let Some(schema) = SCHEMAS.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return *schema;
        }
        let mut f = Fingerprinter::new();
        f.text("state as JSON");
        f.text(A::CATEGORY);
        // Two kinds of aggregates may share streams and look alike, and come to something else.
        f.text(type_name::<A>());
        f.number(u64::from(version));
        f.each(A::Event::TYPES, |f, event_type| {
            f.text(event_type.name);
            f.number(u64::from(event_type.version));
        });
        let unseen = (self.add_shape)(&mut f);
        if self.version.is_none() && !unseen.is_empty() {
            tracing::warn!(
                aggregate = type_name::<A>(),
                places = unseen.join(", "),
                "a change of the state shows in the schema of its snapshots, but for these places: \
                 when one of them changes, raise `Storage::version`"
            );
        }
        let schema = f.finish();
        SCHEMAS.write().unwrap_or_else(PoisonError::into_inner).insert(key, schema);
        schema
    }
}

/// How the state is read, and what the default one looks like: that sees what `flatten` and tags
/// hide.
fn add_shape<A: Aggregate + Serialize + DeserializeOwned>(f: &mut Fingerprinter) -> Vec<String> {
    let unseen = shape::add::<A>(f);
    f.option(serde_json::to_value(A::default()).ok().as_ref(), add_outline);
    unseen
}

/// The kinds of values, and the names in objects. A list may be of any length.
fn add_outline(f: &mut Fingerprinter, value: &Value) {
    match value {
        Value::Null => f.number(0),
        Value::Bool(_) => f.number(1),
        Value::Number(_) => f.number(2),
        Value::String(_) => f.number(3),
        Value::Array(_) => f.number(4),
        Value::Object(fields) => {
            f.number(5);
            let mut names: Vec<_> = fields.keys().collect();
            names.sort_unstable();
            f.number(names.len() as u64);
            for name in names {
                f.text(name);
                add_outline(f, &fields[name]);
            }
        }
    }
}
