//! The receiving side of a bus: who gets what, and in which order.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::error::{Error, Result};
use crate::port::bus::BusLimits;
use crate::port::delivery::Delivery;
use crate::port::publisher::{OutboundKind, check_name};

/// Deliveries as they come, until the bus is closed. Dropping it takes this member out of its group;
/// what it was handed can still be settled. See [`Subscriber`] for an example.
pub type Deliveries = BoxStream<'static, Result<Delivery>>;

/// Where messages come from.
///
/// ```
/// use futures_util::StreamExt;
/// use cqrs_core::memory::MemoryBus;
/// use cqrs_core::{BusSubscription, OutboundKind, OutboundMessage, Publisher, Subscriber};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let bus = MemoryBus::default();
/// let listens = BusSubscription::to_messages("mailer", ["bank.*"]);
/// let mut deliveries = bus.subscribe(listens).await?;
/// let opened = OutboundMessage::new(OutboundKind::Message, "bank.opened", "{}").with_key("17");
/// bus.publish(vec![opened]).await?;
///
/// let delivery = deliveries.next().await.unwrap()?;
/// assert_eq!(delivery.message().name, "bank.opened");
/// assert_eq!(delivery.message().metadata.partition_key(), Some("17"));
/// delivery.ack().await?;
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait Subscriber: fmt::Debug + Send + Sync + 'static {
    /// Becomes a member of a group.
    ///
    /// A group is durable: from its first subscription on it gets what is published for it, whether or
    /// not it has members just then. Each group gets every message of its names; its members share
    /// them.
    ///
    /// Of one key (and tenant), a group is handed one message at a time, in the order in which they
    /// were published: the next one once the one before is acknowledged or is a dead letter (P19). So
    /// one that is to be retried holds up those of its key, and no others.
    ///
    /// What is not settled is handed over again: at once when its ticket is dropped or the bus it came
    /// through is closed, after [`BusSubscription::settle_within`] when nothing is heard of it. What
    /// whoever was handed it before still says of it may count, or be refused.
    ///
    /// The names of a group are those of its latest subscription. A bus may still hand over messages of
    /// earlier ones.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when names are no names; when the group takes the other
    /// kind; when another group takes commands of these names, where the bus can tell.
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when it is to begin with what was kept, and the
    /// bus keeps nothing. [`Unavailable`](crate::ErrorKind::Unavailable) when the broker is out of
    /// reach.
    async fn subscribe(&self, subscription: BusSubscription) -> Result<Deliveries>;
}

/// What a group gets from a bus, and how. See [`Subscriber`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusSubscription {
    /// Name of the group.
    pub group: String,
    /// Whether it takes commands or listens to messages. One group does one of them.
    pub kind: OutboundKind,
    /// Names, and patterns of names: a part `*` stands for any one part. `bank.*` matches
    /// `bank.opened`, and neither `bank` nor `bank.v2.opened`.
    pub names: Vec<String>,
    /// Where the group begins when it is new.
    pub start: BusStart,
    /// Deliveries that a member holds unsettled at most. Default: 64.
    pub at_once: u32,
    /// How long a member may be silent about a delivery: it settles it, or
    /// [extends](crate::Ticket::extend) the time. Default: 30 s.
    pub settle_within: Duration,
    /// How often a message is handed over before it becomes a dead letter without anybody asking for
    /// it: a bound for messages that take the process with them. Default: 32.
    pub deliveries: u32,
}

/// Where a new group begins. See [`BusSubscription`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BusStart {
    /// With what is published from now on.
    #[default]
    Now,
    /// With the first message that the bus still has, where it
    /// [keeps](crate::BusCapabilities::keeps_published) what nobody listened to.
    Kept,
}

impl BusSubscription {
    /// Listens to messages of these names.
    pub fn to_messages<N: Into<String>>(
        group: impl Into<String>,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        Self::to(OutboundKind::Message, group.into(), names)
    }

    /// Takes commands of these names.
    pub fn to_commands<N: Into<String>>(
        group: impl Into<String>,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        Self::to(OutboundKind::Command, group.into(), names)
    }

