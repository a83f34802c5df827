//! What things are called by: the ids of the collections.

use bson::{RawDocumentBuf, rawdoc};
use cqrs_core::{DocumentKey, MessageId, StreamId};

use crate::row::{bound, id, tenant};

/// A timer: its owner, its tenant, its key and its name.
pub(crate) type TimerKey = (String, String, String, String);

/// What is set aside: the subscription, the position and the key.
pub(crate) type ParkedKey = (String, u64, String);

/// A value of a unique field: the tenant, the collection, and the field with its value.
pub(crate) type ValueKey = (String, String, String);

pub(crate) fn document(key: &DocumentKey) -> RawDocumentBuf {
    rawdoc! {
        "collection": &*key.collection,
        "tenant": tenant(key.tenant.as_deref()),
        "id": key.id.as_str(),
    }
}

pub(crate) fn inbox(consumer: &str, message: MessageId) -> RawDocumentBuf {
    rawdoc! { "consumer": consumer, "message": id(message) }
}

pub(crate) fn checkpoint(subscription: &str, partition: u32) -> RawDocumentBuf {
    rawdoc! { "subscription": subscription, "partition": i64::from(partition) }
}

pub(crate) fn timer((owner, tenant, key, name): &TimerKey) -> RawDocumentBuf {
    rawdoc! {
        "owner": owner.as_str(), "tenant": tenant.as_str(), "key": key.as_str(), "name": name.as_str(),
    }
}

pub(crate) fn parked((subscription, position, key): &ParkedKey) -> RawDocumentBuf {
    rawdoc! {
        "subscription": subscription.as_str(), "position": bound(*position), "key": key.as_str(),
    }
}

pub(crate) fn stream(stream: &StreamId) -> RawDocumentBuf {
    rawdoc! {
        "tenant": tenant(stream.tenant.as_deref()),
        "category": &*stream.category,
        "stream": stream.id.as_str(),
    }
}
