//! What is declared of documents, with those that are there indexed anew; and documents removed for good.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bson::raw::cstr;
use bson::{Bson, RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use cqrs_core::{Collection, Conflict, DocumentKey, Json, Result};
use mongodb::{ClientSession, Database};

use crate::alone::{Alone, Done, Work};
use crate::entities;
use crate::error::Trouble;
use crate::migrate::LOG;
use crate::names::Coll;
use crate::read::{Find, Reader, read_document};
use crate::row::{Fields, document_key, tenant, value_text};
use crate::writer::{Kind, Turn, statements, statements_of};

/// Documents that are indexed anew at once.
pub(crate) const AT_ONCE: i64 = 1_000;

/// How long it may take. The server ends a transaction after a minute.
pub(crate) const LONGEST: Duration = Duration::from_secs(50);

/// Declares a collection, or changes what was declared.
pub(crate) async fn declare(reader: &Reader, alone: &Alone, collection: &Collection) -> Result<()> {
    if collection.mapping.is_some() {
        return entities::declare(reader, alone, &Arc::new(collection.clone())).await;
    }
    let doing = format!("declaring the collection `{}`", collection.name);
    let wanted = collection.declaration();
    // Most often: every start of a process declares what it uses.
    let declared = reader.patiently(&doing, || async {
        let of = doc! { "_id": &*collection.name };
        let found = reader.first(Find::new(Coll::Collections, of)).await?;
        Ok(found.is_some_and(|found| Fields(&found).text("fields").ok() == Some(&*wanted)))
    });
    if declared.await? {
        return Ok(());
    }
    alone.run(&doing, LONGEST, Declare(collection)).await
}

struct Declare<'c>(&'c Collection);

#[async_trait]
impl Work for Declare<'_> {
    type Output = ();

    async fn run(
        &self,
        db: &Database,
        session: &mut ClientSession,
        _: &Turn,
        _: bool,
    ) -> Result<Done<()>, Trouble> {
        anew(db, session, self.0).await
    }
}

/// Notes what is declared, and indexes the documents that are there.
async fn anew(
    db: &Database,
    session: &mut ClientSession,
    collection: &Collection,
) -> Result<Done<()>, Trouble> {
    let name = &*collection.name;
    let all = db.collection::<RawDocumentBuf>(Coll::Collections.name());
    if let Some(known) = all.find_one(doc! { "_id": name }).session(&mut *session).await? {
        let known = Fields(&known).maybe_text("fields");
        let known = known.map_err(|cause| Trouble::damaged("a declared collection", cause))?;
        if let Some(known) = known {
            collection.follows(&Collection::from_declaration(name, Some(known))?)?;
        }
    }
    let declared = rawdoc! { "$set": { "fields": collection.declaration().as_str() } };
    let put = rawdoc! { "q": { "_id": name }, "u": declared, "upsert": true };
    statements(db, session, Coll::Collections, Kind::Update, vec![put]).await?;
    let counted = rawdoc! { "q": { "_id": LOG }, "u": { "$inc": { "declared": 1_i64 } } };
    statements(db, session, Coll::Log, Kind::Update, vec![counted]).await?;
    let of = |low: Bson, high: Bson| doc! { "_id": { "$gt": low, "$lt": high } };
    let first: Bson = doc! { "collection": name }.into();
    let last: Bson = doc! { "collection": name, "tenant": Bson::MaxKey }.into();
    // All old values go before a new one comes.
    let documents = db.collection::<RawDocumentBuf>(Coll::Documents.name());
    let gone = doc! { "$unset": { "fields": "", "unique": "" } };
    documents.update_many(of(first.clone(), last.clone()), gone).session(&mut *session).await?;
    let mut after = first;
    loop {
        let found = documents.find(of(after.clone(), last.clone())).sort(doc! { "_id": 1 });
        let mut found = found.limit(AT_ONCE).session(&mut *session).await?;
        let (mut values, mut count) = (Vec::new(), 0);
        while let Some(document) = found.next(session).await {
            let document = document?;
            count += 1;
            let fields = Fields(&document);
            let key = fields.document("_id").and_then(|id| {
                Ok((bson::Document::try_from(id.0.to_owned())?, document_key(&id)?))
            });
            let (id, key) = key.map_err(|cause| Trouble::damaged("a document", cause))?;
            after = id.into();
            if fields.maybe_text("data").ok().flatten().is_some() {
                values.push(Values::of(collection, key, &document)?);
            }
        }
        check_unique(db, session, &values).await?;
        let updates = values.iter().filter_map(Values::statement).collect();
        statements(db, session, Coll::Documents, Kind::Update, updates).await?;
        if count < AT_ONCE {
            return Ok(Done::Changed(()));
        }
    }
}

/// The values of a document's declared fields.
pub(crate) struct Values {
    key: DocumentKey,
    all: Vec<String>,
    /// Those that no other document may have, with their fields.
    unique: Vec<(String, String)>,
}

impl Values {
    fn of(
        collection: &Collection,
        key: DocumentKey,
        document: &RawDocumentBuf,
    ) -> Result<Self, Trouble> {
        let read = read_document(document)?;
        let (mut all, mut unique) = (Vec::new(), Vec::new());
        for (n, value) in collection.values(&key.id, &read.body)? {
            let field = &collection.fields[n];
            let text = value_text(&field.name, &value);
            if field.unique {
                unique.push((text.clone(), field.name.clone().into_owned()));
            }
            all.push(text);
        }
        Ok(Self { key, all, unique })
    }

