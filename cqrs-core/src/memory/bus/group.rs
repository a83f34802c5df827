//! One group of the memory bus: what waits for its members, and what it has given up.

use std::sync::Arc;

use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};
use crate::message::timestamp::Timestamp;
use crate::port::delivery::{InboundMessage, Verdict};
use crate::port::lanes::{Fate, Holder, Lane, Lanes};
use crate::port::publisher::OutboundMessage;
use crate::port::subscriber::BusSubscription;

/// A message as it is handed over.
pub(super) fn inbound(message: &OutboundMessage, attempt: u32) -> InboundMessage {
    let OutboundMessage { metadata, name, key, content_type, body, .. } = message;
    let mut metadata = metadata.clone();
    if let Some(key) = key {
        metadata = metadata.with_partition_key(key.as_str());
    }
    InboundMessage {
        metadata,
        name: name.clone(),
        content_type: content_type.clone(),
        body: body.clone(),
        attempt,
    }
}

/// A message that the group has given up.
#[derive(Debug)]
pub(super) struct Fallen {
    pub(super) message: Arc<OutboundMessage>,
    pub(super) attempts: u32,
    pub(super) cause: String,
}

#[derive(Debug)]
pub(super) struct Group {
    /// The latest one.
    pub(super) subscription: BusSubscription,
    lanes: Lanes<Arc<OutboundMessage>>,
    fallen: Vec<Fallen>,
    /// Its dead letters, which take room.
    letters: usize,
    changed: watch::Sender<()>,
}

impl Group {
    pub(super) fn new(subscription: BusSubscription) -> Self {
        let lanes = Lanes::new(subscription.deliveries);
        let changed = watch::Sender::new(());
        Self { subscription, lanes, fallen: Vec::new(), letters: 0, changed }
    }

    pub(super) fn subscribe(&mut self, subscription: BusSubscription) -> watch::Receiver<()> {
        self.lanes.set_deliveries(subscription.deliveries);
        self.subscription = subscription;
        self.changed.subscribe()
    }

    /// All it holds, with its dead letters.
    pub(super) fn len(&self) -> usize {
        self.lanes.len() + self.letters
    }

    pub(super) fn fallen(&mut self) -> impl Iterator<Item = Fallen> {
        self.fallen.drain(..)
    }

    /// A new message.
    pub(super) fn add(&mut self, message: Arc<OutboundMessage>) {
        self.lanes.add(Lane::of_outbound(&message), message, 0);
        self.changed.send_replace(());
    }

    /// A message that was a dead letter.
    pub(super) fn add_again(&mut self, message: Arc<OutboundMessage>) {
        self.make_room();
        self.add(message);
    }

    /// A dead letter is gone.
    pub(super) fn make_room(&mut self) {
        self.letters -= 1;
    }

    /// Hands the next message over; or tells when there may be one.
    pub(super) fn hand(
        &mut self,
        holder: Holder,
        token: u64,
        now: Timestamp,
    ) -> Result<InboundMessage, Option<Timestamp>> {
        match self.lanes.hand(holder, token, now) {
            Some((message, attempt)) => Ok(inbound(message, attempt)),
            None => Err(self.lanes.next_due()),
        }
    }

    pub(super) fn settle(&mut self, token: u64, verdict: Verdict, now: Timestamp) -> Result<()> {
        let settled = self.lanes.settle(token, verdict, now);
        match settled.ok_or_else(|| not_yours(&self.subscription))? {
            Fate::Done => drop(self.lanes.finish(token)),
            Fate::Again => {}
            Fate::Fallen(cause) => self.fall(token, cause),
        }
        self.changed.send_replace(());
        Ok(())
    }

    pub(super) fn extend(&mut self, token: u64, now: Timestamp) -> Result<()> {
        match self.lanes.extend(token, now) {
            true => Ok(()),
            false => Err(not_yours(&self.subscription)),
        }
    }

    /// Nobody settled it.
    pub(super) fn give_back(&mut self, token: u64) {
        if let Some(Fate::Fallen(cause)) = self.lanes.give_back(token) {
            self.fall(token, cause);
        }
        self.changed.send_replace(());
    }

    pub(super) fn give_back_all(&mut self, connection: u64) {
        let given = self.lanes.give_back_all(connection);
        self.fall_all(given);
        self.changed.send_replace(());
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        if self.lanes.next_due().is_none_or(|due| due > now) {
            return;
        }
        let silent = self.lanes.expire(now);
        self.fall_all(silent);
        self.changed.send_replace(());
    }

    fn fall_all(&mut self, fates: Vec<(u64, Fate)>) {
        for (token, fate) in fates {
            if let Fate::Fallen(cause) = fate {
                self.fall(token, cause);
            }
        }
    }

    fn fall(&mut self, token: u64, cause: String) {
        let attempts = self.lanes.handed(token).map_or(0, |(_, attempt)| attempt);
        if let Some(message) = self.lanes.finish(token) {
            self.letters += 1;
            self.fallen.push(Fallen { message, attempts, cause });
        }
    }
}

fn not_yours(subscription: &BusSubscription) -> Error {
    let context = format!(
        "this delivery of the group `{}` was settled, or is handed to another by now",
        subscription.group
    );
    Error::new(ErrorKind::Unavailable, context)
}
