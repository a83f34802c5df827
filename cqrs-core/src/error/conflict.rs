//! Which expectation of a commit does not hold.

/// Which expectation of a commit does not hold. See [`ErrorKind::Conflict`](crate::ErrorKind::Conflict), and
/// [`Guard`](crate::Guard) for an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A stream is not at the expected version.
    #[error("the stream {stream} is at version {actual}, not where the commit expected it")]
    Stream {
        /// The stream, as [`StreamId`](crate::StreamId) displays it.
        stream: String,
        /// Its real version; 0: it does not exist.
        actual: u64,
    },
    /// A document is not at the expected version.
    #[error(
        "the document {collection}/{id} is at version {actual}, not where the commit expected it"
    )]
    Document {
        /// Its collection.
        collection: String,
        /// Its id.
        id: String,
        /// Its real version; 0: it does not exist.
        actual: u64,
    },
    /// Another document holds the same value in a unique field.
    #[error("`{field}` of the document {collection}/{id} holds a value that another document has")]
    Unique {
        /// The collection.
        collection: String,
        /// The id of the document that was refused.
        id: String,
        /// The field whose value is taken.
        field: String,
    },
    /// An event that should not have come, came.
    #[error("an event at position {found} matches what should not have come after {after}")]
    NoneMatching {
        /// The guard allowed no matching event after this position.
        after: u64,
        /// The first one that came.
        found: u64,
    },
    /// A checkpoint is not where the commit says it is.
    #[error(
        "the checkpoint of `{subscription}`, partition {partition}, stands at {actual}, not where the commit expected it"
    )]
    Checkpoint {
        /// The subscription.
        subscription: String,
        /// The partition.
        partition: u32,
        /// Where the checkpoint really is; 0: nowhere yet.
        actual: u64,
    },
    /// Some, not all, of the commit's inbox marks are there already.
    #[error("message {message} was handled by {consumer} before, others of this commit were not")]
    Inbox {
        /// The consumer.
        consumer: String,
        /// The first message that was handled before.
        message: String,
    },
    /// A lease is another's by now.
    #[error("the lease `{lease}` was given to another: its token is {actual}, not {token}")]
    Lease {
        /// The lease.
        lease: String,
        /// The token that the commit named.
        token: u64,
        /// The token now; 0: nobody ever had it.
        actual: u64,
    },
    /// What was to be settled is not there as it was.
    #[error("{what} was settled or changed before")]
    Settled {
        /// What it is.
        what: String,
    },
    /// A timer was set later than the commit knows.
    #[error("the timer `{name}` of `{owner}`/{key} is at generation {actual} already")]
    Timer {
        /// What set it.
        owner: String,
        /// Which instance.
        key: String,
        /// Which timer.
        name: String,
        /// The generation of the timer that is set.
        actual: u64,
    },
    /// A parked entry is not at the expected version.
    #[error(
        "the parked entry {position}@{subscription} is at version {actual}, not where the commit expected it"
    )]
    Parked {
        /// The subscription.
        subscription: String,
        /// Its position.
        position: u64,
        /// Its real version; 0: it does not exist.
        actual: u64,
    },
}
