//! Documents: JSON bodies with a version, and fields that are indexed or unique.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::message::payload::Json;
use crate::port::Version;
use crate::schema::mapping::Mapping;

/// The key of a document: whose it is, which collection, which one.
///
/// See [`Collection`] for an example.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentKey {
    /// Whose it is; `None` in a service for one.
    pub tenant: Option<Box<str>>,
    /// The collection.
    pub collection: Cow<'static, str>,
    /// Which one.
    pub id: String,
}

impl DocumentKey {
    /// A document without a tenant.
    pub fn new(collection: impl Into<Cow<'static, str>>, id: impl Into<String>) -> Self {
        Self { tenant: None, collection: collection.into(), id: id.into() }
    }

    /// The same document of a tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tenant) = &self.tenant {
            write!(f, "{tenant}/")?;
        }
        write!(f, "{}/{}", self.collection, self.id)
    }
}

/// What a collection of documents is: its name and the fields to find by.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Collection, Commit, DocumentKey, DocumentWrite, Expected, FindDocuments, Json, Store};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::default();
/// store.declare(Collection::new("tutor").indexed("city").unique("email")).await?;
///
/// let body = Json::encode(&serde_json::json!({ "email": "ada@example.org", "city": "London" }))?;
/// let write = DocumentWrite::put(DocumentKey::new("tutor", "17"), Expected::NoStream, body);
/// store.commit(Commit { documents: vec![write], ..Commit::default() }).await?;
///
/// let found = store.find_documents(FindDocuments::by("tutor", "city", "London")).await?;
/// assert_eq!((found[0].id.as_str(), found[0].version), ("17", 1));
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its declared fields.
    pub fields: Vec<IndexedField>,
    /// What its documents look like in the database, where they are rows with columns; `None`: they are
    /// JSON of any kind.
    pub mapping: Option<Mapping>,
}

/// A declared field of a [`Collection`].
///
/// Its values are texts of at most 1,024 bytes without NUL, whole numbers and booleans. A document without the field,
/// or with `null` in it, is not found by it and breaks no uniqueness; one with anything else in it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedField {
    /// Name of a field at the top of the body.
    pub name: Cow<'static, str>,
    /// Whether two documents of a tenant may not share a value.
    pub unique: bool,
}

impl IndexedField {
    /// Bytes that an indexed text has at most: 1,024. Databases do not index longer ones.
    pub const MAX_TEXT: usize = 1024;
}

impl Collection {
    /// A collection without declared fields.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), fields: Vec::new(), mapping: None }
    }

    /// Adds a field to find by.
    #[must_use]
    pub fn indexed(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.fields.push(IndexedField { name: field.into(), unique: false });
        self
    }

    /// Adds a field to find by, whose values no two documents of a tenant share.
    #[must_use]
    pub fn unique(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.fields.push(IndexedField { name: field.into(), unique: true });
        self
    }

    /// With documents that look like this. See [`Mapping`] for an example.
    #[must_use]
    pub fn mapped(mut self, mapping: Mapping) -> Self {
        self.mapping = Some(mapping);
        self
    }
}

