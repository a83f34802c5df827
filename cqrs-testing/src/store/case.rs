//! A case: its name, what it needs of the store, and what it does.

use cqrs_core::{Capabilities, Support};
use futures_util::future::BoxFuture;

use crate::store::probe::Probe;

/// One behaviour of the port.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Group and behaviour, as `repeats::the_same_commit_twice_is_applied_once`.
    pub(crate) name: &'static str,
    /// Whether the store offers what the case is about.
    pub(crate) needs: fn(&Capabilities) -> Support,
    /// Panics when the store does something else.
    pub(crate) run: fn(Probe) -> BoxFuture<'static, ()>,
}

/// For cases about what every store does.
pub(crate) fn nothing(_: &Capabilities) -> Support {
    Support::Yes
}

/// For cases about leases.
pub(crate) fn leases(offered: &Capabilities) -> Support {
    offered.leases
}

/// For cases about timers.
pub(crate) fn timers(offered: &Capabilities) -> Support {
    offered.timers
}

/// For cases about timers that fire: what is settled belongs to what is parked.
pub(crate) fn timers_settled(offered: &Capabilities) -> Support {
    all_of([offered.timers, offered.parked])
}

/// For cases about messages to send.
pub(crate) fn outgoing(offered: &Capabilities) -> Support {
    offered.outgoing
}

/// For cases about messages that were sent.
pub(crate) fn outgoing_settled(offered: &Capabilities) -> Support {
    all_of([offered.outgoing, offered.parked])
}

/// For cases about entries that are set aside.
pub(crate) fn parked(offered: &Capabilities) -> Support {
    offered.parked
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
