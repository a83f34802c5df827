//! A group of commits as the parameters of one statement: a column for each that is said of all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cqrs_core::{
    Append, CheckpointWrite, Collection, Commit, Error, Fence, Fingerprint, InboxMark, NewEvent,
    Result, TimerWrite,
};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::others::{
    CheckpointPart, DocumentPart, FencePart, FieldPart, Others, Texts, TimerPart, expected, micros,
};
use crate::row::{For, JsonText, body, bound, tenant, value_text};
use crate::table::ELSEWHERE;

/// A parameter of a statement.
pub(crate) type Param<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// On what terms commits are written.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) keep_commit_ids: Duration,
    pub(crate) keep_inbox: Duration,
    pub(crate) lock_timeout: String,
}

/// The declared fields of collections, as far as they are known.
pub(crate) type Known = HashMap<String, (Arc<Collection>, String)>;

/// The columns of a group. An empty list of appends or inbox marks is NULL, as all of its columns.
#[derive(Debug, Default)]
pub(crate) struct Group<'a> {
    pub(super) places: i32,
    pub(super) ids: Vec<Uuid>,
    pub(super) fingerprints: Vec<&'a [u8]>,
    /// The id of the first event, if it is derived from that of the commit, and whether it is.
    firsts: Vec<Uuid>,
    by_event: Vec<bool>,
    pub(super) lasts: Vec<i32>,
    pub(super) appends: Appends<'a>,
    pub(super) events: Events<'a>,
    pub(super) inbox: Inbox<'a>,
    others: Others<'a>,
    /// What the others name by its place, from 1.
    texts: Texts<'a>,
    collections: HashSet<&'a str>,
}

#[derive(Debug, Default)]
pub(super) struct Appends<'a> {
    pub(super) commits: Vec<i32>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) categories: Vec<&'a str>,
    pub(super) streams: Vec<&'a str>,
    pub(super) expected: Vec<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Events<'a> {
    pub(super) appends: Vec<i32>,
    pub(super) numbers: Vec<i32>,
    pub(super) places: Vec<i32>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) categories: Vec<&'a str>,
    pub(super) streams: Vec<&'a str>,
    pub(super) types: Vec<&'a str>,
    pub(super) schemas: Vec<i32>,
    pub(super) ids: Vec<Uuid>,
    pub(super) tags: Vec<Option<String>>,
    pub(super) metadata: Vec<JsonText<String>>,
    pub(super) data: Vec<Option<JsonText<&'a str>>>,
    pub(super) content_types: Vec<Option<&'a str>>,
    pub(super) bytes: Vec<Option<&'a [u8]>>,
    /// Of the commit that an event tells of: its fingerprint, and how many positions it takes.
    fingerprints: Vec<Option<&'a [u8]>>,
    spans: Vec<Option<i32>>,
}

#[derive(Debug, Default)]
pub(super) struct Inbox<'a> {
    pub(super) commits: Vec<i32>,
    pub(super) consumers: Vec<&'a str>,
    pub(super) messages: Vec<Uuid>,
    pub(super) fingerprints: Vec<&'a [u8]>,
    pub(super) replies: Vec<Option<&'a [u8]>>,
}

