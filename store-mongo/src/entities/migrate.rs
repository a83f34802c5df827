//! Declaring entities: their collection is made, or changed with them, and nothing that is stored is lost.
//!
//! Collections and indexes are changed outside of transactions, what is in them inside of one, with the turn:
//! it is noted before that something is going on, and after that all is done. Whoever finds it unfinished ends
//! it.

use std::sync::Arc;

use async_trait::async_trait;
use bson::{Bson, Document as Bsons, RawDocumentBuf, doc, rawdoc};
use cqrs_core::{
    Cell, Change, Collection, DocumentKey, Error, ErrorKind, Field, Index, Json, Mapping, Result,
};
use mongodb::{ClientSession, Database};

use super::value::{from_bson, to_bson};
use super::{ELSEWHERE, document_of, row, shape};
use crate::alone::{Alone, Done, Work};
use crate::declare::{AT_ONCE, LONGEST, Values, check_unique};
use crate::error::{Trouble, code};
use crate::migrate::LOG;
use crate::names::Coll;
use crate::read::{Find, Reader, read_document};
use crate::row::{Fields, document_key, tenant_of};
use crate::writer::{Kind, Turn, statements, statements_of};

/// How often it is begun again because somebody else declares the same collection.
const TIMES: u32 = 10;

/// What is known of a collection.
#[derive(Debug, Clone, Default)]
struct Noted {
    /// What it was declared as.
    declared: Option<String>,
    /// Its entities are in a collection that the store has made.
    is_ours: bool,
    /// Nothing is left to be done.
    is_made: bool,
    /// How often something was begun.
    begun: i64,
}

/// Declares a collection of entities, or changes what was declared.
pub(crate) async fn declare(
    reader: &Reader,
    alone: &Alone,
    collection: &Arc<Collection>,
) -> Result<()> {
    let name = &*collection.name;
    let doing = format!("declaring the collection `{name}`");
    let place = &reader.connector.place;
    let failed = |trouble: Trouble| trouble.into_error(&doing, place);
    if name.to_ascii_lowercase().starts_with("cqrs_") {
        let context = format!("`{name}` begins with `cqrs_`, as the store's own collections do");
        return Err(Error::invalid_field("collection", context));
    }
    for _ in 0..TIMES {
        let noted = reader.patiently(&doing, || noted(reader, name)).await?;
        let known =
            noted.declared.as_deref().map(|text| Collection::from_declaration(name, Some(text)));
        let known = known.transpose()?;
        if let Some(known) = &known
            && !collection.follows(known)?
        {
            return match noted.is_made {
                true => Ok(()),
                false => reader.patiently(&doing, || finish(reader, name)).await,
            };
        }
        let db = &reader.connector.db;
        if !noted.is_ours {
            refuse_other(db, name).await.map_err(failed)?;
        }
        let begin = Begin { name, declared: noted.declared.as_deref() };
        if !alone.run(&doing, LONGEST, begin).await? {
            continue;
        }
        reader.patiently(&doing, || prepare(db, name)).await?;
        let entities =
            Entities { known: known.as_ref(), declared: noted.declared.as_deref(), collection };
        match alone.run(&doing, LONGEST, entities).await {
            Ok(Moved::Done) => return reader.patiently(&doing, || finish(reader, name)).await,
            Ok(Moved::Overtaken) => {}
            Err(refused) => {
                // As it was: whoever comes next does it, if it cannot be done now.
                if let Err(trouble) = finish(reader, name).await {
                    tracing::warn!(
                        place = &**place,
                        ?trouble,
                        name,
                        "a collection is not as it was"
                    );
                }
                return Err(refused);
            }
        }
    }
    let context = format!("others declare the collection `{name}` again and again; try again");
    Err(Error::new(ErrorKind::Unavailable, context))
}

async fn noted(reader: &Reader, name: &str) -> Result<Noted, Trouble> {
    let found = reader.first(Find::new(Coll::Collections, doc! { "_id": name })).await?;
    found.map_or(Ok(Noted::default()), |found| Noted::of(&Fields(&found)))
}

impl Noted {
    fn of(fields: &Fields<'_>) -> Result<Self, Trouble> {
        let read = || {
            Ok(Self {
                declared: fields.maybe_text("fields")?.map(str::to_owned),
                is_ours: fields.maybe_flag("is_own")?.unwrap_or_default(),
                is_made: fields.maybe_flag("is_made")?.unwrap_or_default(),
                begun: fields.maybe_number("begun")?.unwrap_or_default(),
            })
        };
        read().map_err(|cause| Trouble::damaged("a declared collection", cause))
    }
}

