//! What an entity is in its database: columns, indexes, a version; and how one follows another.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::schema::field::{Field, FieldType, Index};

/// What the collection of an entity looks like in its database, where each entity is a row of a table with
/// columns, or a document with fields. A derived [`Schema`](crate::Schema) makes it.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{
///     Collection, Commit, DocumentKey, DocumentWrite, ErrorKind, Expected, Field, FieldType, Json,
///     Mapping, Store,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mapping = Mapping::new(1, vec![
///     Field::new("name", FieldType::Text).indexed(),
///     Field::new("bio", FieldType::Text.optional()).column("about"),
///     Field::new("subjects", FieldType::Text.list()),
/// ]);
/// let store = MemoryStore::default();
/// store.declare(Collection::new("tutors").indexed("name").mapped(mapping)).await?;
///
/// let body = Json::encode(&serde_json::json!({ "name": "Ada", "subjects": ["logic", 7] }))?;
/// let write = DocumentWrite::put(DocumentKey::new("tutors", "17"), Expected::NoStream, body);
/// let refused = store.commit(Commit { documents: vec![write], ..Commit::default() }).await.unwrap_err();
/// assert_eq!(*refused.kind(), ErrorKind::Invalid { field: Some("subjects.1".into()) });
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Its version, which is raised with every change: the newest one is what the database has.
    pub version: u32,
    /// The field that is the id of an entity, by its name in JSON: a text, a whole number or a UUID. `None`:
    /// the id is none of its fields.
    pub id: Option<Cow<'static, str>>,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// What was changed from one [`Mapping`] to the next: for adapters, which change their tables so.
