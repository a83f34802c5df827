//! What collections were declared as, read when a commit needs it.

use std::sync::Arc;

use cqrs_core::{Collection, Commit, Result};

use super::encode::Known;
use crate::connect::Connector;
use crate::error::Trouble;
use crate::statements::{Sql, Statements};

/// Reads what the collections of a commit were declared as, where that is not known.
///
/// # Errors
/// When one was not declared; when it cannot be read.
pub(crate) async fn know(
    connector: &Connector,
    statements: &Statements,
    commit: &Commit,
    known: &mut Known,
) -> Result<()> {
    let doing = |trouble: Trouble| trouble.into_error("reading a collection", &connector.place);
    for write in commit.documents.iter().chain(&commit.views) {
        let name = &*write.key.collection;
        if known.contains_key(name) {
            continue;
        }
        let client = connector.get().await.map_err(doing)?;
        let rows = statements.query(&client, Sql::Collection, &[&name]).await.map_err(doing)?;
        let fields: Option<String> = match rows.first() {
            Some(row) => Some(row.try_get(0).map_err(|error| doing(error.into()))?),
            None => None,
        };
        let collection = Collection::from_declaration(name, fields.as_deref())?;
        known.insert(name.to_owned(), (Arc::new(collection), fields.unwrap_or_default()));
    }
    Ok(())
}
