//! Entities: state that is stored as a document.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::port::document::Collection;
use crate::schema::mapping::Mapping;

/// State that is stored as it is, as a JSON document: what [`Documents`](crate::Documents) reads and
/// [`Work`](crate::Work) writes. Its collection is declared once at start-up, before the first write:
/// [`Documents::declare`](crate::Documents::declare).
///
/// ```
/// use cqrs_core::Entity;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Tutor { id: String, email: String, city: String }
///
/// impl Entity for Tutor {
///     const COLLECTION: &'static str = "tutor";
///     const UNIQUE: &'static [&'static str] = &["email"];
///     const INDEXED: &'static [&'static str] = &["city"];
///     fn id(&self) -> String { self.id.clone() }
/// }
/// assert_eq!(Tutor::collection().fields.len(), 2);
/// ```
pub trait Entity: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Name of its collection: stable, at most 256 bytes.
    const COLLECTION: &'static str;

    /// Fields to find it by.
    const INDEXED: &'static [&'static str] = &[];

    /// Fields to find it by, whose values no two of a tenant share.
    const UNIQUE: &'static [&'static str] = &[];

    /// Which one: at most 1,024 bytes, no control characters.
    fn id(&self) -> String;

    /// What it looks like in the database, where it is a row with columns: what
    /// `#[derive(Schema)]` says. Provided: it is JSON of any kind.
    fn mapping() -> Option<Mapping> {
        None
    }

    /// What a store is told of the collection.
    fn collection() -> Collection {
        let collection = Self::INDEXED
            .iter()
            .copied()
            .fold(Collection::new(Self::COLLECTION), Collection::indexed);
        let collection = Self::UNIQUE.iter().copied().fold(collection, Collection::unique);
        Collection { mapping: Self::mapping(), ..collection }
    }
}