///
/// See [`Mapping::changes`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'m> {
    /// A field that was not there.
    Added(&'m Field),
    /// A field that is there no more.
    Removed(&'m Field),
    /// A field that is something else now, in whatever way.
    Changed {
        /// What it was.
        from: &'m Field,
        /// What it is.
        to: &'m Field,
    },
}

impl Mapping {
    /// Bytes that the name of a mapped collection has at most: databases have short names for tables.
    pub const MAX_NAME: usize = 40;

    /// Bytes that the name of a column has at most.
    pub const MAX_COLUMN: usize = 48;

    /// Bytes that the name of a field has at most in JSON.
    const MAX_JSON_NAME: usize = 256;

    /// A mapping, whose id is none of its fields.
    pub fn new(version: u32, fields: Vec<Field>) -> Self {
        Self { version, id: None, fields }
    }

    /// The same, of which this field is the id.
    #[must_use]
    pub fn id(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.id = Some(field.into());
        self
    }

    /// The field that is the id.
    pub fn id_field(&self) -> Option<&Field> {
        let id = self.id.as_ref()?;
        self.fields.iter().find(|field| field.name == *id)
    }

    /// A field, by its name in JSON.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The name of the index on a field, or of its constraint, of at most 63 bytes, which no other field and no
    /// other collection has: for adapters.
    ///
    /// ```
    /// use cqrs_core::{Field, FieldType, Mapping};
    ///
    /// let email = Field::new("email", FieldType::Text).unique();
    /// assert_eq!(Mapping::index_name("tutors", &email), "tutors__email__key");
    /// ```
    pub fn index_name(collection: &str, field: &Field) -> String {
        let kind = if field.index == Some(Index::Unique) { "key" } else { "idx" };
        // No name of a collection or column has two `_` in a row.
        let whole = format!("{collection}__{}__{kind}", field.column);
        if whole.len() <= 63 {
            return whole;
        }
        // Names of collections and columns are ASCII.
        let digest = Sha256::digest(whole.as_bytes());
        let short: String = whole.chars().take(48).collect();
        format!(
            "{short}{:02x}{:02x}{:02x}{:02x}__{kind}",
            digest[0], digest[1], digest[2], digest[3]
        )
    }

    /// The column that the id of an entity is in: that of its field, or `_id`.
    pub fn id_column(&self) -> &str {
        self.id_field().map_or("_id", |field| &field.column)
    }

    /// What is to be done to what was made for this one, so that it is as the other one says. Fields are the
    /// same that have the same name in JSON or, where there is none, the same column.
    ///
    /// ```
    /// use cqrs_core::{Change, Field, FieldType, Mapping};
    ///
    /// let first = Mapping::new(1, vec![Field::new("name", FieldType::Text)]);
    /// let bio = Field::new("bio", FieldType::Text.optional());
    /// let second = Mapping::new(2, vec![first.fields[0].clone().indexed(), bio.clone()]);
    /// assert_eq!(first.changes(&second), [
    ///     Change::Changed { from: &first.fields[0], to: &second.fields[0] },
    ///     Change::Added(&bio),
    /// ]);
    /// ```
    pub fn changes<'m>(&'m self, to: &'m Self) -> Vec<Change<'m>> {
        let mut of_old: Vec<Option<&Field>> = vec![None; to.fields.len()];
        let mut gone: Vec<&Field> = Vec::new();
        for old in &self.fields {
            match to.fields.iter().position(|new| new.name == old.name) {
                Some(n) => of_old[n] = Some(old),
                None => gone.push(old),
            }
        }
        for (n, new) in to.fields.iter().enumerate() {
            if of_old[n].is_none()
                && let Some(old) = gone.iter().position(|old| old.column == new.column)
            {
                of_old[n] = Some(gone.remove(old));
            }
        }
        let removed = gone.into_iter().map(Change::Removed);
        let others = to.fields.iter().zip(of_old).filter_map(|(to, from)| match from {
            Some(from) if from.is_same(to) => None,
            Some(from) => Some(Change::Changed { from, to }),
            None => Some(Change::Added(to)),
        });
        removed.chain(others).collect()
    }

    /// Whether a field of it has this column: for adapters. A column that a table has and no field had was made
    /// by an operator, ahead of a change.
    pub fn has_column(&self, column: &str) -> bool {
        column == self.id_column() || self.fields.iter().any(|field| field.column == column)
    }

    /// Whether entities keep their ids from this one to the other: for adapters.
    pub fn keeps_id(&self, to: &Self) -> bool {
        match (self.id_field(), to.id_field()) {
            (None, None) => true,
            (Some(before), Some(now)) => {
                let is_one = before.name == now.name
                    || (before.column == now.column && to.field(&before.name).is_none());
                is_one && before.of == now.of
            }
            _ => false,
        }
    }

    /// Checks its names, and what is indexed.
    pub(crate) fn check(&self, collection: &str) -> Result<()> {
        name("collection", collection, Self::MAX_NAME)?;
        let lower = collection.to_ascii_lowercase();
        if RESERVED.contains(&&*lower) || OF_OTHERS.iter().any(|prefix| lower.starts_with(prefix)) {
            let context =
                format!("`{collection}` is a table of a store or of a database: take another name");
            return Err(Error::invalid_field("collection", context));
        }
        let (mut names, mut columns) = (HashSet::new(), HashSet::new());
        for field in &self.fields {
            name("column", &field.column, Self::MAX_COLUMN)?;
            let unnamed = field.name.is_empty()
                || field.name.len() > Self::MAX_JSON_NAME
                || field.name.chars().any(char::is_control);
            let what = match () {
                () if unnamed => "is no name: 1 to 256 bytes without control characters",
                () if OF_POSTGRES.contains(&&*field.column.to_ascii_lowercase()) => {
                    "has a column that PostgreSQL has in every table: give it another name"
                }
                () if !names.insert(&*field.name) => "is there twice",
                // Databases differ in whether case counts.
                () if !columns.insert(field.column.to_ascii_lowercase()) => "shares its column",
                () if field.index.is_some() && !field.of.is_indexable() => {
                    "is indexed, and is neither a text, a whole number, a boolean, a UUID nor a time"
                }
                () => continue,
            };
            let context = format!("`{}` of `{collection}` {what}", field.name);
            return Err(Error::invalid_field(&*field.name, context));
        }
        let Some(id) = &self.id else { return Ok(()) };
        let of = self.id_field().map(|field| (&field.of, field.may_miss));
        match of {
            Some((_, true)) => {
                let context = format!("`{id}`, the id of `{collection}`, may be missing");
                Err(Error::invalid_field(&**id, context))
            }
            Some((
                FieldType::Text | FieldType::Integer | FieldType::Unsigned | FieldType::Uuid,
                false,
            )) => Ok(()),
            Some(_) => {
                let context = format!(
                    "`{id}`, the id of `{collection}`, is neither a text nor a whole number nor a UUID"
                );
                Err(Error::invalid_field(&**id, context))
            }
            None => {
                let context = format!("`{id}`, the id of `{collection}`, is none of its fields");
                Err(Error::invalid_field(&**id, context))
            }
        }
    }
}

/// Tables of the stores, which share their place with those of entities.
const RESERVED: [&str; 28] = [
    "checkpoints",
    "collections",
    "commit_rows",
    "commits",
    "document_fields",
    "documents",
    "event_rows",
    "event_tags",
    "events",
    "heads",
    "inbox",
    "inbox_rows",
    "lease_rows",
    "leases",
    "log",
    "outgoing",
    "outgoing_rows",
    "parked",
    "parked_rows",
    "pg_catalog",
    "snapshot_rows",
    "snapshots",
    "staged_1",
    "tables",
    "tick",
    "timer_rows",
    "timers",
    "writers",
];

/// What names of a database's own begin with.
const OF_OTHERS: [&str; 3] = ["cqrs_", "sqlite_", "pg_"];

/// Columns that every table of PostgreSQL has.
const OF_POSTGRES: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Names that each database takes, and that mean the same in each.
fn name(what: &str, name: &str, most: usize) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if begins && name.chars().all(plain) && name.len() <= most && !name.contains("__") {
        return Ok(());
    }
    let shown: String = name.chars().take(most).collect();
    let context = format!(
        "`{}` is no name of a mapped {what}: a letter, then letters, digits and single _, at most {most} bytes",
        shown.escape_debug()
    );
    Err(Error::invalid_field(what, context))
}

impl Field {
    /// Whether what is stored of the other one stays as it is, apart from values that are missing: for
    /// adapters.
    pub fn keeps(&self, old: &Self) -> bool {
        let (new, old) = (self.of.present(), old.of.present());
        if new.is_plain() || old.is_plain() { new == old } else { new.takes(old) }
    }

    /// The error for a change that would lose something, or does not fit what is stored, with the statement that
    /// it would need: for adapters, which have changed nothing then.
    #[cold]
    pub fn cannot_change(&self, collection: &str, what: &str, needed: &str) -> Error {
        let name = &self.name;
        let context = format!(
            "`{name}` of `{collection}` {what}: nothing was changed. What it would need, after a look at \
             what it does: {needed}"
        );
        Error::invalid_field(&**name, context)
    }
}
