//! The store that a case looks at: one handle from the start, further ones when it asks.

use std::ops::Deref;

use cqrs_core::Support;

use crate::runtime::sink::SinkUnderTest;
use crate::store::case::Offered;
use crate::store::fixture::{StoreFixture, StoreUnderTest};
use crate::store::handle::Handle;

/// A new store with its first handle. Derefs to the [`Handle`].
pub(crate) struct Probe {
    // Before `under`: a handle is closed before what it lives in is dropped.
    handle: Handle,
    under: Box<dyn StoreUnderTest>,
}

impl Probe {
    pub(crate) async fn create(fixture: &dyn StoreFixture) -> Self {
        let under = fixture.create().await;
        let handle = Handle::new(under.open().await);
        Self { handle, under }
    }

    /// Another handle, as another process would open it.
    pub(crate) async fn another(&self) -> Handle {
        Handle::new(self.under.open().await)
    }

    /// What the store offers.
    pub(crate) fn offered(&self) -> Offered {
        let sinks = self.under.sinks().map_or_else(Support::No, |_| Support::Yes);
        Offered { capabilities: self.capabilities().clone(), sinks }
    }

    /// The sinks of the store.
    pub(crate) fn sinks(&self) -> &dyn SinkUnderTest {
        self.under.sinks().unwrap_or_else(|reason| panic!("no sinks: {reason}"))
    }

    /// Closes the handle and opens the store anew. All other handles must be gone.
    pub(crate) async fn reopened(self) -> Self {
        let Self { handle, under } = self;
        drop(handle);
        let handle = Handle::new(under.open().await);
        Self { handle, under }
    }

    /// A handle for a task of its own.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Deref for Probe {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}
