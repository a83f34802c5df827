//! What documents say of the facts that a group has to know.

use std::collections::BTreeSet;
use std::sync::Arc;

use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};
use cqrs_core::{BoxError, Collection, Filter, InboxEntry, MessageId, Position, StreamId};
use mongodb::{ClientSession, Database};

use super::facts::{Aside, Facts, Standing};
use super::look::list;
use crate::error::Trouble;
use crate::filter::matching;
use crate::key;
use crate::names::Coll;
use crate::row::{Fields, bytes_of};

pub(super) fn read_stream(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    let whose = fields.text("tenant")?;
    let stream = StreamId {
        tenant: crate::row::tenant_of(whose),
        category: fields.text("category")?.to_owned().into(),
        id: fields.text("stream")?.to_owned(),
    };
    facts.streams.insert(stream, fields.count("version")?);
    Ok(())
}

pub(super) fn read_document(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    let key = crate::row::document_key(&fields.document("_id")?)?;
    let standing =
        Standing { version: fields.count("version")?, is_there: fields.flag("is_there")? };
    facts.documents.insert(key, standing);
    Ok(())
}

pub(super) fn read_lease(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    facts.leases.insert(fields.text("_id")?.to_owned(), fields.count("token")?);
    Ok(())
}

pub(super) fn read_checkpoint(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    let id = fields.document("_id")?;
    let key = (id.text("subscription")?.to_owned(), u32::try_from(id.number("partition")?)?);
    facts.checkpoints.insert(key, fields.count("position")?);
    Ok(())
}

pub(super) fn read_timer(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    let id = fields.document("_id")?;
    let text = |name| id.text(name).map(str::to_owned);
    let key = (text("owner")?, text("tenant")?, text("key")?, text("name")?);
    facts.timers.insert(key, Some(fields.count("generation")?));
    Ok(())
}

pub(super) fn read_parked(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    let id = fields.document("_id")?;
    let key =
        (id.text("subscription")?.to_owned(), id.count("position")?, id.text("key")?.to_owned());
    let aside = Aside { version: fields.count("version")?, since: fields.datetime("since")? };
    facts.parked.insert(key, Some(aside));
    Ok(())
}

pub(super) fn read_pending(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    facts.pending.insert(MessageId::from_uuid(fields.uuid("id")?), true);
    Ok(())
}

pub(super) fn read_holder(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    let id = fields.document("_id")?;
    let (tenant, collection) = (id.text("tenant")?.to_owned(), id.text("collection")?.to_owned());
    let holder = id.text("id")?;
    for text in fields.texts("unique")? {
        let value = (tenant.clone(), collection.clone(), text?.to_owned());
        facts.holders.insert(value, Some(holder.to_owned()));
    }
    Ok(())
}

pub(super) fn read_commit(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    let known = (fields.fingerprint("fingerprint")?, fields.count("position")?);
    if fields.datetime("at")? < facts.commits_since {
        return Ok(());
    }
    facts.commits.insert(MessageId::from_uuid(fields.uuid("_id")?), known);
    Ok(())
}

/// An event whose id is taken. The first one of a commit tells of that.
pub(super) fn read_event(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    let id = MessageId::from_uuid(fields.uuid("id")?);
    facts.events.insert(id);
    if fields.maybe_bytes("fingerprint")?.is_some() {
        let last = fields.count("_id")? + fields.count("places")?.max(1) - 1;
        facts.commits.insert(id, (fields.fingerprint("fingerprint")?, last));
    }
    Ok(())
}

pub(super) fn read_inbox(fields: &Fields<'_>, facts: &mut Facts) -> Result<(), BoxError> {
    if fields.datetime("at")? < facts.inbox_since {
        return Ok(());
    }
    let id = fields.document("_id")?;
    let key = (id.text("consumer")?.to_owned(), MessageId::from_uuid(id.uuid("message")?));
    facts.inbox.insert(key, inbox_entry(fields)?);
    Ok(())
}

/// Learns what was answered to the messages that were handled, which may be much: not with the rest.
pub(super) async fn learn_replies(
    db: &Database,
    session: &mut ClientSession,
    facts: &mut Facts,
) -> Result<(), Trouble> {
    if facts.inbox.is_empty() {
        return Ok(());
    }
    let mut ids = RawArrayBuf::new();
    let known = facts.inbox.keys();
    known.for_each(|(consumer, message)| ids.push(key::inbox(consumer, *message)));
    let command = rawdoc! {
        "find": Coll::Inbox.name(),
        "filter": { "_id": { "$in": ids }, "reply": { "$exists": true } },
    };
    let found = db.run_raw_cursor_command(command).session(&mut *session).await?;
    let mut found = found.with_type::<RawDocumentBuf>();
    while let Some(document) = found.next(session).await {
        let document = document?;
        let taken = read_inbox(&Fields(&document), facts);
        taken.map_err(|cause| Trouble::damaged("an entry of the inbox", cause))?;
    }
    Ok(())
}

/// What the inbox keeps of a message.
pub(crate) fn inbox_entry(fields: &Fields<'_>) -> Result<InboxEntry, BoxError> {
    Ok(InboxEntry {
        position: fields.count("position")?,
        fingerprint: fields.fingerprint("fingerprint")?,
        reply: fields.maybe_bytes("reply")?.map(bytes_of),
    })
}

/// Learns what is declared.
pub(super) async fn learn_collections(
    db: &Database,
    session: &mut ClientSession,
    names: &BTreeSet<&str>,
    facts: &mut Facts,
) -> Result<(), Trouble> {
    let ids = list(names.iter().copied());
    let command = rawdoc! {
        "find": Coll::Collections.name(), "filter": { "_id": { "$in": ids } }, "batchSize": 10_000,
    };
    let found = db.run_raw_cursor_command(command).session(&mut *session).await?;
    let mut found = found.with_type::<RawDocumentBuf>();
    while let Some(document) = found.next(session).await {
        let document = document?;
        let fields = Fields(&document);
        let read = fields.text("_id").and_then(|name| Ok((name, fields.maybe_text("fields")?)));
        let (name, json) =
            read.map_err(|cause| Trouble::damaged("a declared collection", cause))?;
        // One that is only being declared.
        let Some(json) = json else { continue };
        let collection = Collection::from_declaration(name, Some(json))?;
        facts.collections.insert(name.to_owned(), Arc::new(collection));
    }
    Ok(())
}

/// The first event that matches, after a position.
pub(super) async fn first_matching(
    db: &Database,
    session: &mut ClientSession,
    filter: &Filter,
    after: Position,
    head: Position,
) -> Result<Option<Position>, Trouble> {
    let Some(filter) = matching(filter, after, head) else { return Ok(None) };
    let command = rawdoc! {
        "find": Coll::Events.name(),
        "filter": filter,
        "sort": { "_id": 1 },
        "limit": 1,
        "singleBatch": true,
        "projection": { "_id": 1 },
    };
    let found = db.run_raw_cursor_command(command).session(&mut *session).await?;
    let mut found = found.with_type::<RawDocumentBuf>();
    let Some(document) = found.next(session).await else { return Ok(None) };
    let document = document?;
    let position = Fields(&document).count("_id");
    Ok(Some(position.map_err(|cause| Trouble::damaged("an event", cause))?))
}
