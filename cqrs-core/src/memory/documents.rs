//! The documents of the memory store, with their declared fields indexed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use serde_json::Value;

use crate::error::{Conflict, Error, Result};
use crate::memory::broken;
use crate::message::payload::Json;
use crate::port::Version;
use crate::port::commit::DocumentWrite;
use crate::port::document::{Collection, Document, DocumentKey, FieldValue, FindDocuments};
use crate::schema::mapping::{Change, Mapping};

#[derive(Debug, Default)]
pub(super) struct Documents {
    collections: HashMap<String, Collection>,
    /// A deleted document keeps its version, without a body.
    bodies: BTreeMap<DocumentKey, (Version, Option<Json>)>,
    index: Index,
}

/// Tenant, collection, field and value; then the ids.
type Index = BTreeMap<(Option<Box<str>>, String, String, FieldValue), BTreeSet<String>>;

impl Documents {
    pub(super) fn version(&self, key: &DocumentKey) -> Version {
        match self.bodies.get(key) {
            Some((version, Some(_))) => *version,
            _ => 0,
        }
    }

    pub(super) fn get(&self, key: &DocumentKey) -> Option<Document> {
        let (version, body) = self.bodies.get(key)?;
        Some(Document { id: key.id.clone(), version: *version, body: body.clone()? })
    }

    /// What the writes would make of the documents and their index, or why they cannot be made.
    pub(super) fn plan(&self, writes: &[DocumentWrite]) -> Result<Plan> {
        let mut plan = Plan::default();
        for write in writes {
            let collection = self.collection(&write.key.collection)?;
            if let Some((_, Some(body))) = self.bodies.get(&write.key) {
                plan.remove.extend(entries(collection, &write.key, body)?);
            }
            if let Some(body) = &write.body {
                let Some(mapping) = &collection.mapping else {
                    plan.insert.extend(entries(collection, &write.key, body)?);
                    continue;
                };
                // As a table would have it.
                let cells = mapping.cells(&write.key.collection, &write.key.id, body)?;
                let body = mapping.body(cells);
                plan.insert.extend(entries(collection, &write.key, &body)?);
                plan.rows.insert(write.key.clone(), body);
            }
        }
        let mut taken = BTreeSet::new();
        for entry in &plan.insert {
            let removed =
                |id: &String| plan.remove.iter().any(|r| r.place == entry.place && r.id == *id);
            let others = self.index.get(&entry.place);
            let clash = others.is_some_and(|ids| ids.iter().any(|id| !removed(id)));
            if entry.unique && (clash || !taken.insert(&entry.place)) {
                return Err(entry.conflict());
            }
        }
        Ok(plan)
    }

    pub(super) fn apply(&mut self, mut plan: Plan, writes: Vec<DocumentWrite>) {
        for entry in plan.remove {
            if let Some(ids) = self.index.get_mut(&entry.place) {
                ids.remove(&entry.id);
            }
        }
        for entry in plan.insert {
            self.index.entry(entry.place).or_default().insert(entry.id);
        }
        for DocumentWrite { key, expected: _, body } in writes {
            let body = plan.rows.remove(&key).or(body);
            match self.bodies.get_mut(&key) {
                // A deletion of what is not there stays without a trace.
                Some((_, None)) | None if body.is_none() => {}
                Some((version, old)) => (*version, *old) = (*version + 1, body),
                None => {
                    self.bodies.insert(key, (1, body));
                }
            }
        }
    }

    pub(super) fn declare(&mut self, collection: Collection) -> Result<()> {
        let name = collection.name.clone().into_owned();
        let known = self.collections.get(&name);
        if let Some(known) = known
            && !collection.follows(known)?
        {
            return Ok(());
        }
        let known = known.and_then(|known| known.mapping.as_ref());
        let (mut fresh, mut bodies) = (Index::new(), Vec::new());
        for (key, (_, body)) in self.bodies.iter().filter(|(key, _)| key.collection == name) {
            let Some(body) = body else { continue };
            let mapped = collection.mapping.as_ref();
            let carried = mapped.map(|mapping| carried(known, mapping, key, body)).transpose()?;
            let body = carried.as_ref().unwrap_or(body);
            for entry in entries(&collection, key, body)? {
                let (conflict, unique) = (entry.conflict(), entry.unique);
                let ids = fresh.entry(entry.place).or_default();
                ids.insert(entry.id);
                if unique && ids.len() > 1 {
                    return Err(conflict);
                }
            }
            bodies.extend(carried.map(|body| (key.clone(), body)));
        }
        for (key, body) in bodies {
            if let Some((_, old)) = self.bodies.get_mut(&key) {
                *old = Some(body);
            }
        }
        self.index.retain(|(_, collection, _, _), _| *collection != name);
        self.index.extend(fresh);
        self.collections.insert(name, collection);
        Ok(())
    }

