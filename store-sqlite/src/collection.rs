//! Documents as they come out of a row.

use cqrs_core::{Document, Error, ErrorKind, Json};
use rusqlite::Row;

use crate::error::Trouble;

/// The body in a column. Checked, because people edit files.
pub(crate) fn body_of(row: &Row<'_>, index: usize, name: &str, id: &str) -> Result<Json, Trouble> {
    Ok(Json::parse(row.get_ref(index)?.as_str().map_err(rusqlite::Error::from)?).map_err(
        |cause| {
            let context = format!("the document {name}/{id} is no JSON: repair it ({cause})");
            let kind = ErrorKind::Decode { message: name.to_owned(), field: None };
            Error::new(kind, context).with_source(cause)
        },
    )?)
}

/// A document from a row of id, version and body.
pub(crate) fn document_of(row: &Row<'_>, name: &str) -> Result<Document, Trouble> {
    let id = row.get::<_, String>(0)?;
    let body = body_of(row, 2, name, &id)?;
    Ok(Document { version: row.get::<_, i64>(1)? as u64, body, id })
}
