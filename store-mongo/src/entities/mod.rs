//! Entities with a schema: each is a document of a collection of their own, with fields that any client reads.

mod change;
mod migrate;
mod shape;
mod value;

pub(crate) use migrate::declare;

use bson::raw::{CString, RawBson, RawDocument};
use bson::{Bson, Document as Bsons, RawDocumentBuf, doc};
use cqrs_core::{
    Cell, Collection, Document, DocumentKey, Error, ErrorKind, FieldType, FindDocuments, Mapping,
};

use crate::error::Trouble;
use crate::row::{Fields, bound, tenant};
use value::{from_bson, to_bson};

/// What `cqrs_documents` has for a body that is in a collection of its own.
pub(crate) const ELSEWHERE: &str = "null";

/// Bytes that a document of MongoDB has at most.
const LARGEST: usize = 16 << 20;

/// The id of an entity: its own, or that of a tenant with it.
pub(crate) fn id(key: &DocumentKey) -> Bson {
    match &key.tenant {
        None => key.id.as_str().into(),
        Some(tenant) => doc! { "tenant": &**tenant, "id": &*key.id }.into(),
    }
}

/// An entity as its collection has it.
///
/// Errors: [`ErrorKind::TooLarge`] when it is more than a document can be.
pub(crate) fn row(
    mapping: &Mapping,
    key: &DocumentKey,
    version: u64,
    cells: &[Cell],
) -> Result<RawDocumentBuf, Error> {
    let invalid = |field: &str, what: &str| {
        let context = format!("`{field}` of the document {}/{} {what}", key.collection, key.id);
        Error::invalid_field(field, context)
    };
    let mut row = RawDocumentBuf::new();
    let mut put = |name: &str, value: RawBson| match CString::try_from(name) {
        Ok(name) => {
            row.append(name, value);
            Ok(())
        }
        Err(_) => Err(invalid(name, "has a name that no document takes")),
    };
    let key_of = RawBson::try_from(id(key)).map_err(|_| invalid("id", "is no id"))?;
    put("_id", key_of)?;
    put("_tenant", tenant(key.tenant.as_deref()).into())?;
    put("_version", bound(version).into())?;
    for (field, cell) in mapping.fields.iter().zip(cells) {
        if *cell == Cell::Null && !field.of.takes_null() {
            continue;
        }
        let value = to_bson(&field.of, cell).ok_or_else(|| {
            invalid(&field.name, "is nested too deep, or has names that no document takes")
        })?;
        put(&field.column, value)?;
    }
    let size = row.as_bytes().len();
    if size > LARGEST {
        let what = format!("the document {}/{} in BSON", key.collection, key.id);
        let context = format!("{what} has {size} bytes, and MongoDB takes {LARGEST}");
        return Err(Error::new(ErrorKind::TooLarge { what, size, limit: LARGEST }, context));
    }
    Ok(row)
}

/// An entity out of its collection. Checked, because people edit collections.
pub(crate) fn document_of(
    collection: &Collection,
    mapping: &Mapping,
    row: &RawDocument,
) -> Result<Document, Trouble> {
    let fields = Fields(row);
    let id = match fields.maybe_document("_id") {
        Ok(Some(of_tenant)) => of_tenant.text("id"),
        _ => fields.text("_id"),
    };
    let name = &collection.name;
    let damaged = |cause| Trouble::damaged(format!("an entity of {name}"), cause);
    let id = id.map_err(damaged)?.to_owned();
    let version = fields.count("_version").map_err(damaged)?;
    let mut cells = Vec::with_capacity(mapping.fields.len());
    for field in &mapping.fields {
        let cell = match mapping.id.as_deref() == Some(&*field.name) {
            true => Cell::of_id(&field.of, &id),
            false => match row.get(&*field.column) {
                Ok(None) => Some(Cell::Null),
                Ok(Some(value)) => from_bson(&field.of, value),
                Err(_) => None,
            },
        };
        cells.push(cell.ok_or_else(|| field.unreadable(name, &id))?);
    }
    Ok(Document { id, version, body: mapping.body(cells) })
}

/// The condition on the entities to find. `None`: none is one of them. The field must be declared.
pub(crate) fn condition(
    collection: &Collection,
    mapping: &Mapping,
    find: &FindDocuments,
) -> Result<Option<Bsons>, Error> {
    let after = find.after.as_deref();
    let mut condition = match &find.tenant {
        None => doc! { "_id": { "$gt": after.unwrap_or_default() } },
        Some(owner) => {
            let of = |id: Bson| doc! { "tenant": &**owner, "id": id };
            let after = after.map_or(Bson::MinKey, Bson::from);
            doc! { "_id": { "$gt": of(after), "$lt": of(Bson::MaxKey) } }
        }
    };
    let Some((name, value)) = &find.field else { return Ok(Some(condition)) };
    collection.field(name)?;
    let Some(field) = mapping.field(name) else { return Ok(None) };
    let cell = Cell::to_find(&field.of, value).and_then(|cell| to_bson(&field.of, &cell));
    let Some(value) = cell.and_then(|cell| Bson::try_from(cell).ok()) else { return Ok(None) };
    condition.insert("_tenant", tenant(find.tenant.as_deref()));
    // The index of a unique field has only those with a value.
    let of = doc! { "$eq": value, "$type": shape::indexed_type(&field.of) };
    condition.insert(&*field.column, of);
    Ok(Some(condition))
}

/// Whether values of a field are numbers in BSON.
fn is_number(of: &FieldType) -> bool {
    matches!(of.present(), FieldType::Integer | FieldType::Unsigned | FieldType::Float)
}