    pub(super) fn find(&self, find: &FindDocuments) -> Result<Vec<Document>> {
        let collection = self.collection(&find.collection)?;
        let after = find.after.clone().unwrap_or_default();
        let key = |id: String| DocumentKey {
            tenant: find.tenant.clone(),
            collection: find.collection.clone(),
            id,
        };
        let limit = find.limit as usize;
        let skip = usize::try_from(find.skip).unwrap_or(usize::MAX);
        let Some((field, value)) = &find.field else {
            let from = (Bound::Excluded(key(after)), Bound::Unbounded);
            let all = self.bodies.range(from).map(|(key, _)| key);
            let all =
                all.take_while(|k| k.tenant == find.tenant && k.collection == find.collection);
            return Ok(all.filter_map(|key| self.get(key)).skip(skip).take(limit).collect());
        };
        collection.field(field)?;
        let place = (
            find.tenant.clone(),
            find.collection.clone().into_owned(),
            field.clone().into_owned(),
            value.clone(),
        );
        let Some(ids) = self.index.get(&place) else { return Ok(Vec::new()) };
        let ids = ids.range((Bound::Excluded(after), Bound::Unbounded)).skip(skip).take(limit);
        ids.map(|id| self.get(&key(id.clone())).ok_or_else(|| broken("its index"))).collect()
    }

    /// Removes documents as if they had never been.
    pub(super) fn purge(&mut self, collection: &str, limit: u32) -> u32 {
        let all = self.bodies.keys().filter(|key| key.collection == collection);
        let purged: BTreeSet<DocumentKey> = all.take(limit as usize).cloned().collect();
        self.bodies.retain(|key, _| !purged.contains(key));
        // By what is in the index, not by what the bodies say: nothing can be left in it.
        for ((tenant, name, ..), ids) in &mut self.index {
            if name == collection {
                let key = |id: &String| DocumentKey {
                    tenant: tenant.clone(),
                    collection: name.clone().into(),
                    id: id.clone(),
                };
                ids.retain(|id| !purged.contains(&key(id)));
            }
        }
        self.index.retain(|_, ids| !ids.is_empty());
        purged.len() as u32
    }

    fn collection(&self, name: &str) -> Result<&Collection> {
        self.collections.get(name).ok_or_else(|| Collection::undeclared(name))
    }
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    remove: Vec<Entry>,
    insert: Vec<Entry>,
    /// Bodies as tables would have them: with all of their fields.
    rows: BTreeMap<DocumentKey, Json>,
}

#[derive(Debug)]
struct Entry {
    place: (Option<Box<str>>, String, String, FieldValue),
    id: String,
    unique: bool,
}

impl Entry {
    fn conflict(&self) -> Error {
        let (_, collection, field, _) = self.place.clone();
        Conflict::Unique { collection, id: self.id.clone(), field }.into()
    }
}

/// A body as it is under another mapping, to which nothing of it is lost.
fn carried(
    known: Option<&Mapping>,
    mapping: &Mapping,
    key: &DocumentKey,
    body: &Json,
) -> Result<Json> {
    let mut object: serde_json::Map<String, Value> =
        body.decode().map_err(|_| broken("its documents"))?;
    for change in known.map(|known| known.changes(mapping)).unwrap_or_default() {
        match change {
            Change::Removed(field) if object.get(&*field.name) == Some(&Value::Null) => {
                object.remove(&*field.name);
            }
            Change::Changed { from, to } if from.name != to.name => {
                if let Some(value) = object.remove(&*from.name) {
                    object.insert(to.name.clone().into_owned(), value);
                }
            }
            _ => {}
        }
    }
    let body = Json::trusted(Value::Object(object).to_string());
    mapping.cells(&key.collection, &key.id, &body).map(|cells| mapping.body(cells))
}

fn entries(collection: &Collection, key: &DocumentKey, body: &Json) -> Result<Vec<Entry>> {
    let values = collection.values(&key.id, body)?.into_iter();
    let entries = values.map(|(n, value)| {
        let field = &collection.fields[n];
        Entry {
            place: (
                key.tenant.clone(),
                key.collection.clone().into_owned(),
                field.name.clone().into_owned(),
                value,
            ),
            id: key.id.clone(),
            unique: field.unique,
        }
    });
    Ok(entries.collect())
}
