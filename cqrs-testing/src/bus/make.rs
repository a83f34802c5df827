//! Messages and subscriptions that the cases send and make.

use std::time::Duration;

use cqrs_core::{BusSubscription, OutboundKind, OutboundMessage};

/// Within this time comes what must come.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// What must not come does not come for so long.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// How long a silent member has in cases about silence.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);

/// The name that most cases are about.
pub(crate) const OPENED: &str = "bank.opened";

/// A message of a key.
pub(crate) fn opened(key: impl Into<String>, body: impl ToString) -> OutboundMessage {
    named(OPENED, body).with_key(key)
}

/// A message without a key.
#[expect(clippy::needless_pass_by_value, reason = "a case says `opened(key, 1)`")]
pub(crate) fn named(name: &str, body: impl ToString) -> OutboundMessage {
    OutboundMessage::new(OutboundKind::Message, name, body.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "a case says `opened(key, 1)`")]
pub(crate) fn command(name: &str, body: impl ToString) -> OutboundMessage {
    OutboundMessage::new(OutboundKind::Command, name, body.to_string()).with_key("17")
}

pub(crate) fn listens(group: &str, names: &[&str]) -> BusSubscription {
    BusSubscription::to_messages(group, names.iter().copied())
}

pub(crate) fn takes(group: &str, names: &[&str]) -> BusSubscription {
    BusSubscription::to_commands(group, names.iter().copied())
}

/// Texts as somebody might send them who wishes us no good.
pub(crate) const HOSTILE: [&str; 9] = [
    "'; DROP TABLE messages; --",
    "a\"b\\c",
    "{\"json\":[1]}",
    "ключ/鍵/🗝",
    "a b  c",
    "*.>#",
    "..",
    "%0d%0aX: y",
    "=?utf-8?q?x?=",
];