    fn to<N: Into<String>>(
        kind: OutboundKind,
        group: String,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        Self {
            group,
            kind,
            names: names.into_iter().map(Into::into).collect(),
            start: BusStart::Now,
            at_once: 64,
            settle_within: Duration::from_secs(30),
            deliveries: 32,
        }
    }

    /// Whether it is for messages of this name.
    ///
    /// ```
    /// use cqrs_core::BusSubscription;
    ///
    /// let listens = BusSubscription::to_messages("mailer", ["bank.*", "users.signed_up"]);
    /// assert!(listens.matches("bank.opened") && listens.matches("users.signed_up"));
    /// assert!(!listens.matches("bank") && !listens.matches("bank.v2.opened"));
    /// ```
    pub fn matches(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| overlap(pattern, name))
    }

    /// Whether there may be a name that both are for: for adapters that refuse a second group for a
    /// command.
    pub fn overlaps(&self, other: &Self) -> bool {
        let meets = |name: &String| other.names.iter().any(|pattern| overlap(pattern, name));
        self.kind == other.kind && self.names.iter().any(meets)
    }

    /// Checks it against what a bus takes. Every adapter calls it first.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) or [`TooLarge`](crate::ErrorKind::TooLarge), naming what
    /// is to blame (P24).
    pub fn check(&self, limits: &BusLimits) -> Result<()> {
        check_name("group", &self.group, limits)?;
        if self.group.split('.').any(|part| part == "*") {
            let context = format!("the group {:?} is a pattern, not a name", self.group);
            return Err(Error::invalid_field("group", context));
        }
        if self.names.is_empty() {
            let context = format!("the group `{}` asks for no names", self.group);
            return Err(Error::invalid_field("names", context));
        }
        self.names.iter().try_for_each(|name| check_name("names", name, limits))?;
        let counts = [("at_once", self.at_once), ("deliveries", self.deliveries)];
        if let Some((field, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            let context =
                format!("`{field}` of the group `{}` is 0: nothing would come", self.group);
            return Err(Error::invalid_field(field, context));
        }
        if self.settle_within.is_zero() {
            let context = format!("`settle_within` of the group `{}` is no time", self.group);
            return Err(Error::invalid_field("settle_within", context));
        }
        Ok(())
    }
}

/// Whether there is a name that fits both.
fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_part() {
        let cases = [
            ("bank.opened", "bank.opened", true),
            ("bank.*", "bank.opened", true),
            ("*.opened", "bank.opened", true),
            ("*", "bank", true),
            ("*", "bank.opened", false),
            ("bank.*", "bank", false),
            ("bank.*", "bank.v2.opened", false),
            ("bank.*.opened", "bank.v2.opened", true),
            ("bank.opened", "bank.closed", false),
            ("bank.opened", "bank.opened.late", false),
        ];
        for (pattern, name, fits) in cases {
            let listens = BusSubscription::to_messages("mailer", [pattern]);
            assert_eq!(listens.matches(name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_overlap_where_a_name_fits_both() {
        let takes = |name: &str| BusSubscription::to_commands("g", [name]);
        assert!(takes("bank.*").overlaps(&takes("*.open")));
        assert!(!takes("bank.*").overlaps(&takes("shop.*")));
        assert!(!takes("bank.*").overlaps(&BusSubscription::to_messages("g", ["bank.*"])));
    }

    #[test]
    fn what_is_no_subscription_is_refused() {
        let right = BusSubscription::to_messages("shop.mailer", ["bank.*"]);
        let limits = BusLimits::default();
        assert!(right.check(&limits).is_ok());
        for names in [vec![], vec![String::new()], vec!["bank.".into()], vec!["bank.>".into()]] {
            assert!(BusSubscription { names, ..right.clone() }.check(&limits).is_err());
        }
        for group in ["", "a b", "a.*", "*", "a\0"] {
            let group = group.to_owned();
            assert!(BusSubscription { group, ..right.clone() }.check(&limits).is_err());
        }
        assert!(BusSubscription { at_once: 0, ..right.clone() }.check(&limits).is_err());
        assert!(BusSubscription { deliveries: 0, ..right.clone() }.check(&limits).is_err());
        let settle_within = Duration::ZERO;
        assert!(BusSubscription { settle_within, ..right }.check(&limits).is_err());
    }
}
