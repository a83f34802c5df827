//! Queries of the user's own, on a connection that reads.

use cqrs_core::Result;
use rusqlite::Connection;

use crate::error::Trouble;
use crate::statements::Sql;
use crate::store::SqliteStore;

impl SqliteStore {
    /// Runs queries of one's own: on tables of entities, of projections, or of the store. The connection only
    /// reads; what is written goes through commits and [projections](crate::SqliteProjection).
    ///
    /// Cancel safety: when the future is dropped, the query runs to its end, and what it found is thrown away.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # use store_sqlite::SqliteStore;
    /// let store = SqliteStore::in_memory().await?;
    /// let events = store.query(|conn| {
    ///     conn.query_row("SELECT count(*) FROM events", (), |row| row.get::<_, i64>(0))
    /// });
    /// assert_eq!(events.await?, 0);
    /// # Ok::<_, cqrs_core::BoxError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Internal`](cqrs_core::ErrorKind::Internal) with what SQLite says, for one that writes as well;
    /// [`Unavailable`](cqrs_core::ErrorKind::Unavailable) when the store is closed.
    pub async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.inner
            .readers
            .run("running a query", move |conn| {
                // Of a store in memory it is the connection that writes.
                let _only = ReadOnly::of(conn)?;
                query(conn).map_err(Trouble::from)
            })
            .await
    }
}

/// A connection that only reads for a while; it comes back as it was, whatever happens in between.
struct ReadOnly<'c> {
    conn: &'c Connection,
    before: bool,
}

impl<'c> ReadOnly<'c> {
    fn of(conn: &'c Connection) -> rusqlite::Result<Self> {
        let before = conn.pragma_query_value(None, "query_only", |row| row.get(0))?;
        conn.pragma_update(None, "query_only", true)?;
        Ok(Self { conn, before })
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        // A transaction that was begun and not ended would hold up whoever is next.
        if !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch(Sql::Rollback.text());
        }
        let _ = self.conn.pragma_update(None, "query_only", self.before);
    }
}