/// A collection of that name is somebody else's.
async fn refuse_other(db: &Database, name: &str) -> Result<(), Trouble> {
    let there = db.list_collection_names().filter(doc! { "name": name }).await?;
    if there.is_empty() {
        return Ok(());
    }
    let context = format!(
        "a collection `{name}` is there that the store has not made: give the entities another one"
    );
    Err(Error::invalid_field("collection", context).into())
}

/// Notes that something is going on. False: somebody else has declared something.
struct Begin<'a> {
    name: &'a str,
    declared: Option<&'a str>,
}

#[async_trait]
impl Work for Begin<'_> {
    type Output = bool;

    async fn run(
        &self,
        db: &Database,
        session: &mut ClientSession,
        _: &Turn,
    ) -> Result<Done<bool>, Trouble> {
        let Self { name, declared } = *self;
        if in_session(db, session, name).await?.declared.as_deref() != declared {
            return Ok(Done::Unchanged(false));
        }
        let begun =
            rawdoc! { "$set": { "is_own": true, "is_made": false }, "$inc": { "begun": 1_i64 } };
        let begun = rawdoc! { "q": { "_id": name }, "u": begun, "upsert": true };
        statements(db, session, Coll::Collections, Kind::Update, vec![begun]).await?;
        Ok(Done::Changed(true))
    }
}

async fn in_session(
    db: &Database,
    session: &mut ClientSession,
    name: &str,
) -> Result<Noted, Trouble> {
    let all = db.collection::<RawDocumentBuf>(Coll::Collections.name());
    let found = all.find_one(doc! { "_id": name }).session(session).await?;
    found.map_or(Ok(Noted::default()), |found| Noted::of(&Fields(&found)))
}

/// Makes the collection; one that is there takes anything until it is as it should be.
async fn prepare(db: &Database, name: &str) -> Result<(), Trouble> {
    let agreed = doc! { "w": "majority" };
    let made = db.run_command(doc! { "create": name, "writeConcern": agreed.clone() }).await;
    match made.map_err(Trouble::from) {
        Ok(_) => Ok(()),
        Err(trouble) if trouble.code() == Some(code::NAMESPACE_EXISTS) => {
            let loose = doc! { "collMod": name, "validationLevel": "off", "writeConcern": agreed };
            db.run_command(loose).await?;
            Ok(())
        }
        Err(trouble) => Err(trouble),
    }
}

/// Brings validator and indexes to what is declared now.
async fn finish(reader: &Reader, name: &str) -> Result<(), Trouble> {
    let db = &reader.connector.db;
    for _ in 0..TIMES {
        let Noted { declared: Some(declared), begun, .. } = noted(reader, name).await? else {
            return Ok(());
        };
        let collection = Collection::from_declaration(name, Some(&declared))?;
        let Some(mapping) = &collection.mapping else { return Ok(()) };
        let agreed = doc! { "w": "majority" };
        db.run_command(doc! {
            "collMod": name,
            "validator": shape::validator(mapping),
            "validationLevel": "strict",
            "validationAction": "error",
            "writeConcern": agreed.clone(),
        })
        .await?;
        let wanted = shape::indexes(name, mapping);
        let coll = db.collection::<Bsons>(name);
        let there: Vec<String> = coll.list_index_names().await?;
        for old in there.iter().filter(|old| shape::is_ours(name, old)) {
            if !wanted.iter().any(|(index, _)| index == old) {
                coll.drop_index(old).await?;
            }
        }
        if !wanted.is_empty() {
            let indexes: Vec<Bsons> = wanted.into_iter().map(|(_, index)| index).collect();
            let create = doc! { "createIndexes": name, "indexes": indexes, "writeConcern": agreed };
            db.run_command(create).await?;
        }
        let made = doc! { "$set": { "is_made": true } };
        let all = db.collection::<Bsons>(Coll::Collections.name());
        let of = doc! { "_id": name, "fields": declared, "begun": begun };
        if all.update_one(of, made).await?.matched_count > 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// What became of a change.
enum Moved {
    Done,
    /// Somebody else has declared something, or has put a validator in the way.
    Overtaken,
}

/// Changes what is stored, and notes what is declared.
struct Entities<'a> {
    known: Option<&'a Collection>,
    declared: Option<&'a str>,
    collection: &'a Arc<Collection>,
}

#[async_trait]
impl Work for Entities<'_> {
    type Output = Moved;

    async fn run(
        &self,
        db: &Database,
        session: &mut ClientSession,
        _: &Turn,
    ) -> Result<Done<Moved>, Trouble> {
        match self.change(db, session).await {
            // Who was about to finish an older change has made it strict again.
            Err(trouble) if trouble.code() == Some(code::DOCUMENT_VALIDATION) => {
                Ok(Done::Unchanged(Moved::Overtaken))
            }
            done => done,
        }
    }
}