impl<'a> Group<'a> {
    /// Adds a commit, whose collections are known.
    ///
    /// # Errors
    /// When a document holds a value that cannot be indexed.
    pub(crate) fn add(
        &mut self,
        commit: &'a Commit,
        fingerprint: &'a Fingerprint,
        known: &Known,
    ) -> Result<()> {
        // No `..`: a new part does not compile here until somebody stores or refuses it.
        let Commit {
            id,
            fences,
            guards,
            appends,
            documents,
            views,
            snapshots,
            checkpoint,
            inbox,
            timers,
            outgoing,
            settled,
            parked,
        } = commit;
        let c = self.ids.len() as i32 + 1;
        let before = self.places;
        let all_documents = || documents.iter().chain(views);
        // What can be refused here, before anything is added.
        let (mut fields, mut rows) = (Vec::new(), Vec::new());
        let mut taken = HashSet::new();
        for write in all_documents() {
            let Some((collection, _)) = known.get(&*write.key.collection) else {
                return Err(Collection::undeclared(&write.key.collection));
            };
            let row = match (&write.body, &collection.mapping) {
                (Some(body), Some(mapping)) => {
                    let cells = mapping.cells(&write.key.collection, &write.key.id, body)?;
                    Some(mapping.body(cells))
                }
                _ => None,
            };
            let is_row = row.is_some();
            rows.push(row);
            let Some(body) = rows.last().and_then(Option::as_ref).or(write.body.as_ref()) else {
                continue;
            };
            for (n, value) in collection.values(&write.key.id, body)? {
                // A row is found by its columns.
                if is_row && !collection.fields[n].unique {
                    continue;
                }
                let (field, whose) = (&collection.fields[n], tenant(write.key.tenant.as_deref()));
                let value = value_text(&value);
                let place = (&write.key.tenant, &write.key.collection, n, value.clone());
                fields.push(FieldPart {
                    c,
                    tenant: whose,
                    collection: &write.key.collection,
                    field: field.name.clone().into_owned(),
                    twice: field.unique && !taken.insert(place),
                    value,
                    id: &write.key.id,
                    is_unique: field.unique,
                });
            }
        }
        let mut event_ids = HashSet::new();
        let mut events = appends.iter().flat_map(|append| &append.events).map(NewEvent::id);
        if let Some(id) = events.find(|id| !event_ids.insert(*id)) {
            return Err(Error::id_reused("event", id));
        }
        let mut message_ids = HashSet::new();
        let mut messages = outgoing.iter().map(|message| message.metadata.id());
        if let Some(id) = messages.find(|id| !message_ids.insert(*id)) {
            return Err(Error::id_reused("message", id));
        }

        let (first, first_place) = (id.event(0), self.events.ids.len());
        let by_event = appends.iter().flat_map(|append| &append.events).next();
        let by_event = by_event.is_some_and(|event| event.id() == first);
        self.ids.push(id.0.uuid());
        self.fingerprints.push(fingerprint.as_bytes());
        self.firsts.push(first.uuid());
        self.by_event.push(by_event);
        for append in appends {
            self.append(c, append);
        }
        for InboxMark { consumer, message, fingerprint, reply } in inbox {
            self.inbox.commits.push(c);
            self.inbox.consumers.push(consumer);
            self.inbox.messages.push(message.uuid());
            self.inbox.fingerprints.push(fingerprint.as_bytes());
            self.inbox.replies.push(reply.as_ref().map(Bytes::as_ref));
        }
        let (others, texts) = (&mut self.others, &mut self.texts);
        for (write, row) in all_documents().zip(rows) {
            let of = known.get(&*write.key.collection).map(|(collection, _)| collection);
            let is_row = of.is_some_and(|collection| collection.mapping.is_some());
            let (body, row) = match (&write.body, row) {
                (_, Some(row)) => {
                    let row = texts.place(row.as_str().to_owned());
                    (Some(texts.place(ELSEWHERE)), Some(row))
                }
                (body, None) => (body.as_ref().map(|body| texts.place(body.as_str())), None),
            };
            if is_row {
                others.mapped.insert(&write.key.collection);
            }
            self.collections.insert(&write.key.collection);
            others.indexed |= of.is_some_and(|collection| {
                collection.fields.iter().any(|field| field.unique || !is_row)
            });
            others.deletes |= body.is_none();
            others.documents.push(DocumentPart {
                c,
                tenant: tenant(write.key.tenant.as_deref()),
                collection: &write.key.collection,
                id: &write.key.id,
                expected: expected(write.expected),
                gone: body.is_none().then_some(true),
                body,
                row,
            });
        }
        others.fields.extend(fields);
        let of_checkpoint = checkpoint.iter().filter_map(|checkpoint| checkpoint.fence.as_ref());
        for Fence { lease, token } in fences.iter().chain(of_checkpoint) {
            others.fences.push(FencePart { c, lease, token: bound(*token) });
        }
        guards.iter().for_each(|guard| others.guard(c, guard));
        if let Some(CheckpointWrite { subscription, partition, from, to, fence: _ }) = checkpoint {
            let partition = i64::from(*partition);
            let (since, till) = (bound(*from), bound(*to));
            others.checkpoints.push(CheckpointPart { c, subscription, partition, since, till });
        }
        for message in outgoing {
            self.places += 1;
            others.send(c, self.places, message, texts);
        }
        settled.iter().for_each(|settled| others.settle(c, settled));
        for TimerWrite { owner, tenant: whose, key, name, generation, due } in timers {
            let (tenant, generation) = (tenant(whose.as_deref()), bound(*generation));
            others.timers.push(TimerPart {
                c,
                owner,
                tenant,
                key,
                name,
                generation,
                due: micros(*due),
            });
        }
        parked.iter().for_each(|write| others.park(c, write, texts));
        snapshots.iter().for_each(|write| others.keep(c, write, texts));
        self.lasts.push(if self.places > before { self.places } else { 0 });
        if by_event {
            self.events.fingerprints[first_place] = Some(fingerprint.as_bytes());
            self.events.spans[first_place] = Some(self.places - before);
        }
        Ok(())
    }

