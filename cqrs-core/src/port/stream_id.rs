//! The name of a stream: tenant, category and id.

use std::borrow::Cow;
use std::fmt;

/// The name of a stream: whose it is, which kind of aggregate, which one.
///
/// ```
/// use cqrs_core::StreamId;
///
/// let stream = StreamId::new("account", "17").with_tenant("acme");
/// assert_eq!(stream.to_string(), "acme/account/17");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// Whose it is; `None` in a service for one.
    pub tenant: Option<Box<str>>,
    /// The kind of aggregate.
    pub category: Cow<'static, str>,
    /// Which one.
    pub id: String,
}

impl StreamId {
    /// A stream without a tenant.
    pub fn new(category: impl Into<Cow<'static, str>>, id: impl Into<String>) -> Self {
        Self { tenant: None, category: category.into(), id: id.into() }
    }

    /// The same stream of a tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tenant) = &self.tenant {
            write!(f, "{tenant}/")?;
        }
        write!(f, "{}/{}", self.category, self.id)
    }
}
