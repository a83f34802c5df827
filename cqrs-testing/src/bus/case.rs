//! A case: its name, what it needs of the bus, and what it does.

use cqrs_core::{BusCapabilities, Support};
use futures_util::future::BoxFuture;

use crate::bus::broker::Broker;
use crate::bus::probe::Probe;

/// One behaviour of the ports.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Group and behaviour, as `order::one_of_a_key_is_handed_over_at_a_time`.
    pub(crate) name: &'static str,
    /// Whether the bus offers what the case is about.
    pub(crate) needs: fn(&BusCapabilities) -> Support,
    /// Panics when the bus does something else.
    pub(crate) run: fn(Probe) -> BoxFuture<'static, ()>,
}

/// What becomes of a bus when its broker dies.
#[derive(Clone, Copy)]
pub(crate) struct FaultCase {
    /// Group and behaviour.
    pub(crate) name: &'static str,
    /// Panics when the bus does something else.
    pub(crate) run: fn(Box<dyn Broker>) -> BoxFuture<'static, ()>,
}

/// For cases about what every bus does.
pub(crate) fn nothing(_: &BusCapabilities) -> Support {
    Support::Yes
}

/// For cases about messages that are kept for groups that come later.
pub(crate) fn keeps_published(offered: &BusCapabilities) -> Support {
    offered.keeps_published
}

/// For cases about buses that keep nothing for groups that come later.
pub(crate) fn keeps_nothing(offered: &BusCapabilities) -> Support {
    match offered.keeps_published {
        Support::Yes => Support::No("it keeps what nobody listens to"),
        Support::No(_) => Support::Yes,
    }
}

/// For cases about messages that are sent twice.
pub(crate) fn deduplicates(offered: &BusCapabilities) -> Support {
    match offered.deduplicates {
        Some(_) => Support::Yes,
        None => Support::No("it does not look at the ids of messages"),
    }
}

/// Lists the functions of a module as cases; `if` names what one needs.
macro_rules! cases {
    (@needs) => { $crate::bus::case::nothing };
    (@needs $needs:expr) => { $needs };
    ($group:literal: $($name:ident $(if $needs:expr)?),+ $(,)?) => {
        pub(super) const CASES: &[$crate::bus::case::Case] = &[$($crate::bus::case::Case {
            name: concat!($group, "::", stringify!($name)),
            needs: $crate::bus::case::cases!(@needs $($needs)?),
            run: |t| Box::pin($name(t)),
        }),+];
    };
}
pub(crate) use cases;
