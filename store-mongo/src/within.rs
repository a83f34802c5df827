//! Commits in a transaction of the user's own.

use cqrs_core::{Commit, CommitId, Committed, Error, ErrorKind, Position, Result};
use mongodb::ClientSession;
use mongodb::error::ErrorKind as Of;
use tokio::time::timeout;

use crate::alone::alone;
use crate::error::Trouble;
use crate::hint::grow;
use crate::orphans::Begun;
use crate::read;
use crate::store::MongoStore;
use crate::writer::turn::{self, ANSWER};
use crate::writer::{Kept, Pending, write_alone};

impl MongoStore {
    /// A session for transactions of one's own, with [`commit_in`](Self::commit_in). What is read and written with it
    /// is agreed upon by most members. If this process dies in a transaction, other nodes end it: while they wait for
    /// their turn to write, they end any transaction of such a session in which nothing was done for a second and a
    /// half, also one that commits nothing to the log.
    ///
    /// # Errors
    /// When the server is out of reach.
    pub async fn session(&self) -> Result<ClientSession> {
        let connector = &self.inner.reader.connector;
        let begun = async {
            let session = connector.session().await?;
            self.inner.users.enrol(connector, &session).await?;
            Ok(session)
        };
        let begun: Result<ClientSession, Trouble> = begun.await;
        begun.map_err(|trouble| trouble.into_error("beginning a session", &connector.place))
    }

    /// Applies a commit in a transaction of one's own: it is there when that is committed, or not at all. What it
    /// answers holds then.
    ///
    /// From here to the end of the transaction nobody else writes to the log: call it first, and end it soon. One in
    /// which nothing is done for a second and a half is ended by others who want to write, and none lasts for more than
    /// a minute.
    ///
    /// When the commit is refused (a conflict, or what cannot be), the transaction is as it was, and can go on. After
    /// any other error it has been ended: nothing of it is written, and it is to be begun again. So it is where
    /// others have written to the log since its first command, whose snapshot it has
    /// ([`Unavailable`](ErrorKind::Unavailable)).
    ///
    /// *Cancel safety*: dropped before it answers, it may leave a part of the commit in the transaction. End that then
    /// (`abort_transaction`, or drop the session), and do not commit it.
    ///
    /// *At the end*: when `commit_transaction` fails with the label `TransientTransactionError`, nothing is written;
    /// begin again, with the same commit. With `UnknownTransactionCommitResult` it may be: call `commit_transaction`
    /// again, or begin again with a commit of the same id, which is told to be a repeat if it was applied. A write
    /// concern of yours below `majority` gives up that what is acknowledged lasts.
    ///
    /// ```no_run
    /// use cqrs_core::{Commit, Error};
    /// use store_mongo::MongoStore;
    /// use store_mongo::bson::{Document, doc};
    /// use store_mongo::mongodb;
    ///
    /// # #[derive(Debug)]
    /// # enum Failed { Store(Error), Driver(mongodb::error::Error) }
    /// # impl From<Error> for Failed { fn from(e: Error) -> Self { Self::Store(e) } }
    /// # impl From<mongodb::error::Error> for Failed {
    /// #     fn from(e: mongodb::error::Error) -> Self { Self::Driver(e) }
    /// # }
    /// async fn settle(store: &MongoStore, commit: Commit) -> Result<(), Failed> {
    ///     let mut session = store.session().await?;
    ///     session.start_transaction().await?;
    ///     store.commit_in(&mut session, commit).await?;
    ///     let invoices = store.database().collection::<Document>("invoices");
    ///     let paid = doc! { "$set": { "paid": true } };
    ///     invoices.update_one(doc! { "_id": 17 }, paid).session(&mut session).await?;
    ///     session.commit_transaction().await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Store::commit`](cqrs_core::Store::commit) has them; [`Invalid`](ErrorKind::Invalid) when the session is
    /// in no transaction.
    pub async fn commit_in(
        &self,
        session: &mut ClientSession,
        commit: Commit,
    ) -> Result<Committed> {
        let inner = &self.inner;
        commit.check(&inner.capabilities)?;
        let connector = &inner.reader.connector;
        must_be_in_transaction(session, &connector.place).await?;
        let pending = Pending::alone(commit);
        // So that others can end it, should this process die.
        let enrolled = inner.users.enrol(connector, session).await;
        enrolled.map_err(|trouble| trouble.into_error("staging a commit", &connector.place))?;
        let begun = Begun::of(connector, session);
        let longest = connector.patience.max(ANSWER);
        let written = async {
            // Commits of this process are not in the way at this moment.
            let _one = alone(&inner.one, connector.patience).await?;
            let written = write_alone(&connector.db, session, &pending, self.kept());
            timeout(longest, written).await.map_err(|_| Trouble::TooLong)?
        };
        let written: Result<Result<Committed>, Trouble> = written.await;
        if let Err(trouble) = &written {
            // A part of it may be written: what nobody can go on with cannot be committed by mistake.
            turn::end(connector, session, trouble).await;
        }
        begun.over();
        match written {
            Ok(answer) => answer,
            Err(trouble) if trouble.is_conflict() => {
                let place = &connector.place;
                let context = format!(
                    "others write to the log of {place}: begin the transaction again, with the commit first"
                );
                Err(Error::new(ErrorKind::Unavailable, context))
            }
            Err(trouble) => {
                let doing = "staging a commit";
                Err(trouble.into_error_of(&pending.commit, doing, &connector.place))
            }
        }
    }

    /// How long ids are known.
    pub(crate) fn kept(&self) -> Kept {
        let capabilities = &self.inner.capabilities;
        Kept { commit_ids: capabilities.keeps_commit_ids, inbox: capabilities.keeps_inbox }
    }

    /// Where a commit ended in the log; `None`: it is not applied now, or its id is not kept any more. That is final
    /// only when its transaction has ended. Whoever waits for the log to grow is told here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn committed(&self, id: CommitId) -> Result<Option<Position>> {
        let reader = &self.inner.reader;
        let find = || read::committed(reader, id);
        let found = reader.patiently("looking for a commit", find).await?;
        if let Some(position) = found {
            grow(&self.inner.grown, position);
        }
        Ok(found)
    }
}

/// Without a transaction, others would see the commit bit by bit.
async fn must_be_in_transaction(session: &mut ClientSession, place: &str) -> Result<()> {
    // The driver tells no other way; nothing is sent to the server.
    match session.start_transaction().await {
        Err(error) if matches!(&*error.kind, Of::Transaction { .. }) => Ok(()),
        Err(error) => Err(Trouble::from(error).into_error("staging a commit", place)),
        Ok(()) => {
            let _ = session.abort_transaction().await;
            let context = "the session is in no transaction: call `start_transaction` first";
            Err(Error::invalid_field("session", context))
        }
    }
}
