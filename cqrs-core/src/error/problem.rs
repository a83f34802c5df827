//! What is wrong with an app that cannot be built.

/// One reason why an app cannot be built. See [`AppBuilder`](crate::AppBuilder) for an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A handler asks for a resource that nobody registered.
    #[error("`{handler}` needs the resource `{resource}`: add `.resource(..)`")]
    MissingResource {
        /// Name of the request whose handler asks.
        handler: String,
        /// Type of the resource.
        resource: &'static str,
    },
    /// A handler needs a store and there is none.
    #[error("`{handler}` needs a store: add `.store(..)`")]
    MissingStore {
        /// Name of the request whose handler asks.
        handler: String,
    },
    /// A request is expected and nobody handles it.
    #[error("nobody handles `{message}`: add `.decides::<A, C>()` or `.handler(f)`")]
    MissingHandler {
        /// Name of the request.
        message: &'static str,
    },
    /// The handler of a query takes [`Work`](crate::Work), which writes.
    #[error("`{query}` is a query, and its handler would write: make it a command")]
    QueryWrites {
        /// Name of the query.
        query: &'static str,
    },
    /// Two handlers for one name.
    #[error("`{name}` has more than one handler")]
    DuplicateHandler {
        /// The name.
        name: &'static str,
    },
    /// Two entries of an event's list of types share a name.
    #[error("the event type `{event_type}` is listed more than once")]
    DuplicateEventType {
        /// The name.
        event_type: &'static str,
    },
    /// A recorded version of an event that this code could not read.
    #[error(
        "`{event_type}` is at version {current}, and nothing lifts version {missing}: add an upcaster"
    )]
    BrokenUpcasters {
        /// The event type.
        event_type: &'static str,
        /// The version without an upcaster.
        missing: u16,
        /// The version this code writes.
        current: u16,
    },
    /// An upcaster that no event type of its list can use.
    #[error(
        "the upcaster of `{event_type}` from version {from} can never run: no such older version"
    )]
    UselessUpcaster {
        /// The name it is for.
        event_type: &'static str,
        /// The version it starts from.
        from: u16,
    },
}
