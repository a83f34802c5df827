//! The subjects and streams of one prefix.

use cqrs_core::{Error, Lane, MessageId, OutboundKind, Result};

/// Parts that keys are spread over, beside the one for messages of others. Few: the server looks at each message once
/// for each of them, and one write says of all messages of a part what became of them. Whose connection owns none is
/// lent messages by others.
pub(crate) const PARTS: u16 = 4;

/// The part of messages that others have published: they need not know how keys are spread.
pub(crate) const FOREIGN: &str = "x";

/// A part of the keys: one member's connection owns it at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Part(u16);

impl Part {
    /// All of them.
    pub(crate) fn all() -> impl ExactSizeIterator<Item = Self> + Clone {
        (0..=PARTS).map(Self)
    }

    /// That of a message.
    pub(crate) fn of(lane: Option<&Lane>, id: MessageId) -> Self {
        let partitions = u32::from(PARTS);
        let partition = match lane {
            Some(lane) => lane.partition(partitions),
            // In no order with others: anywhere.
            None => Lane::new(None, &id.to_string()).partition(partitions),
        };
        Self(partition as u16)
    }

    /// Its number, which is below [`count`](Self::count).
    pub(crate) fn number(self) -> usize {
        usize::from(self.0)
    }

    /// The one with this number.
    pub(crate) fn at(number: usize) -> Self {
        Self((number % Self::count()) as u16)
    }

    pub(crate) fn count() -> usize {
        usize::from(PARTS) + 1
    }

    /// As a subject has it.
    fn token(self) -> String {
        if self.0 == PARTS { FOREIGN.to_owned() } else { self.0.to_string() }
    }
}

/// Names under one prefix. Nobody else uses it: several services that talk to each other have one in common.
#[derive(Debug, Clone)]
pub(crate) struct Subjects {
    prefix: String,
}

impl Subjects {
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

    /// The stream of all messages.
    pub(crate) fn messages(&self) -> String {
        self.prefix.clone()
    }

    /// The stream of what is known of the groups: the newest of each subject.
    pub(crate) fn groups(&self) -> String {
        format!("{}-groups", self.prefix)
    }

    /// The stream of dead letters.
    pub(crate) fn dead(&self) -> String {
        format!("{}-dead", self.prefix)
    }

    /// Where a message is published.
    pub(crate) fn message(&self, kind: OutboundKind, part: Part, name: &str) -> String {
        [&*self.prefix, kind.name(), &part.token(), name].join(".")
    }

    /// All messages of a kind in a part.
    pub(crate) fn part(&self, kind: OutboundKind, part: Part) -> String {
        self.message(kind, part, ">")
    }

    /// All messages of a kind.
    pub(crate) fn kind(&self, kind: OutboundKind) -> String {
        format!("{}.{}.>", self.prefix, kind.name())
    }

    /// How far a group is with a part.
    pub(crate) fn cursor(&self, part: Part, group: &str) -> String {
        format!("{}.cursor.{}.{group}", self.prefix, part.token())
    }

    /// What a group takes.
    pub(crate) fn group(&self, group: &str) -> String {
        format!("{}.group.{group}", self.prefix)
    }

    /// What all groups take.
    pub(crate) fn all_groups(&self) -> String {
        self.group(">")
    }

    /// All that is known of groups.
    pub(crate) fn of_groups(&self) -> [String; 2] {
        [self.all_groups(), format!("{}.cursor.>", self.prefix)]
    }

    /// Dead letters of a group.
    pub(crate) fn letter(&self, group: &str) -> String {
        format!("{}.dead.{group}", self.prefix)
    }

    /// All dead letters.
    pub(crate) fn letters(&self) -> String {
        self.letter(">")
    }

    /// Where the connections that have members of a group tell of themselves.
    pub(crate) fn peers(&self, group: &str) -> String {
        format!("{}.peers.{group}", self.prefix)
    }

    /// Where a connection is lent messages of a group.
    pub(crate) fn lends(&self, connection: &str, group: &str) -> String {
        format!("{}.lends.{connection}.{group}", self.prefix)
    }

    /// Where the owner of messages of a group is told what became of those that it has lent.
    pub(crate) fn returns(&self, connection: &str, group: &str) -> String {
        format!("{}.returns.{connection}.{group}", self.prefix)
    }

    /// Where requests of a name are sent.
    pub(crate) fn request(&self, name: &str) -> String {
        format!("{}.request.{name}", self.prefix)
    }

    /// Whether a subject is one of these.
    pub(crate) fn is_ours(&self, subject: &str) -> bool {
        subject.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('.'))
    }

    /// Where those who answer requests are told which were given up.
    pub(crate) fn given_up(&self) -> String {
        format!("{}.givenup", self.prefix)
    }

    /// Where a connection answers as long as it lives.
    pub(crate) fn connection(&self, id: &str) -> String {
        format!("{}.connection.{id}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_one_part_for_ever() {
        let id = MessageId::from_u128(7);
        let lane = Lane::new(Some("acme"), "17");
        assert_eq!(Part::of(Some(&lane), id), Part::at(2));
        let spread =
            |n: u32| Part::of(None, MessageId::from_u128(n.into()).derived("x", n)).number();
        let mut counts = [0; PARTS as usize];
        (0..16_000).for_each(|n| counts[spread(n)] += 1);
        assert!(counts.iter().all(|count| (3_500..4_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn subjects_are_made_of_names() {
        let subjects = Subjects::new("shop").unwrap();
        let message = subjects.message(OutboundKind::Command, Part(3), "payments.charge");
        assert_eq!(message, "shop.command.3.payments.charge");
        assert_eq!(subjects.part(OutboundKind::Message, Part(PARTS)), "shop.message.x.>");
        assert_eq!(subjects.cursor(Part(0), "shop.mailer"), "shop.cursor.0.shop.mailer");
        assert_eq!(subjects.letters(), "shop.dead.>");
        assert_eq!(Part::all().len(), Part::count());
        for prefix in ["", "a.b", "a b", ">", "ä", &"a".repeat(61)] {
            assert!(Subjects::new(prefix).is_err(), "{prefix}");
        }
    }
}
