//! The bus that a case looks at: one connection from the start, further ones when it asks.

use std::ops::Deref;
use std::sync::Arc;

use cqrs_core::{Bus, BusSubscription, DeadLetter, Error, FindDeadLetters, OutboundMessage};

use crate::bus::fixture::{BusFixture, BusUnderTest};
use crate::bus::make::{BOUND, listens};
use crate::bus::member::Member;

/// A new bus with its first connection. Derefs to the [`Connection`].
pub(crate) struct Probe {
    connection: Connection,
    under: Box<dyn BusUnderTest>,
}

impl Probe {
    pub(crate) async fn create(fixture: &dyn BusFixture) -> Self {
        let under = fixture.create().await;
        let connection = Connection(under.connect().await);
        Self { connection, under }
    }

    /// Another connection, as another process would make it.
    pub(crate) async fn another(&self) -> Connection {
        Connection(self.under.connect().await)
    }
}

impl Deref for Probe {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// A connection, with what the cases ask of it. Clones are the same connection.
#[derive(Clone)]
pub(crate) struct Connection(Arc<dyn Bus>);

impl Deref for Connection {
    type Target = dyn Bus;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Connection {
    /// The bus, for an app.
    pub(crate) fn shared(&self) -> Arc<dyn Bus> {
        self.0.clone()
    }

    /// A member of a group that listens to these names.
    pub(crate) async fn listen(&self, group: &str, names: &[&str]) -> Member {
        self.join(listens(group, names)).await
    }

    pub(crate) async fn join(&self, subscription: BusSubscription) -> Member {
        let group = subscription.group.clone();
        match self.subscribe(subscription).await {
            Ok(deliveries) => Member::new(group, deliveries),
            Err(error) => panic!("the group `{group}` cannot be joined: {error:?}"),
        }
    }

    /// Why a subscription is refused.
    pub(crate) async fn refuses(&self, subscription: BusSubscription) -> Error {
        match self.subscribe(subscription.clone()).await {
            Ok(_) => panic!("{subscription:?} is taken"),
            Err(error) => error,
        }
    }

    /// Sends messages that must all be stored.
    pub(crate) async fn send(&self, messages: Vec<OutboundMessage>) {
        if let Err(unpublished) = self.publish(messages).await {
            panic!("messages must be stored: {unpublished:?}");
        }
    }

    /// Sends messages one after the other.
    pub(crate) async fn send_each(&self, messages: impl IntoIterator<Item = OutboundMessage>) {
        for message in messages {
            self.send(vec![message]).await;
        }
    }

    /// The dead letters of a group, when there are so many.
    pub(crate) async fn letters(&self, group: &str, count: usize) -> Vec<DeadLetter> {
        let find = async || match self.dead_letters(FindDeadLetters::of(group)).await {
            Ok(letters) => letters,
            Err(error) => panic!("dead letters cannot be listed: {error:?}"),
        };
        let found = async {
            loop {
                let letters = find().await;
                if letters.len() == count {
                    return letters;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(BOUND, found).await {
            Ok(letters) => letters,
            Err(_) => panic!("`{group}` has not {count} dead letters: {:?}", find().await),
        }
    }
}
