//! One commit in a transaction that somebody else began, and will end.

use cqrs_core::{Commit, Committed, Result};
use mongodb::{ClientSession, Database};

use super::batch::Batch;
use super::facts::Facts;
use super::judge::{Judge, Turn};
use super::look::{Mode, look};
use super::turn::{look_at, promised, take};
use super::{Kept, Pending, places, since};
use crate::error::Trouble;
use crate::seen::Seen;

/// An index that refuses something would end the transaction.
const MODE: Mode = Mode::Careful;

/// Takes the turn and applies the commit, or tells why not: then nothing of it is left in the transaction.
pub(crate) async fn write_alone(
    db: &Database,
    session: &mut ClientSession,
    pending: &Pending,
    kept: Kept,
) -> Result<Result<Committed>, Trouble> {
    let places = places(&pending.commit);
    let mut turn = take(db, session, places).await?;
    let promised = promised(&turn, places);
    let (verdict, batch) = judge(db, session, pending, kept, &mut turn).await?;
    // Also when it is refused: the head is to go back.
    batch.write(db, session, &turn, promised, MODE).await?;
    Ok(verdict)
}

/// The verdict on it, and what it writes.
async fn judge(
    db: &Database,
    session: &mut ClientSession,
    pending: &Pending,
    kept: Kept,
    turn: &mut Turn,
) -> Result<(Result<Committed>, Batch), Trouble> {
    let mut facts = Facts {
        commits_since: since(turn.now, kept.commit_ids),
        inbox_since: since(turn.now, kept.inbox),
        ..Facts::default()
    };
    let group = std::slice::from_ref(pending);
    look(db, session, group, &mut facts, &Seen::default(), turn.head, MODE).await?;
    let mut batch = Batch::default();
    let mut judge = Judge { facts: &mut facts, turn, batch: &mut batch };
    let verdict = judge.judge(0, &pending.commit, pending.fingerprint);
    Ok((verdict, batch))
}

/// Whether a commit does nothing but move a checkpoint: then it needs no turn.
pub(crate) fn only_moves_checkpoint(commit: &Commit) -> bool {
    // No `..`: a new part is one more.
    let Commit {
        id: _,
        fences: _,
        guards,
        appends,
        documents,
        views,
        snapshots,
        checkpoint,
        inbox,
        timers,
        outgoing,
        settled,
        parked,
    } = commit;
    let has_others = !(guards.is_empty()
        && appends.is_empty()
        && documents.is_empty()
        && views.is_empty()
        && snapshots.is_empty()
        && inbox.is_empty()
        && timers.is_empty()
        && outgoing.is_empty()
        && settled.is_empty()
        && parked.is_empty());
    checkpoint.is_some() && !has_others
}

/// A commit that does nothing but move a checkpoint: the verdict on it, and what is to be written when everything
/// else of the transaction is. Whoever moves the same checkpoint meanwhile, or takes one of the leases, is in
/// conflict with that; others are not, and nobody waits for it.
pub(crate) async fn judge_checkpoint(
    db: &Database,
    session: &mut ClientSession,
    pending: &Pending,
    kept: Kept,
) -> Result<(Result<Committed>, Unwritten), Trouble> {
    let commit = &pending.commit;
    let mut turn = look_at(db, session).await?;
    let (verdict, mut batch) = judge(db, session, pending, kept, &mut turn).await?;
    if let Ok(Committed::Now { .. }) = verdict {
        let of_checkpoint = commit.checkpoint.iter().flat_map(|write| &write.fence);
        for fence in commit.fences.iter().chain(of_checkpoint) {
            batch.hold(&fence.lease);
        }
    }
    Ok((verdict, Unwritten { batch, turn }))
}

/// What a commit without a turn writes.
pub(crate) struct Unwritten {
    batch: Batch,
    turn: Turn,
}

impl Unwritten {
    pub(crate) async fn write(
        self,
        db: &Database,
        session: &mut ClientSession,
    ) -> Result<(), Trouble> {
        let Self { batch, turn } = self;
        batch.write(db, session, &turn, turn.head, MODE).await
    }
}
