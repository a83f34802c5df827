//! The tables: made and brought to the newest version when a store is connected.

use cqrs_core::{Error, ErrorKind, Result};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::error::SqlState;

use crate::error::Trouble;
use crate::statements::in_schema;

/// In their order; the number of a version is its place, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("sql/migrations/0001_tables.sql"),
    include_str!("sql/migrations/0002_commit.sql"),
    include_str!("sql/migrations/0003_reading.sql"),
    include_str!("sql/migrations/0004_staged.sql"),
    include_str!("sql/migrations/0005_tables_of_entities.sql"),
];

/// The SQL that makes the tables of a schema and brings them to the newest version, for those who run
/// it themselves: as one transaction, by a user who may make a schema. It can be run again.
///
/// ```
/// let sql = store_postgres::migrations("orders");
/// assert!(sql.contains("CREATE TABLE orders.events"));
/// ```
pub fn migrations(schema: &str) -> String {
    let mut sql = format!("BEGIN;\n\n{}", first(schema));
    for (n, migration) in MIGRATIONS.iter().enumerate() {
        let version = n + 1;
        let body = in_schema(migration, schema);
        // The tag ends a string, and no statement of ours has it.
        sql.push_str(&format!(
            "DO $migration$\nBEGIN\n  IF (SELECT version FROM {schema}.tables) < {version} THEN\n    \
             EXECUTE $sql$\n{body}$sql$;\n    UPDATE {schema}.tables SET version = {version};\n  \
             END IF;\nEND\n$migration$;\n\n"
        ));
    }
    sql.push_str("COMMIT;\n");
    sql
}

/// The schema, and the table that knows the version. One at a time makes them, on whichever node.
fn first(schema: &str) -> String {
    format!(
        "SELECT pg_advisory_xact_lock(1668379251, hashtext('{schema}'));\n\
         CREATE SCHEMA IF NOT EXISTS {schema};\n\
         CREATE TABLE IF NOT EXISTS {schema}.tables (\n  \
         one boolean PRIMARY KEY DEFAULT true CHECK (one), version integer NOT NULL);\n\
         INSERT INTO {schema}.tables (version) VALUES (0) ON CONFLICT DO NOTHING;\n\n"
    )
}

/// The version of the tables; 0: there are none.
pub(crate) async fn version(client: &ClientWrapper, schema: &str) -> Result<usize, Trouble> {
    let found = client.simple_query(&format!("SELECT version FROM {schema}.tables")).await;
    let rows = match found {
        Ok(rows) => rows,
        Err(error)
            if matches!(
                error.code(),
                Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME)
            ) =>
        {
            return Ok(0);
        }
        Err(error) => return Err(error.into()),
    };
    let version = rows.iter().find_map(|row| match row {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    });
    Ok(version.unwrap_or(0))
}

/// Makes the tables, or brings them to the newest version; or looks whether they are at it.
pub(crate) async fn migrate(
    client: &ClientWrapper,
    schema: &str,
    place: &str,
    migrates: bool,
) -> Result<(), Trouble> {
    let newest = MIGRATIONS.len();
    let found = version(client, schema).await?;
    if found > newest {
        let (found, known) = (found as u32, newest as u32);
        let context = format!(
            "the schema `{schema}` of {place} was made by a newer version of this store (tables \
             {found}, known {known}): update this program; it was left as it is"
        );
        return Err(Error::new(ErrorKind::SchemaTooNew { found, known }, context).into());
    }
    if found == newest {
        return Ok(());
    }
    if !migrates {
        let context = format!(
            "the tables in the schema `{schema}` of {place} are at version {found} of {newest}: run \
             what `store_postgres::migrations` prints"
        );
        return Err(Error::new(ErrorKind::Unavailable, context).into());
    }
    tracing::info!(place, schema, from = found, to = newest, "migrating the tables");
    client.batch_execute(&migrations(schema)).await?;
    Ok(())
}
