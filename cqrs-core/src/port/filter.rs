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
/// let filter = Filter::default().category("account").tag("branch:7");
/// assert!(!filter.is_everything());
/// ```
///
/// [`Filter::of`] makes one from the types that a reader decodes.
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

    /// Or of this type.
    #[must_use]
    pub fn event_type(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.types.push(name.into());
        self
    }

    /// Or of this category.
    #[must_use]
    pub fn category(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.categories.push(name.into());
        self
    }

    /// Or of this stream.
    #[must_use]
    pub fn stream(mut self, stream: StreamId) -> Self {
        self.streams.push(stream);
        self
    }

    /// And with this tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// And of this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// And recorded at this time or later.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
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
