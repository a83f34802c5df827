//! The names of exchanges and queues of one prefix.

use cqrs_core::{Error, OutboundKind, Result};
use lapin::types::ShortString;

/// Bytes of a name: of a message, a group, a tenant. With a prefix it fits into the 255 of a name in AMQP.
pub(crate) const LONGEST: usize = 160;

/// Names under one prefix. Nobody else uses it: several services that talk to each other have one in common.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    /// # Errors
    /// [`Invalid`](cqrs_core::ErrorKind::Invalid): the prefix is none.
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if prefix.is_empty() || prefix.len() > 60 || !prefix.chars().all(is_plain) {
            let context = "the prefix is not 1 to 60 of the letters `a` to `z` and `A` to `Z`, digits, `-` and `_`";
            return Err(Error::invalid_field("prefix", context));
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    fn name(&self, rest: &str) -> ShortString {
        short(format!("{}.{rest}", self.prefix))
    }

    /// Where messages of a kind are published, each under its name.
    pub(crate) fn exchange(&self, kind: OutboundKind) -> ShortString {
        self.name(kind.name())
    }

    /// Where it is asked whether a group takes a name: a topic exchange, as those of messages are.
    pub(crate) fn probe(&self) -> ShortString {
        self.name("probe")
    }

    /// Under which a name is asked for.
    pub(crate) fn probe_key(kind: OutboundKind, name: &str) -> ShortString {
        short(format!("{}.{name}", kind.name()))
    }

    /// What waits for a group.
    pub(crate) fn queue(&self, kind: OutboundKind, group: &str) -> ShortString {
        self.name(&format!("{}.{group}", kind.name()))
    }

    /// What a group takes: one record.
    pub(crate) fn names_of(&self, group: &str) -> ShortString {
        self.name(&format!("names.{group}"))
    }

    /// What is known of messages that a group was handed: one record.
    pub(crate) fn claims_of(&self, group: &str) -> ShortString {
        self.name(&format!("claims.{group}"))
    }

    /// Dead letters of all groups.
    pub(crate) fn dead(&self) -> ShortString {
        self.name("dead")
    }

    /// Requests of a name.
    pub(crate) fn request(&self, name: &str) -> ShortString {
        self.name(&format!("request.{name}"))
    }

    /// Where connections tell each other of themselves.
    pub(crate) fn post(&self) -> ShortString {
        self.name("post")
    }

    /// Under which those who have members of a group are told.
    pub(crate) fn post_of(group: &str) -> ShortString {
        short(format!("group.{group}"))
    }

    /// Under which those who answer requests are told which were given up.
    pub(crate) fn given_up() -> ShortString {
        short("given-up".to_owned())
    }

    /// The queue of one connection.
    pub(crate) fn connection(&self, id: &str) -> ShortString {
        self.name(&format!("connection.{id}"))
    }

    /// What one connection has at a time, and others wait for.
    pub(crate) fn lock(&self, of: &str) -> ShortString {
        self.name(&format!("lock.{of}"))
    }

    /// Whether a name is one of these.
    pub(crate) fn is_ours(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// A text of at most 255 bytes; what is more is cut off.
pub(crate) fn short(mut text: String) -> ShortString {
    let end = (0..=text.len().min(255)).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    ShortString::try_new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_under_the_prefix() {
        let names = Names::new("shop").unwrap();
        assert_eq!(names.exchange(OutboundKind::Command).as_str(), "shop.command");
        assert_eq!(names.queue(OutboundKind::Message, "mailer").as_str(), "shop.message.mailer");
        assert_eq!(names.request("bank.find").as_str(), "shop.request.bank.find");
        assert!(names.is_ours("shop.dead") && !names.is_ours("shopping") && !names.is_ours("x"));
        for prefix in ["", "a.b", "a b", "#", "ä", &"a".repeat(61)] {
            assert!(Names::new(prefix).is_err(), "{prefix}");
        }
    }

    #[test]
    fn the_longest_name_fits() {
        let names = Names::new(&"a".repeat(60)).unwrap();
        let longest = "b".repeat(LONGEST);
        for name in [
            names.queue(OutboundKind::Message, &longest),
            names.claims_of(&longest),
            names.request(&longest),
        ] {
            assert!(name.as_str().ends_with(&longest), "{name}");
        }
        assert_eq!(short("ä".repeat(200)).as_str(), "ä".repeat(127));
    }
}
