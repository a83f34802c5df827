//! Queries of the user's own, on a connection that reads.

use cqrs_core::Result;
use rusqlite::Connection;

use crate::error::Trouble;
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
                let before: bool = conn.pragma_query_value(None, "query_only", |row| row.get(0))?;
                conn.pragma_update(None, "query_only", true)?;
                let done = query(conn);
                conn.pragma_update(None, "query_only", before)?;
                done.map_err(Trouble::from)
            })
            .await
    }
}
