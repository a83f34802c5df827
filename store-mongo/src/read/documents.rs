//! Documents: one, found and counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bson::raw::RawDocument;
use bson::{Bson, Document as Bsons, RawDocumentBuf, doc};
use cqrs_core::{
    BoxError, Collection, Document, DocumentKey, Error, ErrorKind, FindDocuments, Json,
};

use mongodb::options::ReadConcern;

use super::{Find, Reader};
use crate::entities::{self, ELSEWHERE};
use crate::error::Trouble;
use crate::names::Coll;
use crate::row::{Fields, can_be_tenant, tenant, value_text};

/// What collections were declared as, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Declared(Mutex<HashMap<String, (String, Arc<Collection>)>>);

impl Declared {
    /// What it was when it was last read.
    fn last(&self, name: &str) -> Option<Arc<Collection>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).map(|(_, collection)| Arc::clone(collection))
    }

    /// What it is declared as.
    fn get(&self, name: &str, declared: Option<&str>) -> Result<Arc<Collection>, Error> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((text, collection)), Some(declared)) = (known.get(name), declared)
            && text == declared
        {
            return Ok(Arc::clone(collection));
        }
        let collection = Arc::new(Collection::from_declaration(name, declared)?);
        if let Some(declared) = declared {
            known.insert(name.to_owned(), (declared.to_owned(), Arc::clone(&collection)));
        }
        Ok(collection)
    }
}

/// A document as it was read. Checked, because people edit collections.
pub(crate) fn read(document: &RawDocument) -> Result<Document, Trouble> {
    let fields = Fields(document);
    let parts = || {
        let id = fields.document("_id")?;
        let of = (id.text("collection")?, id.text("id")?);
        Ok::<_, BoxError>((of, fields.count("version")?, fields.text("data")?))
    };
    let ((name, id), version, data) =
        parts().map_err(|cause| Trouble::damaged("a document", cause))?;
    let body = Json::parse(data).map_err(|cause| {
        let context = format!("the document {name}/{id} cannot be read: repair it ({cause})");
        let kind = ErrorKind::Decode { message: name.to_owned(), field: None };
        Error::new(kind, context).with_source(cause)
    })?;
    Ok(Document { id: id.to_owned(), version, body })
}

fn key_of(tenant: &str, collection: &str, id: Bson) -> Bsons {
    doc! { "collection": collection, "tenant": tenant, "id": id }
}

pub(crate) async fn document(
    reader: &Reader,
    key: &DocumentKey,
) -> Result<Option<Document>, Trouble> {
    if !can_be_tenant(key.tenant.as_deref()) {
        return Ok(None);
    }
    if reader.declared.last(&key.collection).is_some_and(|known| known.mapping.is_some()) {
        return entity(reader, key).await;
    }
    let id = key_of(tenant(key.tenant.as_deref()), &key.collection, key.id.as_str().into());
    let there = doc! { "_id": id, "data": { "$exists": true } };
    let found = reader.first(Find::new(Coll::Documents, there)).await?;
    let found = found.map(|found| read(&found)).transpose()?;
    match &found {
        Some(document) if document.body.as_str() == ELSEWHERE => {
            match declaration(reader, &key.collection).await?.mapping {
                Some(_) => entity(reader, key).await,
                None => Ok(found),
            }
        }
        _ => Ok(found),
    }
}

/// An entity, and what its collection is declared as in the same moment.
async fn entity(reader: &Reader, key: &DocumentKey) -> Result<Option<Document>, Trouble> {
    let name = &*key.collection;
    let declared = doc! {
        "from": Coll::Collections.name(),
        "pipeline": [{ "$match": { "_id": name } }, { "$project": { "fields": 1 } }],
        "as": "declared",
    };
    let pipeline = [
        doc! { "$match": { "_id": entities::id(key) } },
        doc! { "$project": { "row": "$$ROOT" } },
        doc! { "$lookup": declared },
    ];
    let mut session = reader.connector.session().await?;
    let rows = reader.connector.db.collection::<RawDocumentBuf>(name);
    // Of one moment, also when the server does something else in between.
    let found = rows.aggregate(pipeline).read_concern(ReadConcern::snapshot());
    let found = found.with_type::<RawDocumentBuf>();
    let mut found = found.session(&mut session).await?;
    let first = found.next(&mut session).await.transpose()?;
    reader.connector.note(&session);
    let Some(first) = first else { return Ok(None) };
    let fields = Fields(&first);
    let parts = || {
        let declared = fields.documents("declared")?.next().transpose()?;
        let declared = declared.ok_or("its collection is not declared")?;
        Ok::<_, BoxError>((fields.document("row")?, declared.text("fields")?))
    };
    let (row, declared) =
        parts().map_err(|cause| Trouble::damaged(format!("an entity of {name}"), cause))?;
    let collection = reader.declared.get(name, Some(declared))?;
    let Some(mapping) = &collection.mapping else { return Ok(None) };
    entities::document_of(&collection, mapping, row.0).map(Some)
}

