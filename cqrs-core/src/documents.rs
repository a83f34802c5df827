//! Entities of one kind: get, find by a declared field, page.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::message::payload::Json;
use crate::port::Version;
use crate::port::document::{Document, DocumentKey, FieldValue, FindDocuments};
use crate::port::store::Store;
use crate::schema::entity::Entity;

/// The entities of one kind in a store. They are written with [`Work`](crate::Work).
///
/// ```
/// use std::sync::Arc;
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Documents, Entity, FindDocuments, Metadata, Store, Work};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Serialize, Deserialize)]
/// # struct Tutor { id: String, city: String }
/// # impl Entity for Tutor {
/// #     const COLLECTION: &'static str = "tutor";
/// #     const INDEXED: &'static [&'static str] = &["city"];
/// #     fn id(&self) -> String { self.id.clone() }
/// # }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
/// let tutors = Documents::<Tutor>::new(store.clone());
/// tutors.declare().await?;
///
/// let work = Work::new(store.clone(), Metadata::default());
/// work.insert(&Tutor { id: "17".into(), city: "Paris".into() })?;
/// work.commit().await?;
///
/// let work = Work::new(store, Metadata::default());
/// let mut tutor = work.get::<Tutor>("17").await?.unwrap();
/// tutor.city = "London".into();
/// work.save(&tutor)?;
/// work.commit().await?;
///
/// let found = tutors.find("city", "London").await?;
/// assert_eq!((found[0].id.as_str(), found[0].version()), ("17", 2));
/// assert_eq!(tutors.count(FindDocuments::all("tutor")).await?, 1);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
pub struct Documents<T> {
    store: Arc<dyn Store>,
    tenant: Option<Box<str>>,
    entity: PhantomData<fn() -> T>,
}

impl<T: Entity> Documents<T> {
    /// The entities in a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, tenant: None, entity: PhantomData }
    }

    /// Those of a tenant.
    #[must_use]
    pub fn of_tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Tells the store of the collection and its fields. Once at start-up, before the first write.
    ///
    /// # Errors
    /// As [`Store::declare`].
    pub async fn declare(&self) -> Result<()> {
        self.store.declare(T::collection()).await
    }

    /// One of them; `None` when it does not exist.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) when its body is not a `T`; when the store cannot be read.
    pub async fn get(&self, id: &str) -> Result<Option<Versioned<T>>> {
        get(&*self.store, self.tenant.as_deref(), id).await
    }

    /// The first 100 with this value in a declared field, by id.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn find(
        &self,
        field: &'static str,
        value: impl Into<FieldValue>,
    ) -> Result<Vec<Versioned<T>>> {
        self.query(FindDocuments::by(T::COLLECTION, field, value)).await
    }

    /// A page of them, in the order of their ids. Collection and tenant are this facade's.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when the field is not declared, [`Decode`](ErrorKind::Decode)
    /// when a body is not a `T`; when the store cannot be read.
    pub async fn query(&self, find: FindDocuments) -> Result<Vec<Versioned<T>>> {
        let tenant = self.tenant.clone();
        let find = FindDocuments { tenant, collection: T::COLLECTION.into(), ..find };
        self.store.find_documents(find).await?.into_iter().map(decode).collect()
    }

    /// How many there are to find, on all pages. Collection and tenant are this facade's.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn count(&self, find: FindDocuments) -> Result<u64> {
        let tenant = self.tenant.clone();
        let find = FindDocuments { tenant, collection: T::COLLECTION.into(), ..find };
        self.store.count_documents(&find).await
    }
}

/// An entity and the version at which it was read. It derefs to the entity.
///
/// See [`Documents`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    value: T,
    id: String,
    version: Version,
}

impl<T> Versioned<T> {
    pub(crate) fn new(value: T, id: String, version: Version) -> Self {
        Self { value, id, version }
    }

    /// How often it was written.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The entity, owned.
    pub fn into_inner(self) -> T {
        self.value
    }

    pub(crate) fn stored_id(&self) -> &str {
        &self.id
    }
}

impl<T: Entity> Versioned<T> {
    /// The id, unless it was changed since the entity was read.
    pub(crate) fn checked_id(&self) -> Result<&str> {
        if self.value.id() == self.id {
            return Ok(&self.id);
        }
        let context = format!(
            "{}/{} was given the id {}: delete the one and insert the other",
            T::COLLECTION,
            self.id,
            self.value.id()
        );
        Err(Error::invalid_field("id", context))
    }
}

impl<T> Deref for Versioned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Versioned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

pub(crate) fn key<T: Entity>(tenant: Option<&str>, id: &str) -> DocumentKey {
    DocumentKey { tenant: tenant.map(Into::into), ..DocumentKey::new(T::COLLECTION, id) }
}

pub(crate) async fn get<T: Entity>(
    store: &dyn Store,
    tenant: Option<&str>,
    id: &str,
) -> Result<Option<Versioned<T>>> {
    store.document(&key::<T>(tenant, id)).await?.map(decode).transpose()
}

/// Its body, which can be read again.
pub(crate) fn encode<T: Entity>(entity: &T) -> Result<Json> {
    let (id, failed) = (entity.id(), |what: &str, id: &str, cause: BoxError| {
        let context = format!("{}/{id} {what}: {cause}", T::COLLECTION);
        Error::new(ErrorKind::Internal, context).with_source(cause)
    });
    let body = Json::encode(entity).map_err(|cause| failed("cannot be encoded", &id, cause))?;
    match body.decode::<T>() {
        Ok(back) if back.id() == id => Ok(body),
        Ok(back) => {
            let cause = format!("with the id {}", back.id()).into();
            Err(failed("would be read again as another one", &id, cause))
        }
        Err(cause) => Err(failed("could not be read again", &id, cause)),
    }
}

pub(crate) fn decode<T: Entity>(document: Document) -> Result<Versioned<T>> {
    let Document { id, version, body } = document;
    match body.decode() {
        Ok(value) => Ok(Versioned { value, id, version }),
        Err(cause) => Err(unreadable(T::COLLECTION, &id, version, cause)),
    }
}

pub(crate) fn written_twice(key: &DocumentKey) -> Error {
    let context = format!("the document {key} is written twice in one unit of work");
    Error::invalid_field("documents", context)
}

pub(crate) fn unreadable(collection: &str, id: &str, version: Version, cause: BoxError) -> Error {
    let kind = ErrorKind::Decode { message: collection.to_owned(), field: None };
    let context = format!("{collection}/{id} at version {version} cannot be read: {cause}");
    Error::new(kind, context).with_source(cause)
}

impl<T> Clone for Documents<T> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), tenant: self.tenant.clone(), entity: PhantomData }
    }
}

impl<T: Entity> fmt::Debug for Documents<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").field("collection", &T::COLLECTION).finish_non_exhaustive()
    }
}