    fn append(&mut self, c: i32, append: &'a Append) {
        let Append { stream, expected: expects, events } = append;
        let whose = tenant(stream.tenant.as_deref());
        self.appends.commits.push(c);
        self.appends.tenants.push(whose);
        self.appends.categories.push(&stream.category);
        self.appends.streams.push(&stream.id);
        self.appends.expected.push(expected(*expects));
        let of = self.appends.commits.len() as i32;
        for (event, number) in events.iter().zip(1..) {
            self.places += 1;
            let (data, content_type, bytes) = body(&event.payload);
            let columns = &mut self.events;
            columns.appends.push(of);
            columns.numbers.push(number);
            columns.places.push(self.places);
            columns.tenants.push(whose);
            columns.categories.push(&stream.category);
            columns.streams.push(&stream.id);
            columns.types.push(&event.event_type);
            columns.schemas.push(event.schema_version.into());
            columns.ids.push(event.id().uuid());
            let tags = (!event.tags.is_empty()).then(|| cqrs_core::Page::join_tags(&event.tags));
            columns.tags.push(tags);
            columns.metadata.push(JsonText(event.metadata.to_json()));
            columns.data.push(data.map(JsonText));
            columns.content_types.push(content_type);
            columns.bytes.push(bytes);
            columns.fingerprints.push(None);
            columns.spans.push(None);
        }
    }

    /// Whether all that its commits do is to append, to streams of which the version is known.
    pub(super) fn only_appends(&self) -> bool {
        self.others.is_empty()
            && self.inbox.commits.is_empty()
            && self.events.tags.iter().all(Option::is_none)
            && self.appends.expected.iter().all(|expected| *expected >= 0)
            && self.lasts.iter().all(|last| *last > 0)
    }