impl Entities<'_> {
    async fn change(
        &self,
        db: &Database,
        session: &mut ClientSession,
    ) -> Result<Done<Moved>, Trouble> {
        let Self { known, declared, collection } = *self;
        let (name, Some(mapping)) = (&*collection.name, &collection.mapping) else {
            return Ok(Done::Unchanged(Moved::Done));
        };
        if in_session(db, session, name).await?.declared.as_deref() != declared {
            return Ok(Done::Unchanged(Moved::Overtaken));
        }
        let text = collection.declaration();
        let set = rawdoc! { "$set": { "fields": text.as_str(), "is_made": false } };
        let put = rawdoc! { "q": { "_id": name }, "u": set };
        statements(db, session, Coll::Collections, Kind::Update, vec![put]).await?;
        let counted = rawdoc! { "q": { "_id": LOG }, "u": { "$inc": { "declared": 1_i64 } } };
        statements(db, session, Coll::Log, Kind::Update, vec![counted]).await?;
        match known.and_then(|known| known.mapping.as_ref()) {
            None => take_over(db, session, collection, mapping).await?,
            Some(before) => {
                let mut changing = Changing { db, session, collection, before, mapping };
                changing.run().await?;
                if unique(before) != unique(mapping) {
                    note_values(db, session, collection, mapping).await?;
                }
            }
        }
        Ok(Done::Changed(Moved::Done))
    }
}

/// Documents that were any JSON become entities.
async fn take_over(
    db: &Database,
    session: &mut ClientSession,
    collection: &Collection,
    mapping: &Mapping,
) -> Result<(), Trouble> {
    let name = &*collection.name;
    let documents = db.collection::<RawDocumentBuf>(Coll::Documents.name());
    let first: Bson = doc! { "collection": name }.into();
    let last: Bson = doc! { "collection": name, "tenant": Bson::MaxKey }.into();
    let all = doc! { "_id": { "$gt": first.clone(), "$lt": last.clone() } };
    // All old values go before a new one comes.
    let gone = doc! { "$unset": { "fields": "", "unique": "" } };
    documents.update_many(all, gone).session(&mut *session).await?;
    let mut after = first;
    loop {
        let of = doc! { "_id": { "$gt": after, "$lt": last.clone() }, "data": { "$exists": true } };
        let found = documents.find(of).sort(doc! { "_id": 1 }).limit(AT_ONCE);
        let mut found = found.session(&mut *session).await?;
        let (mut values, mut rows, mut updates) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = None;
        while let Some(document) = found.next(session).await {
            let document = document?;
            let id = Fields(&document).document("_id").and_then(|id| {
                Ok((bson::Document::try_from(id.0.to_owned())?, document_key(&id)?))
            });
            let (id, key) = id.map_err(|cause| Trouble::damaged("a document", cause))?;
            next = Some(id);
            let read = read_document(&document)?;
            let cells = mapping.cells(name, &key.id, &read.body)?;
            rows.push(row(mapping, &key, read.version, &cells)?);
            let elsewhere = rawdoc! { "$set": { "data": ELSEWHERE } };
            let of = rawdoc! { "_id": crate::key::document(&key) };
            updates.push(rawdoc! { "q": of, "u": elsewhere });
            values.push(Values::of_entity(collection, key, &read.body)?);
        }
        let Some(next) = next else { return Ok(()) };
        after = next.into();
        check_unique(db, session, &values).await?;
        updates.extend(values.iter().filter_map(Values::statement));
        statements(db, session, Coll::Documents, Kind::Update, updates).await?;
        let puts = rows.into_iter().filter_map(put).collect();
        statements_of(db, session, name, Kind::Update, puts).await?;
    }
}

