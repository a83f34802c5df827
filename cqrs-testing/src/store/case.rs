//! A case: its name, what it needs of the store, and what it does.

use std::ops::Deref;

use cqrs_core::{Capabilities, Support};
use futures_util::future::BoxFuture;

use crate::store::probe::Probe;

/// One behaviour of the port.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Group and behaviour, as `repeats::the_same_commit_twice_is_applied_once`.
    pub(crate) name: &'static str,
    /// Whether the store offers what the case is about.
    pub(crate) needs: fn(&Offered) -> Support,
    /// Panics when the store does something else.
    pub(crate) run: fn(Probe) -> BoxFuture<'static, ()>,
}

/// What a store offers: its capabilities, and its sinks. Derefs to the [`Capabilities`].
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    pub(crate) capabilities: Capabilities,
    pub(crate) sinks: Support,
}

impl Deref for Offered {
    type Target = Capabilities;

    fn deref(&self) -> &Capabilities {
        &self.capabilities
    }
}

/// For cases about what every store does.
pub(crate) fn nothing(_: &Offered) -> Support {
    Support::Yes
}

/// For cases about leases.
pub(crate) fn leases(offered: &Offered) -> Support {
    offered.leases
}

/// For cases about timers.
pub(crate) fn timers(offered: &Offered) -> Support {
    offered.timers
}

/// For cases about timers that fire: what is settled belongs to what is parked.
pub(crate) fn timers_settled(offered: &Offered) -> Support {
    all_of([offered.timers, offered.parked])
}

/// For cases about messages to send.
pub(crate) fn outgoing(offered: &Offered) -> Support {
    offered.outgoing
}

/// For cases about messages that were sent.
pub(crate) fn outgoing_settled(offered: &Offered) -> Support {
    all_of([offered.outgoing, offered.parked])
}

/// For cases about entries that are set aside.
pub(crate) fn parked(offered: &Offered) -> Support {
    offered.parked
}

/// For cases about the sinks of a store.
pub(crate) fn sinks(offered: &Offered) -> Support {
    offered.sinks
}

/// The first that is missing.
pub(crate) fn all_of<const N: usize>(supports: [Support; N]) -> Support {
    supports.into_iter().find(|support| !support.is_yes()).unwrap_or(Support::Yes)
}

/// Lists the functions of a module as cases; `if` names what one needs.
macro_rules! cases {
    (@needs) => { $crate::store::case::nothing };
    (@needs $needs:expr) => { $needs };
    ($group:literal: $($name:ident $(if $needs:expr)?),+ $(,)?) => {
        pub(super) const CASES: &[$crate::store::case::Case] = &[$($crate::store::case::Case {
            name: concat!($group, "::", stringify!($name)),
            needs: $crate::store::case::cases!(@needs $($needs)?),
            run: |t| Box::pin($name(t)),
        }),+];
    };
}
pub(crate) use cases;