    /// As the parameters of `append_one`; `None`: it is more than one event, or that tells of no commit.
    pub(super) fn one_append(&self) -> Option<Vec<Param<'_>>> {
        let (appends, events) = (&self.appends, &self.events);
        let ([id], [true], [event]) = (&*self.ids, &*self.by_event, &*events.ids) else {
            return None;
        };
        Some(vec![
            Box::new(id),
            Box::new(self.fingerprints[0]),
            Box::new(appends.tenants[0]),
            Box::new(appends.categories[0]),
            Box::new(appends.streams[0]),
            Box::new(appends.expected[0]),
            Box::new(events.types[0]),
            Box::new(events.schemas[0]),
            Box::new(event),
            Box::new(&events.metadata[0]),
            Box::new(&events.data[0]),
            Box::new(events.content_types[0]),
            Box::new(events.bytes[0]),
        ])
    }

    /// As the parameters of `append_group`.
    pub(super) fn appends(&self) -> Vec<Param<'_>> {
        let (appends, events) = (&self.appends, &self.events);
        let version = |(append, number): (&i32, &i32)| {
            appends.expected[*append as usize - 1].saturating_add(i64::from(*number))
        };
        let versions: Vec<i64> = events.appends.iter().zip(&events.numbers).map(version).collect();
        vec![
            Box::new(self.places),
            Box::new(&self.ids),
            self.rows(&self.ids),
            self.rows(&self.fingerprints),
            self.rows(&self.lasts),
            list(&appends.tenants),
            list(&appends.categories),
            list(&appends.streams),
            list(&appends.expected),
            Box::new(versions),
            list(&events.tenants),
            list(&events.categories),
            list(&events.streams),
            list(&events.types),
            list(&events.schemas),
            list(&events.ids),
            list(&events.metadata),
            any(&events.data),
            any(&events.content_types),
            any(&events.bytes),
            any(&events.fingerprints),
            any(&events.spans),
            self.rows(&self.firsts),
        ]
    }

    /// A column of the commits that no event tells of.
    fn rows<'p, T: ToSql + Sync + Send + Copy + 'p>(&self, column: &[T]) -> Param<'p> {
        let rows = column.iter().zip(&self.by_event).filter(|(_, by_event)| !**by_event);
        let rows: Vec<T> = rows.map(|(value, _)| *value).collect();
        Box::new((!rows.is_empty()).then_some(rows))
    }

    /// All of it as the parameters of `commit`. `strict`: a refusal is an error of the statement;
    /// `looks`: whether ids of events are looked for, and not only refused by their index.
    pub(crate) fn params<'p>(
        &'p self,
        terms: &'p Terms,
        known: &Known,
        strict: bool,
        looks: bool,
    ) -> Result<Vec<Param<'p>>> {
        let (appends, events, inbox) = (&self.appends, &self.events, &self.inbox);
        Ok(vec![
            Box::new(strict),
            Box::new(looks),
            Box::new(&terms.lock_timeout),
            Box::new(For(terms.keep_commit_ids)),
            Box::new(For(terms.keep_inbox)),
            Box::new(self.places),
            Box::new(&self.ids),
            Box::new(&self.fingerprints),
            Box::new(&self.firsts),
            Box::new(&self.by_event),
            Box::new(&self.lasts),
            list(&appends.commits),
            list(&appends.tenants),
            list(&appends.categories),
            list(&appends.streams),
            list(&appends.expected),
            list(&events.appends),
            list(&events.numbers),
            list(&events.places),
            list(&events.tenants),
            list(&events.categories),
            list(&events.streams),
            list(&events.types),
            list(&events.schemas),
            list(&events.ids),
            any(&events.tags),
            list(&events.metadata),
            any(&events.data),
            any(&events.content_types),
            any(&events.bytes),
            any(&events.fingerprints),
            any(&events.spans),
            list(&inbox.commits),
            list(&inbox.consumers),
            list(&inbox.messages),
            list(&inbox.fingerprints),
            any(&inbox.replies),
            Box::new(self.collections(known).map(JsonText)),
            Box::new(self.others.to_json()?.map(JsonText)),
            list(&self.texts.0),
        ])
    }

    /// What the collections of the documents were declared as, as far as is known.
    fn collections(&self, known: &Known) -> Option<String> {
        if self.collections.is_empty() {
            return None;
        }
        let named = self.collections.iter().filter_map(|name| Some((name, &known.get(*name)?.1)));
        let named =
            named.map(|(name, fields)| serde_json::json!({ "name": name, "fields": fields }));
        Some(serde_json::Value::Array(named.collect()).to_string())
    }
}

/// A column; `None` stands for an empty one.
fn list<T: ToSql + Sync + Send>(column: &Vec<T>) -> Param<'_> {
    Box::new((!column.is_empty()).then_some(column))
}

/// A column of which most groups have nothing.
fn any<T: ToSql + Sync + Send>(column: &Vec<Option<T>>) -> Param<'_> {
    Box::new(column.iter().any(Option::is_some).then_some(column))
}
