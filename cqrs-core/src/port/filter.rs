//! Which events of the log a reader wants.

use std::borrow::Cow;

use crate::message::event_set::EventSet;
use crate::message::timestamp::Timestamp;
use crate::port::stream_id::StreamId;

/// Which events of the log a reader wants. What is empty does not filter; of what is set, all must
/// hold.
///
/// ```
/// use cqrs_core::Filter;
///
/// let filter = Filter { categories: vec!["account".into()], ..Filter::default() };
/// assert!(!filter.is_everything());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of these event types.
    pub types: Vec<Cow<'static, str>>,
    /// One of these categories.
    pub categories: Vec<Cow<'static, str>>,
    /// One of these streams.
    pub streams: Vec<StreamId>,
    /// All of these tags.
    pub tags: Vec<String>,
    /// This tenant.
    pub tenant: Option<Box<str>>,
    /// Recorded at this time or later, by the store's clock.
    pub since: Option<Timestamp>,
}

impl Filter {
    /// The events that a set of types can decode.
    pub fn of<S: EventSet>() -> Self {
        let types = S::types().iter().map(|t| Cow::Borrowed(t.name)).collect();
        Self { types, ..Self::default() }
    }

    /// Whether it lets everything through.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it lets an event through: for stores that filter in the process.
    pub fn matches(&self, event: &crate::Recorded<'_>) -> bool {
        let any = |list: &[Cow<'static, str>], name: &str| {
            list.is_empty() || list.iter().any(|n| n == name)
        };
        any(&self.types, event.event_type)
            && any(&self.categories, event.category)
            && (self.streams.is_empty()
                || self.streams.iter().any(|s| {
                    s.id == event.stream
                        && s.category == event.category
                        && s.tenant.as_deref() == event.tenant
                }))
            && self.tags.iter().all(|tag| event.tags().any(|t| t == tag))
            && self.tenant.as_deref().is_none_or(|tenant| event.tenant == Some(tenant))
            && self.since.is_none_or(|since| event.recorded_at >= since)
    }
}
