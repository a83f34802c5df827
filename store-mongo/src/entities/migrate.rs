//! Declaring entities: their collection is made, or changed with them, and nothing that is stored is lost.
//!
//! Collections and indexes are changed outside of transactions, what is in them inside of one, with the turn:
//! it is noted before that something is going on, and after that all is done. Whoever finds it unfinished ends
//! it.

use std::sync::Arc;

use async_trait::async_trait;
use bson::{Document as Bsons, RawDocumentBuf, doc, rawdoc};
use cqrs_core::{Collection, Error, ErrorKind, Result};
use mongodb::{ClientSession, Database};

use super::change::{change, take_over};
use super::shape;
use crate::alone::{Alone, Done, Work};
use crate::declare::LONGEST;
use crate::error::{Trouble, code};
use crate::migrate::LOG;
use crate::names::Coll;
use crate::read::{Find, Reader};
use crate::row::Fields;
use crate::writer::{Kind, Turn, statements};

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
        _: bool,
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
        _: bool,
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
            Some(before) => change(db, session, collection, before, mapping).await?,
        }
        Ok(Done::Changed(Moved::Done))
    }
}
