//! An event as a projection sees it: the same whether it is being committed, read or replayed.

use crate::error::Result;
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::timestamp::Timestamp;
use crate::port::Version;
use crate::port::page::Recorded;

/// An event as a projection sees it. It has no position: one that runs inline sees events before they
/// have one. See [`Projection`](crate::Projection) for an example.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a, E> {
    /// Whose it is.
    pub tenant: Option<&'a str>,
    /// Category of its stream.
    pub category: &'a str,
    /// Id of its stream.
    pub stream: &'a str,
    /// Its place in the stream.
    pub version: Version,
    /// Its id.
    pub id: MessageId,
    /// When it was recorded, by the store's clock; inline: when it was decided.
    pub recorded_at: Timestamp,
    /// The rest of its metadata as the store has it; see [`metadata`](Self::metadata).
    pub metadata_json: &'a str,
    /// What it says.
    pub data: &'a E,
}

impl<'a, E> Fact<'a, E> {
    /// What a recorded event says.
    pub fn of(event: &'a Recorded<'_, E>) -> Self {
        Self {
            tenant: event.tenant,
            category: event.category,
            stream: event.stream,
            version: event.version,
            id: event.id,
            recorded_at: event.recorded_at,
            metadata_json: event.metadata_json,
            data: &event.data,
        }
    }

    /// Its metadata.
    ///
    /// # Errors
    /// When it is not what this code writes.
    pub fn metadata(&self) -> Result<Metadata> {
        Metadata::from_json(self.id, self.tenant, self.metadata_json).map_err(|cause| {
            let stream = format!("{}/{}", self.category, self.stream);
            let context = format!(
                "the metadata of version {} of {stream} cannot be read: {cause}",
                self.version
            );
            crate::Error::new(crate::ErrorKind::Internal, context).with_source(cause)
        })
    }
}