    /// The unique values of an entity, which is found by its own fields.
    pub(crate) fn of_entity(
        collection: &Collection,
        key: DocumentKey,
        body: &Json,
    ) -> Result<Self, Trouble> {
        let mut unique = Vec::new();
        for (n, value) in collection.values(&key.id, body)? {
            let field = &collection.fields[n];
            if field.unique {
                let text = value_text(&field.name, &value);
                unique.push((text, field.name.clone().into_owned()));
            }
        }
        Ok(Self { key, all: Vec::new(), unique })
    }

    pub(crate) fn statement(&self) -> Option<RawDocumentBuf> {
        if self.all.is_empty() && self.unique.is_empty() {
            return None;
        }
        let mut set = RawDocumentBuf::new();
        if !self.all.is_empty() {
            set.append(cstr!("fields"), list(self.all.iter()));
        }
        if !self.unique.is_empty() {
            set.append(cstr!("unique"), list(self.unique.iter().map(|(text, _)| text)));
        }
        let id = crate::key::document(&self.key);
        Some(rawdoc! { "q": { "_id": id }, "u": { "$set": set } })
    }

    /// That one of its values is another document's, too.
    fn conflict(&self, field: &str) -> Trouble {
        let collection = self.key.collection.clone().into_owned();
        let (id, field) = (self.key.id.clone(), field.to_owned());
        Trouble::Ours(Conflict::Unique { collection, id, field }.into())
    }
}

fn list<'t>(texts: impl Iterator<Item = &'t String>) -> RawArrayBuf {
    let mut list = RawArrayBuf::new();
    texts.for_each(|text| list.push(text.as_str()));
    list
}

/// Whether some of these documents have a value in common, with each other or with those before them.
pub(crate) async fn check_unique(
    db: &Database,
    session: &mut ClientSession,
    values: &[Values],
) -> Result<(), Trouble> {
    let mut taken: BTreeMap<&str, BTreeMap<&str, (&Values, &str)>> = BTreeMap::new();
    for of in values {
        let owner = tenant(of.key.tenant.as_deref());
        for (text, field) in &of.unique {
            if taken.entry(owner).or_default().insert(text, (of, field)).is_some() {
                return Err(of.conflict(field));
            }
        }
    }
    for (owner, texts) in taken {
        let Some((first, _)) = texts.values().next() else { continue };
        let all: Vec<&str> = texts.keys().copied().collect();
        let holds = doc! {
            "_id.collection": &*first.key.collection, "_id.tenant": owner, "unique": { "$in": all },
        };
        let documents = db.collection::<RawDocumentBuf>(Coll::Documents.name());
        let mut found = documents.find(holds).limit(1).session(&mut *session).await?;
        let Some(holder) = found.next(session).await else { continue };
        let holder = holder?;
        let held = Fields(&holder).texts("unique").map(|held| held.flatten().collect::<Vec<_>>());
        let held = held.map_err(|cause| Trouble::damaged("a document", cause))?;
        let clash = held.iter().find_map(|text| texts.get(text));
        return Err(clash.map_or(Trouble::Duplicate, |(of, field)| of.conflict(field)));
    }
    Ok(())
}

/// Documents of a collection that are removed, of all tenants: at most so many. How many were removed.
pub(crate) struct Purge<'c> {
    pub(crate) collection: &'c str,
    pub(crate) limit: u32,
    /// Whether its documents are entities of a collection of their own.
    pub(crate) is_mapped: bool,
}

impl Purge<'_> {
    pub(crate) async fn done(self, alone: &Alone) -> Result<u32> {
        alone.run("purging documents", LONGEST, self).await
    }
}

#[async_trait]
impl Work for Purge<'_> {
    type Output = u32;

    async fn run(
        &self,
        db: &Database,
        session: &mut ClientSession,
        _: &Turn,
        _: bool,
    ) -> Result<Done<u32>, Trouble> {
        let Self { collection, limit, .. } = *self;
        let all = doc! {
            "_id": {
                "$gt": { "collection": collection },
                "$lt": { "collection": collection, "tenant": Bson::MaxKey },
            },
        };
        let documents = db.collection::<RawDocumentBuf>(Coll::Documents.name());
        let found = documents.find(all).sort(doc! { "_id": 1 }).projection(doc! { "_id": 1 });
        let mut found = found.limit(i64::from(limit.max(1))).session(&mut *session).await?;
        let (mut gone, mut rows) = (Vec::new(), Vec::new());
        while let Some(document) = found.next(session).await {
            let document = document?;
            let id = Fields(&document).document("_id");
            let id = id.and_then(|id| Ok((id.0.to_owned(), document_key(&id)?)));
            let (id, key) = id.map_err(|cause| Trouble::damaged("a document", cause))?;
            gone.push(rawdoc! { "q": { "_id": id }, "limit": 1 });
            rows.push(key);
        }
        gone.truncate(limit as usize);
        rows.truncate(limit as usize);
        let count = gone.len() as u32;
        if count == 0 {
            return Ok(Done::Unchanged(0));
        }
        statements(db, session, Coll::Documents, Kind::Delete, gone).await?;
        if self.is_mapped {
            let rows = rows.into_iter().filter_map(|key| {
                let id = bson::RawBson::try_from(entities::id(&key)).ok()?;
                Some(rawdoc! { "q": { "_id": id }, "limit": 1 })
            });
            statements_of(db, session, collection, Kind::Delete, rows.collect()).await?;
        }
        Ok(Done::Changed(count))
    }
}
