//! Commits in a transaction of the user's own.

use cqrs_core::{Commit, CommitId, Error, ErrorKind, Position, Result};
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use crate::error::Trouble;
use crate::hint::grow;
use crate::statements::{Sql, Statements};
use crate::store::PostgresStore;
use crate::writer::{Group, Known, Terms, Verdict, know};

impl PostgresStore {
    /// Adds a commit to a transaction of one's own: it is applied when that is committed, or not at
    /// all. Its events get their places in the log then, so that no other process waits meanwhile, and
    /// whatever is refused fails the COMMIT; [`refused`](Self::refused) tells why. The position is known
    /// afterwards, to [`committed`](Self::committed).
    ///
    /// A transaction may have several. At REPEATABLE READ or SERIALIZABLE, guards and fences are
    /// refused: such a transaction does not see what others wrote since it began. `SET CONSTRAINTS ALL
    /// IMMEDIATE` applies the commit at once; then all others wait for the end of the transaction.
    ///
    /// ```no_run
    /// use cqrs_core::{Commit, CommitId, Error, Position};
    /// use store_postgres::PostgresStore;
    ///
    /// async fn settle(store: &PostgresStore, commit: Commit) -> Result<Option<Position>, Error> {
    ///     let id = commit.id;
    ///     let mut client = store.pool().get().await.map_err(|e| store.refused(e))?;
    ///     let tx = client.transaction().await.map_err(|e| store.refused(e))?;
    ///     let paid = "UPDATE invoices SET paid = true WHERE number = $1";
    ///     tx.execute(paid, &[&17]).await.map_err(|e| store.refused(e))?;
    ///     store.commit_in(&tx, commit).await?;
    ///     tx.commit().await.map_err(|e| store.refused(e))?;
    ///     store.committed(id).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Store::commit`](cqrs_core::Store::commit) has them for what can be told without the others;
    /// when the transaction is of no use any more.
    pub async fn commit_in(&self, transaction: &Transaction<'_>, commit: Commit) -> Result<()> {
        commit.check(&self.inner.capabilities)?;
        let reader = &self.inner.reader;
        let mut known = Known::new();
        know(&reader.connector, &reader.statements, &commit, &mut known).await?;
        let staged = run(&reader.statements, transaction, &self.inner.terms, &commit, &known).await;
        staged.map_err(|trouble| trouble.into_error("staging a commit", &reader.connector.place))
    }

    /// Why a statement or COMMIT of one's own failed: as the store says it.
    pub fn refused(&self, error: impl Into<OfPostgres>) -> Error {
        let place = &self.inner.reader.connector.place;
        match error.into().0 {
            Refused::Ours(trouble) => trouble.into_error("in a transaction", place),
            Refused::Pool(error) => {
                let context = format!("{place} gave no connection; try again");
                Error::new(ErrorKind::Unavailable, context).with_source(error)
            }
        }
    }

    /// Where a commit ended in the log; `None`: it was not applied, or its id is not kept any more.
    /// Whoever waits for the log to grow is told here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn committed(&self, id: CommitId) -> Result<Option<Position>> {
        let reader = &self.inner.reader;
        let found = async {
            let client = reader.connector.get().await?;
            let (id, first) = (id.0.uuid(), id.event(0).uuid());
            let rows = reader.statements.query(&client, Sql::KnownCommit, &[&id, &first]).await?;
            let position: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?;
            Ok(position.map(|position| position as u64))
        };
        let found: Result<_, Trouble> = found.await;
        let found = found.map_err(|trouble| {
            trouble.into_error("looking for a commit", &reader.connector.place)
        })?;
        if let Some(position) = found {
            grow(&self.inner.grown, position);
        }
        Ok(found)
    }
}

/// An error of the driver, or of its pool. See [`PostgresStore::refused`].
#[derive(Debug)]
pub struct OfPostgres(Refused);

#[derive(Debug)]
enum Refused {
    Ours(Trouble),
    Pool(deadpool_postgres::PoolError),
}

impl From<tokio_postgres::Error> for OfPostgres {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(Refused::Ours(raised(error)))
    }
}

impl From<deadpool_postgres::PoolError> for OfPostgres {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self(Refused::Pool(error))
    }
}

/// What commits have once. Whatever breaks it was not seen, or it would have been a verdict.
const UNIQUE: [&str; 5] = [
    "events_of_stream",
    "events_by_id",
    "commits_pkey",
    "outgoing_by_id",
    "document_fields_unique",
];

/// What was raised instead of a verdict.
pub(crate) fn raised(error: tokio_postgres::Error) -> Trouble {
    let refused = error.as_db_error();
    match refused.map(|refused| refused.code().code()) {
        Some("CQ001") => {
            let detail = refused.and_then(|refused| refused.detail()).unwrap_or_default();
            match Verdict::one(detail).and_then(Verdict::into_refusal) {
                Ok(refusal) | Err(refusal) => Trouble::Ours(refusal),
            }
        }
        Some("CQ003") => {
            let context = "a commit with guards or fences needs a transaction at READ COMMITTED";
            Trouble::Ours(Error::new(ErrorKind::Unsupported { part: "guards" }, context))
        }
        _ if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            let of_ours = refused.and_then(|refused| refused.constraint());
            match of_ours.is_some_and(|name| UNIQUE.contains(&name)) {
                // It was not seen: the transaction began before.
                true => {
                    let context = "others wrote since the transaction began: begin it again";
                    Trouble::Ours(Error::new(ErrorKind::Unavailable, context))
                }
                false => Trouble::Postgres(error),
            }
        }
        _ => Trouble::Postgres(error),
    }
}

/// Adds a commit to a transaction: it is applied when that ends, and refused as a whole.
pub(crate) async fn run(
    statements: &Statements,
    transaction: &Transaction<'_>,
    terms: &Terms,
    commit: &Commit,
    known: &Known,
) -> Result<(), Trouble> {
    let fingerprint = commit.fingerprint();
    let mut group = Group::default();
    group.add(commit, &fingerprint, known)?;
    let params = group.params(terms, known, true, true)?;
    let id = commit.id.0.uuid();
    let mut all: Vec<&(dyn ToSql + Sync)> = vec![&id];
    all.extend(params.iter().map(|param| &**param as &(dyn ToSql + Sync)));
    match statements.within(transaction, Sql::Stage, &all).await {
        Err(Trouble::Postgres(error)) => Err(raised(error)),
        done => done.map(drop),
    }
}
