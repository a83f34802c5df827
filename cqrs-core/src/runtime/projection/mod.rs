//! Projections behind the log: views as documents, written with the checkpoint of their partition.

pub(crate) mod consumer;
pub(crate) mod keys;
pub(crate) mod subscriber;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod views;

use std::borrow::Cow;

use crate::domain::projection::Projection;
use crate::port::document::Collection;
use crate::schema::entity::Entity;

/// How a projection is run: the same definition, whichever it is. See
/// [`AppBuilder::projection_as`](crate::AppBuilder::projection_as).
///
/// | | where its views are | read-your-writes | what it costs |
/// |---|---|---|---|
/// | [`Inline`](Self::Inline) | documents, in the commit of the events | always | each commit reads and writes its views |
/// | [`Durable`](Self::Durable) | documents, behind the log | once it was waited for | nothing at the commit |
/// | [`Live`](Self::Live) | the memory of each process | once it was waited for | a reading of the log at each start, and memory for all views |
/// | [`Query`](Self::Query) | nowhere | always | a reading of the log at each question |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Life {
    /// In the commit of the events: a view is never behind. Commits that change one view go one after
    /// the other.
    Inline,
    /// Behind the log, exactly once (P10), by one node for each partition.
    #[default]
    Durable,
    /// In the memory of every process, from the beginning of the log at each start. All its views
    /// are kept.
    Live,
    /// When it is asked for: nothing is kept.
    Query,
}

/// The collection of one generation of views.
pub(crate) fn collection_name<P: Projection>(views: u32) -> Cow<'static, str> {
    match views {
        0 | 1 => Cow::Borrowed(P::View::COLLECTION),
        n => Cow::Owned(format!("{}~{n}", P::View::COLLECTION)),
    }
}

/// What the store is told of it.
pub(crate) fn collection<P: Projection>(views: u32) -> Collection {
    Collection { name: collection_name::<P>(views), mapping: None, ..P::View::collection() }
}
