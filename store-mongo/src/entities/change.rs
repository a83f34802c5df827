//! What is stored of entities follows a change of them, in a transaction; or it is refused, and nothing is
//! changed.

use bson::{Bson, Document as Bsons, RawDocumentBuf, doc, rawdoc};
use cqrs_core::{Cell, Change, Collection, DocumentKey, Error, Field, Index, Json, Mapping};
use mongodb::{ClientSession, Database};

use super::value::{from_bson, to_bson};
use super::{ELSEWHERE, document_of, row};
use crate::declare::{AT_ONCE, Values, check_unique};
use crate::error::Trouble;
use crate::names::Coll;
use crate::read::read_document;
use crate::row::{Fields, document_key, tenant_of};
use crate::writer::{Kind, statements, statements_of};

/// Documents that were any JSON become entities.
pub(super) async fn take_over(
    db: &Database,
    session: &mut ClientSession,
    collection: &Collection,
    mapping: &Mapping,
) -> Result<(), Trouble> {
    let name = &*collection.name;
    let documents = db.collection::<RawDocumentBuf>(Coll::Documents.name());
    let [mut after, last] = bounds(name);
    forget_values(&documents, session, name).await?;
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

/// Between which ids the documents of a collection are.
fn bounds(name: &str) -> [Bson; 2] {
    [doc! { "collection": name }, doc! { "collection": name, "tenant": Bson::MaxKey }]
        .map(Bson::from)
}

/// All old values go before a new one comes.
async fn forget_values(
    documents: &mongodb::Collection<RawDocumentBuf>,
    session: &mut ClientSession,
    name: &str,
) -> Result<(), Trouble> {
    let [first, last] = bounds(name);
    let all = doc! { "_id": { "$gt": first, "$lt": last } };
    let gone = doc! { "$unset": { "fields": "", "unique": "" } };
    documents.update_many(all, gone).session(session).await?;
    Ok(())
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
    forget_values(&db.collection(Coll::Documents.name()), session, name).await?;
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

/// Changes all that is stored from what it was before.
pub(super) async fn change(
    db: &Database,
    session: &mut ClientSession,
    collection: &Collection,
    before: &Mapping,
    mapping: &Mapping,
) -> Result<(), Trouble> {
    let mut changing = Changing { db, session: &mut *session, collection, before, mapping };
    changing.run().await?;
    if unique(before) != unique(mapping) {
        note_values(db, session, collection, mapping).await?;
    }
    Ok(())
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