/// A page of documents.
pub(crate) async fn find(reader: &Reader, find: &FindDocuments) -> Result<Vec<Document>, Trouble> {
    let mut collection = declaration(reader, &find.collection).await?;
    loop {
        let found = find_as(reader, find, &collection).await?;
        if collection.mapping.is_none() {
            return Ok(found);
        }
        // Fields may have got other names in between.
        let now = declaration(reader, &find.collection).await?;
        if Arc::ptr_eq(&now, &collection) || now == collection {
            return Ok(found);
        }
        collection = now;
    }
}

/// A page of documents of a collection that is declared so.
async fn find_as(
    reader: &Reader,
    find: &FindDocuments,
    collection: &Collection,
) -> Result<Vec<Document>, Trouble> {
    let mut documents = Vec::new();
    let condition = condition(find, collection)?;
    let Some(condition) =
        condition.filter(|_| find.limit > 0 && can_be_tenant(find.tenant.as_deref()))
    else {
        return Ok(documents);
    };
    let order = doc! { "_id": 1 };
    let page = place(find, collection, condition).sort(order).limit(find.limit.into());
    let take = |document: &RawDocument| {
        documents.push(match &collection.mapping {
            Some(mapping) => entities::document_of(collection, mapping, document)?,
            None => read(document)?,
        });
        Ok(true)
    };
    reader.each(Find { skip: find.skip, ..page }, take).await?;
    Ok(documents)
}

/// How many there are on all pages.
pub(crate) async fn count(reader: &Reader, find: &FindDocuments) -> Result<u64, Trouble> {
    let all = FindDocuments { after: None, ..find.clone() };
    let collection = declaration(reader, &find.collection).await?;
    let condition = condition(&all, &collection)?;
    let Some(condition) = condition.filter(|_| can_be_tenant(find.tenant.as_deref())) else {
        return Ok(0);
    };
    let Find { coll, filter, .. } = place(find, &collection, condition);
    let coll = reader.connector.db.collection::<Bsons>(&coll);
    let mut session = reader.connector.session().await?;
    let count = coll.count_documents(filter).session(&mut session).await?;
    reader.connector.note(&session);
    Ok(count)
}

/// Where the documents of a collection are.
fn place(find: &FindDocuments, collection: &Collection, condition: Bsons) -> Find {
    match collection.mapping {
        Some(_) => Find::of(&find.collection, condition),
        None => Find::new(Coll::Documents, condition),
    }
}

/// Whether the documents of a collection are entities in one of their own.
pub(crate) async fn is_mapped(reader: &Reader, name: &str) -> Result<bool, Trouble> {
    match declaration(reader, name).await {
        Ok(collection) => Ok(collection.mapping.is_some()),
        // Nobody declared it.
        Err(Trouble::Ours(error)) if matches!(error.kind(), ErrorKind::Invalid { .. }) => Ok(false),
        Err(trouble) => Err(trouble),
    }
}

/// What a collection is declared as now.
async fn declaration(reader: &Reader, name: &str) -> Result<Arc<Collection>, Trouble> {
    let declared = reader.first(Find::new(Coll::Collections, doc! { "_id": name })).await?;
    let fields = declared.as_ref().map(|declared| Fields(declared).maybe_text("fields"));
    let fields =
        fields.transpose().map_err(|cause| Trouble::damaged("a declared collection", cause))?;
    Ok(reader.declared.get(name, fields.flatten())?)
}

/// The condition on documents that are there. The field to find by must be declared. `None`: none is one of
/// them.
fn condition(find: &FindDocuments, collection: &Collection) -> Result<Option<Bsons>, Trouble> {
    if let Some(mapping) = &collection.mapping {
        return Ok(entities::condition(collection, mapping, find)?);
    }
    let FindDocuments { tenant: whose, collection: name, field, after, skip: _, limit: _ } = find;
    let whose = tenant(whose.as_deref());
    let after = after.as_deref().map_or(Bson::MinKey, Bson::from);
    let mut condition = doc! {
        "_id": {
            "$gt": key_of(whose, name, after),
            "$lt": key_of(whose, name, Bson::MaxKey),
        },
        "data": { "$exists": true },
    };
    if let Some((field, value)) = field {
        collection.field(field)?;
        condition.insert("_id.collection", &**name);
        condition.insert("_id.tenant", whose);
        condition.insert("fields", value_text(field, value));
    }
    Ok(Some(condition))
}