fn put(row: RawDocumentBuf) -> Option<RawDocumentBuf> {
    let id = bson::RawBson::from(row.get("_id").ok().flatten()?);
    Some(rawdoc! { "q": { "_id": id }, "u": row, "upsert": true })
}

/// The unique fields, and where they are.
fn unique(mapping: &Mapping) -> Vec<(&str, &str)> {
    let fields = mapping.fields.iter().filter(|field| field.index == Some(Index::Unique));
    fields.map(|field| (&*field.name, &*field.column)).collect()
}

/// Notes the unique values anew: they are asked for before something is written.
async fn note_values(
    db: &Database,
    session: &mut ClientSession,
    collection: &Collection,
    mapping: &Mapping,
) -> Result<(), Trouble> {
    let name = &*collection.name;
    let documents = db.collection::<RawDocumentBuf>(Coll::Documents.name());
    let first: Bson = doc! { "collection": name }.into();
    let last: Bson = doc! { "collection": name, "tenant": Bson::MaxKey }.into();
    let all = doc! { "_id": { "$gt": first, "$lt": last } };
    let gone = doc! { "$unset": { "fields": "", "unique": "" } };
    documents.update_many(all, gone).session(&mut *session).await?;
    if unique(mapping).is_empty() {
        return Ok(());
    }
    let mut after = Bson::MinKey;
    loop {
        let rows = db.collection::<RawDocumentBuf>(name);
        let found = rows.find(doc! { "_id": { "$gt": after } }).sort(doc! { "_id": 1 });
        let mut found = found.limit(AT_ONCE).session(&mut *session).await?;
        let (mut values, mut next) = (Vec::new(), None);
        while let Some(row) = found.next(session).await {
            let row = row?;
            next = row.get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok());
            let key = key_of(collection, mapping, &row)?;
            values.push(Values::of_entity(collection, key.0, &key.1)?);
        }
        let Some(next) = next else { return Ok(()) };
        after = next;
        check_unique(db, session, &values).await?;
        let updates = values.iter().filter_map(Values::statement).collect();
        statements(db, session, Coll::Documents, Kind::Update, updates).await?;
    }
}

fn key_of(
    collection: &Collection,
    mapping: &Mapping,
    row: &RawDocumentBuf,
) -> Result<(DocumentKey, Json), Trouble> {
    let owner = Fields(row).text("_tenant").map(tenant_of);
    let tenant = owner.map_err(|cause| Trouble::damaged("an entity", cause))?;
    let document = document_of(collection, mapping, row)?;
    let collection = collection.name.clone();
    Ok((DocumentKey { tenant, collection, id: document.id }, document.body))
}

/// Entities that are changed.
struct Changing<'a> {
    db: &'a Database,
    session: &'a mut ClientSession,
    collection: &'a Collection,
    before: &'a Mapping,
    mapping: &'a Mapping,
}

