//! The MongoDB store: any number of nodes, one log.
//!
//! A [`Store`](cqrs_core::Store) for services of several processes, on several machines, in a replica set of
//! MongoDB 6.0 or newer. It keeps all parts of a [`Commit`](cqrs_core::Commit) in plain collections of one
//! database: events, documents, snapshots, inbox and checkpoints; messages to send, timers, what is set aside,
//! leases. Entities with a [schema](cqrs_core::Schema) are documents of collections of their own.
//!
//! # Smallest program
//!
//! ```no_run
//! use cqrs_core::{Commit, Committed, Store};
//! use store_mongo::MongoStore;
//!
//! # async fn run() -> cqrs_core::Result<()> {
//! let store = MongoStore::connect("mongodb://localhost/shop?replicaSet=rs0").await?;
//! assert_eq!(store.commit(Commit::default()).await?, Committed::Now { position: 0 });
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! See [`MongoStore`] for one with events, and [`MongoBuilder`] for the settings.
//!
//! # How the parts fit
//!
//! One task writes. Whatever commits of this process arrived while the last group was on its way go together, in
//! one transaction, each with a verdict of its own; nothing waits to fill a group. The first command of the
//! transaction takes the turn: it changes the one document of `cqrs_log`, which fixes what the transaction sees,
//! and which no other can change until it ends. So positions are given in the order in which commits are seen
//! (P4). Who is in the way of somebody else's turn tries again after 0 to 30 ms; nodes that write at once take
//! turns, and each takes all that has gathered.
//!
//! What is written is on the disks of most members before it is acknowledged, and nothing else is read: write
//! concern `majority` with journal, read concern `majority`, from the primary. A page of the log is read up to a
//! head that was read first, because a cursor that is open across batches may miss what is written meanwhile.
//! The reads of one store see its own writes, whichever member answers (causal sessions).
//!
//! A commit whose answer is lost is looked for under its id, and sent again if it is not there; so is one that
//! the server gave up for a reason that passes. A node that dies or is stopped while it has the turn would keep
//! all others from writing for a minute. Nodes leave the ids of the sessions that write in `cqrs_writers`; who
//! waits for more than 0.15 seconds ends the transactions of nodes that are not connected any more, and those in which
//! nothing was done for a second and a half (`killSessions`), and writes on.
//!
//! Leases are documents with a holder, a token and an end, by the clock of the server; whoever takes one over
//! is in conflict with what is written under it (`cqrs_fences`). The server knows which nodes are connected:
//! the leases of one that has died are given to others at once.
//!
//! A change stream wakes those who wait for the log to grow. It is a hint and never the truth: when it breaks,
//! or its history is lost, what it missed is read from the log.
//!
//! A commit can be part of a transaction of yours: [`MongoStore::commit_in`]. A [`MongoProjection`] puts events
//! into collections of yours, each exactly once. [`MongoStore::database`] and [`MongoStore::collection`] are the
//! driver's own, for queries and aggregations.
//!
//! # What it promises
//!
//! - An acknowledged commit survives the loss of any minority of the members, a kill -9 of all of them, and the
//!   election of another primary. While there is none, commits wait for as long as
//!   [`patience`](MongoBuilder::patience) says; then they are
//!   [`OutcomeUnknown`](cqrs_core::ErrorKind::OutcomeUnknown) or
//!   [`Unavailable`](cqrs_core::ErrorKind::Unavailable).
//! - Positions are given in the order of commits and never twice.
//! - Whoever was given a position finds no other event at or below it later, whatever it filters, and however
//!   its pages are cut.
//! - What is written can be read with `mongosh`: `db.cqrs_events.find().sort({_id: -1}).limit(20)`. Bodies are
//!   the JSON that was written, as text in `data`: every number and every name comes back as it was.
//! - Passwords are in no error, log or `Debug`.
//!
//! # Looking with `mongosh`
//!
//! ```js
//! // A stream, and what was written last. The id of an event's document is its position.
//! db.cqrs_events.find({tenant: '', category: 'account', stream: '17'}).sort({version: 1})
//! db.cqrs_events.find({}, {type: 1, stream: 1, recorded_at: 1, data: 1}).sort({_id: -1}).limit(20)
//! // How far each subscription is.
//! db.cqrs_log.findOne().head
//! db.cqrs_checkpoints.find()
//! // What is set aside, and why; what is still to be sent.
//! db.cqrs_parked.find({}, {state: 1, attempts: 1, cause: 1})
//! db.cqrs_outgoing.find({}, {kind: 1, name: 1, key: 1, recorded_at: 1})
//! // Who runs what.
//! db.cqrs_leases.find()
//! // Entities with a schema are under their own names.
//! db.tutors.find({subjects: 'logic'})
//! ```
//!
//! # Entities
//!
//! The entities of a [schema](cqrs_core::Schema) are in the collection that it names, with a validator and with
//! indexes. `_id` is the id of the entity, or `{tenant, id}` of a tenant's; `_tenant` and `_version` are the
//! store's. Whole numbers are `long` (larger ones `decimal`), UUIDs those of BSON, and times texts with all their
//! digits. What a shell writes in their place (an `int`, a `double` without a fraction; a date, where it is not
//! indexed) is read as well. The driver's `Collection<T>` reads an entity without UUIDs and other names;
//! [`MongoStore::entity_of`] reads any.
//!
//! A change of the schema is made when a store declares it with a higher version: fields that may be missing are
//! added, fields are renamed, indexes come and go. What would lose something, or does not fit what is stored, is
//! refused with the statement that it would need; the validator refuses such a statement unless it says
//! `bypassDocumentValidation`. Indexes named `tutors__…` are the store's, all others are yours. Entities are written
//! through the store, which knows their versions; a unique value that somebody else writes is not known to it until
//! the entity is saved again.
//!
//! # Privileges
//!
//! `readWrite` and `dbAdmin` on the database. Whoever is logged in sees and ends its own sessions, so all nodes
//! have one user. Without a login, it needs none.
//!
//! # TLS
//!
//! `tls=true` in the URL protects every connection; the driver does so by itself for `mongodb+srv://`. The
//! certificate of a member must be for the name by which the set knows it, and is checked against the authorities
//! that browsers trust, or against those of a file: `mongodb://a,b,c/shop?replicaSet=rs0&tls=true&tlsCAFile=ca.pem`.
//!
//! # Sharding
//!
//! The collections of the store (`cqrs_…`) stay on one shard, the primary one of their database. They cannot be
//! spread: an event is unique by its position, by its id, and by its version in its stream, and a sharded
//! collection keeps one of these alone. All commits take turns at one document anyway, so that more shards would
//! not write more. What grows is to be cut by services: each has a database, and databases are on different
//! shards.
//!
//! - *Collections of entities* can be sharded by `{_tenant: 1}`, also with unique fields, whose index begins with
//!   it; by `{_tenant: 1, _id: 1}` or `{_id: "hashed"}` only without unique fields. Commits are then transactions
//!   over several shards: as correct, and slower, because the shards agree on each.
//! - *Collections of yours*, of projections and of `commit_in`, can be sharded by any key.
//! - Through a router (`mongos`), positions, turns, reading and change streams stay what they are. What does not:
//!   `$currentOp` and `killSessions` of a router reach the transactions that it has begun itself, so that the turn
//!   of a node that died with its router is free only when the server ends its transaction, after
//!   `transactionLifetimeLimitSeconds`; and the leases of the dead of other routers end with their terms.
//!
//! The tests run against replica sets of one and of three members; a router is not part of them.
//!
//! # What can go wrong
//!
//! - *A standalone server* has no transactions, and is refused when the store connects. A set of one member is
//!   enough: `--replSet rs0` and `rs.initiate()`.
//! - *Others write as well*: a group of one node that meets the turn of another begins again. Few large groups are
//!   faster than many small ones, so let one process write as much as it can.
//! - *A slow transaction of yours* with [`commit_in`](MongoStore::commit_in) has the turn from there to its end.
//!   When nothing is done in it for a second and a half while others wait, they end it.
//! - *A projection that takes its time*: a page has 50 seconds, and a pause of more than a second and a half in it
//!   ends as above. With more than a checkpoint in its commit (something is set aside, or taken up again) it has the
//!   turn as well, and then a projection that writes through the store itself waits for itself, for as long as
//!   [`patience`](MongoBuilder::patience) says. Keep long work out of it.
//! - *Nobody writes any more*: this shows open transactions, for how long nothing was done in them, and from where
//!   they come; `db.adminCommand({killSessions: [{id: UUID('…')}]})` ends one.
//!
//!   ```js
//!   db.getSiblingDB('admin').aggregate([
//!     {$currentOp: {allUsers: true, idleSessions: true}},
//!     {$match: {transaction: {$exists: true}}},
//!     {$project: {lsid: 1, client: 1, appName: 1, idle: '$transaction.timeInactiveMicros'}},
//!   ])
//!   ```
//! - *An arbiter, or a member that lags behind*: with a primary, an arbiter and one member that is down, no majority
//!   has what is written, though there is a primary. Commits are
//!   [`OutcomeUnknown`](cqrs_core::ErrorKind::OutcomeUnknown) after their patience. Have three members with data.
//! - *Sizes*: a document has 16 MiB at most, and what a transaction changes must fit into the server's cache. See
//!   [`limits`](MongoBuilder::limits). An entity may be larger in BSON than in JSON; one that no document can be is
//!   [`TooLarge`](cqrs_core::ErrorKind::TooLarge).
//! - *Declaring a collection anew* indexes all of its documents in one transaction of at most 50 seconds, and nobody
//!   writes meanwhile. The server ends a transaction after 60 seconds, unless
//!   `transactionLifetimeLimitSeconds` says otherwise.
//! - *An oplog that is too short* for a member that was down: it is copied anew by the server; the store does not
//!   notice.
//! - *Restoring an older state*: positions that only the lost part had are
//!   [`BeyondHead`](cqrs_core::ErrorKind::BeyondHead), and then given again. Stop all nodes, restore the whole
//!   database, and rebuild what was derived of lost events elsewhere.
//! - *Messages in the inbox, and commit ids*, are forgotten after a time: see
//!   [`keep_inbox`](MongoBuilder::keep_inbox) and [`keep_commit_ids`](MongoBuilder::keep_commit_ids).
//! - *The runtime ends before the store is closed*: the driver may complain of its own tasks with a panic in one of
//!   its threads. Call [`close`](MongoStore::close) first.
//!
//! There are no feature flags.

mod alone;
mod config;
mod connect;
mod deaths;
mod declare;
mod entities;
mod error;
mod filter;
mod hint;
mod key;
mod leases;
mod migrate;
mod names;
mod orphans;
mod port;
mod read;
mod row;
mod seen;
mod sink;
mod store;
mod within;
mod writer;

/// The values of the driver.
pub use bson;
pub use config::MongoBuilder;
/// The driver.
pub use mongodb;
pub use sink::{MongoProjection, MongoSink};
pub use store::MongoStore;
