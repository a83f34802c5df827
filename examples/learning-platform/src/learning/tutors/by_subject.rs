//! Who teaches a subject: a query in the words of each database, against the very table that the profiles are
//! in.

use std::sync::Arc;

use cqrs_core::{Documents, Entity, Error, ErrorKind, FindDocuments, Result, Store, Versioned};
use store_mongo::MongoStore;
use store_mongo::bson::{Document, doc};
use store_postgres::PostgresStore;
use store_postgres::tokio_postgres::types::{ToSql, Type};
use store_sqlite::SqliteStore;

use super::profile::Tutor;

/// Tutors of a page.
const PAGE: u32 = 100;

/// Finds the tutors of a subject.
#[derive(Debug, Clone)]
pub enum BySubject {
    /// In any store: all profiles are looked at.
    Anywhere(Arc<dyn Store>),
    /// In a list of JSON.
    Sqlite(SqliteStore),
    /// In `jsonb`, with an index.
    Postgres(PostgresStore),
    /// In a list, with an index.
    Mongo(MongoStore),
}

impl BySubject {
    /// Makes the indexes that are the query's own. The table is there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn prepare(&self) -> Result<()> {
        match self {
            Self::Anywhere(_) | Self::Sqlite(_) => Ok(()),
            Self::Postgres(store) => {
                let client = store.pool().get().await.map_err(|error| store.refused(error))?;
                // One process at a time: `IF NOT EXISTS` is not enough by itself.
                let index = format!(
                    "SELECT pg_advisory_xact_lock(hashtext('tutors_by_subject'));
                     CREATE INDEX IF NOT EXISTS tutors_by_subject ON {} USING gin (subjects)",
                    store.table::<Tutor>()
                );
                client.batch_execute(&index).await.map_err(|error| store.refused(error))
            }
            Self::Mongo(store) => {
                let index = doc! { "name": "by_subject", "key": { "subjects": 1, "_id": 1 } };
                let create = doc! { "createIndexes": Tutor::COLLECTION, "indexes": [index] };
                store.database().run_command(create).await.map(drop).map_err(of_mongo)
            }
        }
    }

    /// The first of them after an id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find(&self, subject: String, after: String) -> Result<Vec<Tutor>> {
        match self {
            Self::Anywhere(store) => of_all(store, &subject, after).await,
            Self::Sqlite(store) => of_sqlite(store, subject, after).await,
            Self::Postgres(store) => of_postgres(store, &subject, &after).await,
            Self::Mongo(store) => of_a_list(store, &subject, &after).await,
        }
    }
}

async fn of_all(store: &Arc<dyn Store>, subject: &str, after: String) -> Result<Vec<Tutor>> {
    let tutors = Documents::<Tutor>::new(Arc::clone(store));
    let (mut found, mut after) = (Vec::new(), after);
    while found.len() < PAGE as usize {
        let page = tutors.query(FindDocuments::all(Tutor::COLLECTION).after(after).limit(PAGE));
        let page = page.await?;
        let Some(last) = page.last() else { break };
        after = last.id();
        let teach = page.into_iter().map(Versioned::into_inner);
        found.extend(teach.filter(|tutor| tutor.teaches(subject)));
    }
    found.truncate(PAGE as usize);
    Ok(found)
}

async fn of_sqlite(store: &SqliteStore, subject: String, after: String) -> Result<Vec<Tutor>> {
    let json = store.query(move |conn| {
        let mut tutors = conn.prepare_cached(
            "SELECT json_object('tutor_id', tutor_id, 'name', name, 'bio', bio,
               'subjects', json(subjects), 'version', version)
             FROM tutors
             WHERE _tenant = '' AND tutor_id > ?2
               AND EXISTS (SELECT 1 FROM json_each(subjects) WHERE value = ?1)
             ORDER BY tutor_id LIMIT ?3",
        )?;
        let rows = tutors.query_map((subject, after, PAGE), |row| row.get::<_, String>(0))?;
        rows.collect::<std::result::Result<Vec<_>, _>>()
    });
    json.await?.iter().map(|json| read(json)).collect()
}

async fn of_postgres(store: &PostgresStore, subject: &str, after: &str) -> Result<Vec<Tutor>> {
    let client = store.pool().get().await.map_err(|error| store.refused(error))?;
    let tutors = format!(
        "SELECT to_jsonb(t)::text FROM (
           SELECT tutor_id, name, bio, subjects, version FROM {}
           WHERE _tenant = '' AND tutor_id > $2 AND subjects @> jsonb_build_array($1)
           ORDER BY tutor_id LIMIT {PAGE}) AS t",
        store.table::<Tutor>()
    );
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&subject, Type::TEXT), (&after, Type::TEXT)];
    let rows = client.query_typed(&tutors, &params).await.map_err(|error| store.refused(error))?;
    rows.iter().map(|row| read(row.get(0))).collect()
}

/// Matched in the index, and read as what they are: the driver knows the entity.
async fn of_a_list(store: &MongoStore, subject: &str, after: &str) -> Result<Vec<Tutor>> {
    let pipeline: [Document; 3] = [
        doc! { "$match": { "subjects": subject, "_tenant": "", "_id": { "$gt": after } } },
        doc! { "$sort": { "_id": 1 } },
        doc! { "$limit": i64::from(PAGE) },
    ];
    let tutors = store.collection::<Tutor>();
    let mut found = tutors.aggregate(pipeline).with_type::<Tutor>().await.map_err(of_mongo)?;
    let mut all = Vec::new();
    while found.advance().await.map_err(of_mongo)? {
        all.push(found.deserialize_current().map_err(of_mongo)?);
    }
    Ok(all)
}

fn read(json: &str) -> Result<Tutor> {
    serde_json::from_str(json).map_err(|cause| {
        let kind = ErrorKind::Decode { message: Tutor::COLLECTION.to_owned(), field: None };
        Error::new(kind, format!("a row of the tutors is none: {cause}")).with_source(cause)
    })
}

fn of_mongo(error: store_mongo::mongodb::error::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the tutors cannot be read; try again").with_source(error)
}