impl Changing<'_> {
    async fn run(&mut self) -> Result<(), Trouble> {
        self.check_id().await?;
        let changes = self.before.changes(self.mapping);
        let (mut unset, mut away, mut back) = (Bsons::new(), Bsons::new(), Bsons::new());
        for change in &changes {
            match *change {
                Change::Removed(field) => {
                    self.check_removed(field).await?;
                    unset.insert(&*field.column, "");
                }
                Change::Added(field) => self.check_added(field).await?,
                Change::Changed { from, to } => {
                    let at = self.column_of(from, to).await?;
                    self.check_changed(at, from, to).await?;
                    if at != to.column {
                        // By way of another name: two may swap theirs.
                        let other = format!("__was_{}", away.len());
                        away.insert(at, &*other);
                        back.insert(other, &*to.column);
                    }
                }
            }
        }
        self.update("$unset", unset).await?;
        self.update("$rename", away).await?;
        self.update("$rename", back).await
    }

    async fn update(&mut self, operator: &str, fields: Bsons) -> Result<(), Trouble> {
        if fields.is_empty() {
            return Ok(());
        }
        let rows = self.db.collection::<Bsons>(&self.collection.name);
        let update = rows.update_many(doc! {}, doc! { operator: fields });
        update.session(&mut *self.session).await?;
        Ok(())
    }

    async fn any(&mut self, condition: Bsons) -> Result<bool, Trouble> {
        let rows = self.db.collection::<Bsons>(&self.collection.name);
        let found = rows.find_one(condition).projection(doc! { "_id": 1 });
        Ok(found.session(&mut *self.session).await?.is_some())
    }

    /// Where the values of a changed field are: an operator may have put them under the new name.
    async fn column_of<'f>(&mut self, from: &'f Field, to: &'f Field) -> Result<&'f str, Trouble> {
        let (old, new) = (&*from.column, &*to.column);
        if old == new || self.before.has_column(new) {
            return Ok(old);
        }
        let moved = doc! { old: { "$exists": false }, new: { "$exists": true } };
        let is_moved =
            !self.any(doc! { old: { "$exists": true } }).await? && self.any(moved).await?;
        Ok(if is_moved { new } else { old })
    }

    /// Whether nothing is lost with a field.
    async fn check_removed(&mut self, field: &Field) -> Result<(), Trouble> {
        let (name, column) = (self.collection.name.clone(), &*field.column);
        if self.any(doc! { column: { "$ne": Bson::Null } }).await? {
            let needed = format!("db.{name}.updateMany({{}}, {{$unset: {{{column}: ''}}}})");
            return self.refuse(field, "has values, and is no field any more", &needed);
        }
        Ok(())
    }

    /// Whether all have a value of a new field, where they must.
    async fn check_added(&mut self, field: &Field) -> Result<(), Trouble> {
        let column = &*field.column;
        // What another field leaves there goes with it.
        let missing = match self.before.has_column(column) {
            true => doc! {},
            false => doc! { column: Bson::Null },
        };
        if field.may_be_absent() || !self.any(missing).await? {
            return Ok(());
        }
        let name = &self.collection.name;
        let needed = format!("db.{name}.updateMany({{{column}: null}}, {{$set: {{{column}: …}}}})");
        self.refuse(field, "is missing in what is stored", &needed)
    }

    /// Whether all that is stored fits, as it is.
    async fn check_changed(&mut self, at: &str, from: &Field, to: &Field) -> Result<(), Trouble> {
        if !to.keeps(from) {
            self.check_values(at, to).await?;
        }
        if !to.may_be_absent() && self.any(doc! { at: Bson::Null }).await? {
            let name = &self.collection.name;
            let needed = format!("db.{name}.updateMany({{{at}: null}}, {{$set: {{{at}: …}}}})");
            return self.refuse(to, "has no value in some of what is stored", &needed);
        }
        Ok(())
    }

    async fn check_values(&mut self, at: &str, to: &Field) -> Result<(), Trouble> {
        let name = &*self.collection.name;
        let rows = self.db.collection::<RawDocumentBuf>(name);
        let with = doc! { at: { "$ne": Bson::Null } };
        let found = rows.find(with).projection(doc! { at: 1 });
        let mut found = found.session(&mut *self.session).await?;
        while let Some(row) = found.next(self.session).await {
            let row = row?;
            let Some(value) = row.get(at).ok().flatten() else { continue };
            let fits = match from_bson(&to.of, value) {
                Some(Cell::Json(json)) => to.check(name, "…", &json).is_ok(),
                // What is read as the same and is written otherwise would not be found.
                Some(cell) => {
                    to_bson(&to.of, &cell).is_some_and(|same| same.as_raw_bson_ref() == value)
                }
                None => false,
            };
            if !fits {
                let needed = format!("db.{name}.updateMany({{}}, [{{$set: {{{at}: …}}}}])");
                return self.refuse(to, &format!("has values that are no {}", to.of), &needed);
            }
        }
        Ok(())
    }

    /// The id stays what it is, once there are entities.
    async fn check_id(&mut self) -> Result<(), Trouble> {
        if self.before.keeps_id(self.mapping) || !self.any(doc! {}).await? {
            return Ok(());
        }
        let field = self.mapping.id_field().or(self.before.id_field());
        let field = field.map_or("id", |field| &*field.name);
        let context = format!(
            "`{field}` of `{}` would be another id than what is stored has: move the entities into a \
             collection of another name",
            self.collection.name
        );
        Err(Error::invalid_field(field, context).into())
    }

    fn refuse(&self, field: &Field, what: &str, needed: &str) -> Result<(), Trouble> {
        Err(field.cannot_change(&self.collection.name, what, needed).into())
    }
}
