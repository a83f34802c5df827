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
    /// A listener needs a bus and there is none.
    #[error("`{handler}` listens to other services, which takes a bus: add `.bus(..)`")]
    MissingBus {
        /// Name of the listener.
        handler: String,
    },
    /// A request is expected and nobody handles it.
    #[error(
        "nobody handles `{message}`: put `#[command_handler]` at its function or `impl Decide` or `#[query_handler]` at its function, or add `.handler(f)` or `.decides::<A, C>()`"
    )]
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
    /// Two handlers of events, projections, sinks or sagas have one name.
    #[error("two subscriptions are called `{name}`: each has a checkpoint under its name")]
    DuplicateEventHandler {
        /// The name.
        name: &'static str,
    },
    /// A name that no subscription can have.
    #[error("no subscription can be called `{name}`: {why}")]
    SubscriptionName {
        /// The name.
        name: &'static str,
        /// What stands against it.
        why: &'static str,
    },
    /// The settings of a subscription were changed that there is none of.
    #[error("no subscription is called `{name}`, so its settings cannot be changed")]
    UnknownSubscription {
        /// The name.
        name: &'static str,
    },
    /// What keeps state is to run without a checkpoint.
    #[error("`{name}` is no handler of events, so it cannot be `live`")]
    NotLive {
        /// Its name.
        name: &'static str,
    },
    /// Two entries of an event's list of types share a name.
    #[error("the event type `{event_type}` is listed more than once")]
    DuplicateEventType {
        /// The name.
        event_type: &'static str,
    },
    /// One event type is at two versions in two types of this code.
    #[error(
        "`{event_type}` is at version {} in one type and at version {} in another: use one type, or lift both to the same version",
        versions[0], versions[1]
    )]
    EventVersions {
        /// The event type.
        event_type: &'static str,
        /// The versions, the smaller one first.
        versions: [u16; 2],
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
    /// Two requests of different types have one name.
    #[error("`{name}` is the name of two requests, `{}` and `{}`", types[0], types[1])]
    DuplicateName {
        /// The name.
        name: &'static str,
        /// The types.
        types: [&'static str; 2],
    },
    /// A request is to be called from outside, and cannot be.
    #[error("`{request}` cannot be called from outside: {why}")]
    NotExposable {
        /// Name of the request.
        request: &'static str,
        /// What stands against it.
        why: &'static str,
    },
    /// Nothing announces itself where it was looked for.
    #[error("nothing is discovered in {module}: name the crate in `link!`, or mend the path")]
    NothingDiscovered {
        /// The module.
        module: &'static str,
    },
}
