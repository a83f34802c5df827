//! Leases, by the server's clock. Who asks again for what it has needs no turn; a lease that goes to another one does,
//! so that no commit under the old token comes after it.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use bson::raw::RawDocument;
use bson::{DateTime, RawDocumentBuf, doc, rawdoc};
use cqrs_core::{Lease, LeaseRequest, Result};
use mongodb::{ClientSession, Database};

use crate::alone::{Alone, Done, Work};
use crate::deaths::Deaths;
use crate::error::Trouble;
use crate::names::Coll;
use crate::read::{Find, Reader, later, lease as lease_of};
use crate::row::{Fields, bound, time_of};
use crate::writer::turn::ANSWER;
use crate::writer::{Kind, Turn, meet, statements};

/// Gives out leases, as [`Store::lease`](cqrs_core::Store::lease) says.
pub(crate) async fn give_out(
    reader: &Reader,
    alone: &Alone,
    deaths: &Deaths,
    request: &LeaseRequest,
) -> Result<Vec<Lease>> {
    const DOING: &str = "giving out leases";
    if request.names.is_empty() {
        return Ok(Vec::new());
    }
    let (stand, nodes) = reader.patiently(DOING, || renew(reader, request)).await?;
    let dead = deaths.among(nodes).await;
    match stand {
        Some(leases) if dead.is_empty() => Ok(leases),
        _ => alone.run(DOING, ANSWER, Take { request, node: &reader.connector.node, dead }).await,
    }
}

struct Take<'r> {
    request: &'r LeaseRequest,
    /// This one.
    node: &'r str,
    /// Nodes whose leases are to be had.
    dead: BTreeSet<String>,
}

/// How leases stand, where all are somebody's; and the nodes of others that have some.
type Standing = (Option<Vec<Lease>>, BTreeSet<String>);

#[async_trait]
impl Work for Take<'_> {
    type Output = Vec<Lease>;

    async fn run(
        &self,
        db: &Database,
        session: &mut ClientSession,
        turn: &Turn,
        is_repeat: bool,
    ) -> Result<Done<Vec<Lease>>, Trouble> {
        self.take(db, session, turn, is_repeat).await
    }
}

/// More time on what the holder has. `None`: not all of it is told by that.
async fn renew(reader: &Reader, request: &LeaseRequest) -> Result<Standing, Trouble> {
    let LeaseRequest { holder, names, term } = request;
    let millis = later(DateTime::from_millis(0), *term).timestamp_millis();
    let held = doc! { "_id": { "$in": names }, "holder": holder.as_str() };
    let longer = vec![doc! { "$set": { "until": { "$add": ["$$NOW", millis] } } }];
    let mut session = reader.connector.session().await?;
    let leases = reader.connector.db.collection::<RawDocumentBuf>(Coll::Leases.name());
    leases.update_many(held, longer).session(&mut session).await?;
    reader.connector.note(&session);
    drop(session);
    // Another one's is told as it stands, for as long as it is not over.
    let known = doc! {
        "_id": { "$in": names },
        "$or": [{ "holder": holder.as_str() }, { "$expr": { "$gt": ["$until", "$$NOW"] } }],
    };
    let (mut found, mut nodes) = (HashMap::new(), BTreeSet::new());
    let take = |document: &RawDocument| {
        let lease =
            lease_of(&Fields(document)).map_err(|cause| Trouble::damaged("a lease", cause))?;
        if !lease.is_of(holder)
            && let Some(node) = Fields(document).maybe_text("node").ok().flatten()
        {
            nodes.insert(node.to_owned());
        }
        found.insert(lease.name.clone(), lease);
        Ok(true)
    };
    reader.each(Find::new(Coll::Leases, known), take).await?;
    Ok((names.iter().map(|name| found.remove(name)).collect(), nodes))
}

impl Take<'_> {
    /// Takes what is to be had, with the turn.
    async fn take(
        &self,
        db: &Database,
        session: &mut ClientSession,
        turn: &Turn,
        is_repeat: bool,
    ) -> Result<Done<Vec<Lease>>, Trouble> {
        let LeaseRequest { holder, names, term } = self.request;
        let (now, until) = (time_of(turn.now), later(turn.now, *term));
        let mut all = bson::RawArrayBuf::new();
        names.iter().for_each(|name| all.push(name.as_str()));
        let command = rawdoc! {
            "find": Coll::Leases.name(), "filter": { "_id": { "$in": all } }, "batchSize": 10_000,
        };
        let found = db.run_raw_cursor_command(command).session(&mut *session).await?;
        let mut found = found.with_type::<RawDocumentBuf>();
        let mut known = HashMap::new();
        while let Some(document) = found.next(session).await {
            let document = document?;
            let fields = Fields(&document);
            let lease = lease_of(&fields).map_err(|cause| Trouble::damaged("a lease", cause))?;
            let node = fields.maybe_text("node").ok().flatten();
            let is_of_the_dead = node.is_some_and(|node| self.dead.contains(node));
            known.insert(lease.name.clone(), (lease, is_of_the_dead));
        }
        let mut stand = Vec::with_capacity(names.len());
        let (mut given, mut taken) = (Vec::new(), Vec::new());
        for name in names {
            let nobodys = || Lease {
                name: name.clone(),
                holder: String::new(),
                token: 0,
                until: cqrs_core::Timestamp::MIN,
                taken_over: false,
            };
            let (mut lease, is_of_the_dead) =
                known.remove(name).unwrap_or_else(|| (nobodys(), false));
            if lease.holder != *holder {
                if lease.until > now && !is_of_the_dead {
                    stand.push(lease);
                    continue;
                }
                // Released: nobody's.
                lease.taken_over = !lease.holder.is_empty();
                lease.holder.clone_from(holder);
                lease.token += 1;
                taken.push(meet(name));
            } else if is_repeat {
                // It may be an attempt without an answer that took it, and from whom is not known any more.
                lease.taken_over = true;
            }
            lease.until = time_of(until);
            given.push(rawdoc! {
                "q": { "_id": lease.name.as_str() },
                "u": {
                    "_id": lease.name.as_str(),
                    "holder": lease.holder.as_str(),
                    "token": bound(lease.token),
                    "until": until,
                    "node": self.node,
                },
                "upsert": true,
            });
            stand.push(lease);
        }
        if given.is_empty() {
            return Ok(Done::Unchanged(stand));
        }
        statements(db, session, Coll::Fences, Kind::Update, taken).await?;
        statements(db, session, Coll::Leases, Kind::Update, given).await?;
        Ok(Done::Changed(stand))
    }
}

/// Gives leases back. Their tokens stay good until somebody takes them: that needs no turn.
pub(crate) async fn release(reader: &Reader, holder: &str, names: &[String]) -> Result<()> {
    let released = reader.patiently("releasing leases", || async move {
        if holder.is_empty() {
            return Ok(());
        }
        let held = doc! { "_id": { "$in": names }, "holder": holder };
        let free = doc! { "$set": { "holder": "", "until": DateTime::from_millis(0) } };
        let leases = reader.connector.db.collection::<RawDocumentBuf>(Coll::Leases.name());
        let mut session = reader.connector.session().await?;
        leases.update_many(held, free).session(&mut session).await?;
        reader.connector.note(&session);
        Ok(())
    });
    released.await
}