impl Collection {
    /// The values of the declared fields in a body, by the index of their field: what an adapter
    /// indexes.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) naming the field, when its value is not a text, a
    /// whole number, a boolean or `null`, or when the body is no object.
    pub fn values(&self, id: &str, body: &Json) -> Result<Vec<(usize, FieldValue)>> {
        if self.fields.is_empty() {
            return Ok(Vec::new());
        }
        let refuse = |field: &str, what: &str| {
            let context = format!("`{field}` of the document {}/{id} {what}", self.name);
            Error::invalid_field(field, context)
        };
        let Ok(Value::Object(object)) = body.decode::<Value>() else {
            return Err(refuse(
                &self.fields[0].name,
                "cannot be indexed: the body is no JSON object",
            ));
        };
        let mut values = Vec::with_capacity(self.fields.len());
        for (n, field) in self.fields.iter().enumerate() {
            let value = match object.get(&*field.name) {
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) if text.len() > IndexedField::MAX_TEXT => {
                    return Err(refuse(
                        &field.name,
                        "is longer than 1,024 bytes: too long to index",
                    ));
                }
                Some(Value::String(text)) if text.contains('\0') => {
                    return Err(refuse(&field.name, "holds NUL, which not every index can"));
                }
                Some(Value::String(text)) => FieldValue::Text(text.clone()),
                Some(Value::Bool(b)) => FieldValue::Bool(*b),
                Some(Value::Number(n)) => match n.as_i64() {
                    Some(n) => FieldValue::Integer(n),
                    None => return Err(refuse(&field.name, "is no whole number of 64 bits")),
                },
                Some(Value::Array(_) | Value::Object(_)) => {
                    return Err(refuse(
                        &field.name,
                        "is a list or an object: it cannot be indexed",
                    ));
                }
            };
            values.push((n, value));
        }
        Ok(values)
    }

    /// The index of a declared field.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when it is not declared.
    pub fn field(&self, name: &str) -> Result<usize> {
        self.fields.iter().position(|field| field.name == name).ok_or_else(|| {
            let context = format!("`{name}` is no declared field of `{}`: declare it", self.name);
            Error::invalid_field(name, context)
        })
    }

    /// The error for a collection that nobody declared: for adapters.
    pub fn undeclared(name: &str) -> Error {
        let context = format!(
            "the collection `{name}` is not declared: call `Documents::declare` or `Store::declare` first"
        );
        Error::invalid_field("collection", context)
    }
}

/// A value of a declared field. See [`FindDocuments`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldValue {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A boolean.
    Bool(bool),
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for FieldValue {
    fn from(n: i64) -> Self {
        Self::Integer(n)
    }
}

impl From<i32> for FieldValue {
    fn from(n: i32) -> Self {
        Self::Integer(n.into())
    }
}

impl From<u32> for FieldValue {
    fn from(n: u32) -> Self {
        Self::Integer(n.into())
    }
}

impl From<bool> for FieldValue {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

/// Which documents to find, by the page: one tenant, one collection, in the order of their ids.
///
/// See [`Collection`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindDocuments {
    /// Whose they are.
    pub tenant: Option<Box<str>>,
    /// Which collection.
    pub collection: Cow<'static, str>,
    /// A declared field and its value; `None`: all documents.
    pub field: Option<(Cow<'static, str>, FieldValue)>,
    /// Those with a higher id, by its bytes: the last id of the page before.
    pub after: Option<String>,
    /// So many of them are passed over first: for pages that are asked for by their number. Each one
    /// costs a little; the next page is found at once by `after`.
    pub skip: u64,
    /// At most so many. Default: 100.
    pub limit: u32,
}

impl FindDocuments {
    /// All documents of a collection.
    pub fn all(collection: impl Into<Cow<'static, str>>) -> Self {
        let collection = collection.into();
        Self { tenant: None, collection, field: None, after: None, skip: 0, limit: 100 }
    }

    /// The documents with this value in a declared field.
    pub fn by(
        collection: impl Into<Cow<'static, str>>,
        field: impl Into<Cow<'static, str>>,
        value: impl Into<FieldValue>,
    ) -> Self {
        Self { field: Some((field.into(), value.into())), ..Self::all(collection) }
    }

    /// Those of a tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The next page, after this id.
    #[must_use]
    pub fn after(mut self, id: impl Into<String>) -> Self {
        self.after = Some(id.into());
        self
    }

    /// Not the first so many.
    #[must_use]
    pub fn skip(mut self, documents: u64) -> Self {
        self.skip = documents;
        self
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

/// A document as it is stored.
///
/// See [`Collection`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its id in the collection.
    pub id: String,
    /// How often it was written, its deletions included: a document that was deleted and made anew
    /// goes on counting, so that no old version comes back.
    pub version: Version,
    /// What it says.
    pub body: Json,
}
