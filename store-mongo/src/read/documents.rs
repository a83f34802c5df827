//! Documents: one, found and counted.

use bson::raw::RawDocument;
use bson::{Bson, Document as Bsons, doc};
use cqrs_core::{
    BoxError, Collection, Document, DocumentKey, Error, ErrorKind, FindDocuments, Json,
};

use super::{Find, Reader};
use crate::error::Trouble;
use crate::names::Coll;
use crate::row::{Fields, can_be_tenant, tenant, value_text};

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
    let id = key_of(tenant(key.tenant.as_deref()), &key.collection, key.id.as_str().into());
    let there = doc! { "_id": id, "data": { "$exists": true } };
    let found = reader.first(Find::new(Coll::Documents, there)).await?;
    found.map(|found| read(&found)).transpose()
}

/// A page of documents.
pub(crate) async fn find(reader: &Reader, find: &FindDocuments) -> Result<Vec<Document>, Trouble> {
    let condition = condition(reader, find).await?;
    let mut documents = Vec::new();
    if find.limit == 0 || !can_be_tenant(find.tenant.as_deref()) {
        return Ok(documents);
    }
    let order = doc! { "_id": 1 };
    let page = Find::new(Coll::Documents, condition).sort(order).limit(find.limit.into());
    let take = |document: &RawDocument| {
        documents.push(read(document)?);
        Ok(true)
    };
    reader.each(Find { skip: find.skip, ..page }, take).await?;
    Ok(documents)
}

/// How many there are on all pages.
pub(crate) async fn count(reader: &Reader, find: &FindDocuments) -> Result<u64, Trouble> {
    let all = FindDocuments { after: None, ..find.clone() };
    let condition = condition(reader, &all).await?;
    if !can_be_tenant(find.tenant.as_deref()) {
        return Ok(0);
    }
    let coll = reader.connector.db.collection::<Bsons>(Coll::Documents.name());
    let mut session = reader.connector.session().await?;
    let count = coll.count_documents(condition).session(&mut session).await?;
    reader.connector.note(&session);
    Ok(count)
}

/// The condition on documents that are there. The field to find by must be declared.
async fn condition(reader: &Reader, find: &FindDocuments) -> Result<Bsons, Trouble> {
    let FindDocuments { tenant: whose, collection: name, field, after, skip: _, limit: _ } = find;
    let declared = reader.first(Find::new(Coll::Collections, doc! { "_id": &**name })).await?;
    let fields = declared.as_ref().map(|declared| Fields(declared).text("fields"));
    let fields =
        fields.transpose().map_err(|cause| Trouble::damaged("a declared collection", cause))?;
    let collection = Collection::from_declaration(name, fields)?;
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
    Ok(condition)
}
