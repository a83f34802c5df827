//! Leases: given out, taken over and released, each request in a transaction of its own.

use cqrs_core::{Lease, LeaseRequest, Result, Timestamp};
use rusqlite::OptionalExtension;

use super::Writer;
use super::alone::Done;
use super::group::Transaction;
use crate::error::Trouble;
use crate::holders::{Holders, Standing};
use crate::statements::Sql;

/// A lease, and whether its holder's life can be looked at.
struct Row {
    lease: Lease,
    is_backed: bool,
}

impl Writer {
    pub(super) fn lease(&mut self, request: &LeaseRequest) -> Result<Vec<Lease>> {
        self.alone("giving out leases", |transaction| transaction.give_out(request))
    }

    pub(super) fn release(&mut self, holder: &str, names: &[String]) -> Result<()> {
        self.alone("releasing leases", |transaction| {
            let mut released = 0;
            for name in names {
                let lease = (name, holder, Timestamp::MIN.as_micros());
                released += transaction.statements.get(Sql::ReleaseLease)?.execute(lease)?;
            }
            if released == 0 {
                return Ok(Done::Unchanged(()));
            }
            if !transaction.holds_any(holder)?
                && let Some(holders) = &mut transaction.writer.holders
            {
                holders.let_go(holder);
            }
            Ok(Done::Changed(()))
        })
    }

    /// Frees the locks of holders, as the store is closed. The files of those who still have leases
    /// stay, free, and tell others that nobody has them any more.
    pub(super) fn let_holders_go(&mut self) {
        let names = self.holders.as_ref().map(Holders::names).unwrap_or_default();
        if names.is_empty() {
            return;
        }
        let freed = self.alone("closing it", |transaction| {
            for name in &names {
                if !transaction.holds_any(name)?
                    && let Some(holders) = &mut transaction.writer.holders
                {
                    holders.let_go(name);
                }
            }
            Ok(Done::Unchanged(()))
        });
        if let Err(error) = freed {
            tracing::debug!(%error, "files of locks stay; they are removed later");
        }
        self.holders = None;
    }
}

impl Transaction<'_, '_> {
    fn holds_any(&mut self, holder: &str) -> rusqlite::Result<bool> {
        self.statements.get(Sql::HoldsLease)?.exists((holder,))
    }

    fn give_out(&mut self, request: &LeaseRequest) -> Result<Done<Vec<Lease>>, Trouble> {
        let LeaseRequest { holder, names, term } = request;
        let now = self.writer.clock.now();
        let (mut stand, mut given) = (Vec::with_capacity(names.len()), Vec::new());
        let mut changed = false;
        for name in names {
            let Row { mut lease, is_backed } = self.lease_row(name)?;
            if lease.holder != *holder {
                // Also when it is over: what the dead left is removed.
                let is_gone = is_backed && self.bury_if_gone(&lease.holder)?;
                changed |= is_gone;
                if lease.until > now && !is_gone {
                    stand.push(lease);
                    continue;
                }
                // Released: nobody's.
                lease.taken_over = !lease.holder.is_empty();
                lease.holder.clone_from(holder);
                lease.token += 1;
            }
            lease.until = now.saturating_add(*term);
            given.push(stand.len());
            stand.push(lease);
        }
        if given.is_empty() {
            return Ok(if changed { Done::Changed(stand) } else { Done::Unchanged(stand) });
        }
        let is_backed = self.back(holder)?;
        for lease in given.into_iter().map(|n| &stand[n]) {
            let Lease { name, holder, token, until, taken_over: _ } = lease;
            let given = (name, holder, *token as i64, until.as_micros(), is_backed);
            self.statements.get(Sql::GiveLease)?.execute(given)?;
        }
        Ok(Done::Changed(stand))
    }

    /// The lease as it stands; one that was never given out is nobody's.
    fn lease_row(&mut self, name: &str) -> rusqlite::Result<Row> {
        let found = self.statements.get(Sql::Lease)?.query_row((name,), |row| {
            let lease = Lease {
                name: name.to_owned(),
                holder: row.get(0)?,
                token: row.get::<_, i64>(1)? as u64,
                until: Timestamp::from_micros(row.get(2)?),
                taken_over: false,
            };
            Ok(Row { lease, is_backed: row.get(3)? })
        });
        Ok(found.optional()?.unwrap_or_else(|| Row {
            lease: Lease {
                name: name.to_owned(),
                holder: String::new(),
                token: 0,
                until: Timestamp::MIN,
                taken_over: false,
            },
            is_backed: false,
        }))
    }

    /// Ends the leases of a holder of whom no process is left. Whether it is so.
    fn bury_if_gone(&mut self, holder: &str) -> rusqlite::Result<bool> {
        let Some(holders) = &self.writer.holders else { return Ok(false) };
        if holders.look(holder) == Standing::MayLive {
            return Ok(false);
        }
        tracing::info!(file = %self.writer.file, holder, "a holder of leases is gone");
        let ended = (holder, Timestamp::MIN.as_micros());
        self.statements.get(Sql::BuryHolder)?.execute(ended)?;
        Ok(true)
    }

    /// Keeps a lock for the holder. Whether there is one.
    fn back(&mut self, holder: &str) -> rusqlite::Result<bool> {
        let Some(holders) = &mut self.writer.holders else { return Ok(false) };
        let statements = &mut self.statements;
        holders.sweep(|| {
            let holding = statements.get(Sql::Holders)?;
            holding.query_map((), |row| row.get(0))?.collect()
        })?;
        Ok(holders.hold(holder))
    }
}
