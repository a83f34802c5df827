//! Buses that keep dead letters wrongly.

use async_trait::async_trait;
use cqrs_core::memory::MemoryBus;
use cqrs_core::{
    Bus, DeadLetter, DeadLetterId, FindDeadLetters, InboundMessage, MessageId, OutboundKind,
    OutboundMessage, Publisher, Result, Unpublished,
};

use crate::base::Fault;

/// Declares a fault that lists otherwise.
macro_rules! list_fault {
    ($(#[$doc:meta])* $name:ident, |$bus:ident, $find:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        #[async_trait]
        impl Fault for $name {
            async fn dead_letters(
                &self,
                $bus: &MemoryBus,
                $find: FindDeadLetters,
            ) -> Result<Vec<DeadLetter>> {
                $body
            }
        }
    };
}

/// Declares a fault that sends again otherwise.
macro_rules! again_fault {
    ($(#[$doc:meta])* $name:ident, |$bus:ident, $letter:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        #[async_trait]
        impl Fault for $name {
            fn bus() -> MemoryBus {
                MemoryBus::default().deduplicate(std::time::Duration::ZERO)
            }

            async fn send_again(&self, $bus: &MemoryBus, $letter: &DeadLetterId) -> Result<()> {
                $body
            }
        }
    };
}

list_fault! {
    /// Has none, ever.
    ForgetsThem, |_bus, _find| Ok(Vec::new())
}

list_fault! {
    /// Knows that, not why.
    ForgetsCauses, |bus, find| {
        let mut letters = bus.dead_letters(find).await?;
        letters.iter_mut().for_each(|letter| letter.cause.clear());
        Ok(letters)
    }
}

list_fault! {
    /// Knows why, not how often.
    CountsOneAttempt, |bus, find| {
        let mut letters = bus.dead_letters(find).await?;
        letters.iter_mut().for_each(|letter| letter.attempts = 1);
        Ok(letters)
    }
}

list_fault! {
    /// Lists those of all groups.
    IgnoresOrigins, |bus, find| bus.dead_letters(FindDeadLetters { origin: None, ..find }).await
}

list_fault! {
    /// Lists the first ones, again and again.
    BeginsEachPageAnew, |bus, find| bus.dead_letters(FindDeadLetters { after: None, ..find }).await
}

async fn letter(bus: &MemoryBus, id: &DeadLetterId) -> Result<DeadLetter> {
    let all = bus.dead_letters(FindDeadLetters::default()).await?;
    let none = || cqrs_core::Error::invalid_field("dead_letter", "there is none");
    all.into_iter().find(|letter| letter.id == *id).ok_or_else(none)
}

async fn published(bus: &MemoryBus, message: InboundMessage, id: MessageId) -> Result<()> {
    let outbound = OutboundMessage::new(OutboundKind::Message, message.name, message.body);
    let key = message.metadata.partition_key().map(str::to_owned);
    let outbound = OutboundMessage { key, metadata: message.metadata.with_id(id), ..outbound };
    bus.publish(vec![outbound]).await.map_err(Unpublished::into_first)
}

again_fault! {
    /// Makes a new message of it.
    SendsUnderAnotherId, |bus, id| {
        let letter = letter(bus, id).await?;
        bus.discard(id).await?;
        published(bus, letter.message, MessageId::fresh()).await
    }
}

again_fault! {
    /// Publishes it once more.
    SendsToEverybody, |bus, id| {
        let letter = letter(bus, id).await?;
        bus.discard(id).await?;
        let same = letter.message.metadata.id();
        published(bus, letter.message, same).await
    }
}

again_fault! {
    /// Sends it, and lists it still.
    KeepsWhatItSends, |bus, id| {
        let letter = letter(bus, id).await?;
        let same = letter.message.metadata.id();
        published(bus, letter.message, same).await
    }
}

again_fault! {
    /// Has sent whatever it is asked to send.
    TakesAnyId, |bus, id| {
        let _ = bus.send_again(id).await;
        Ok(())
    }
}

/// Has forgotten, and has not.
#[derive(Debug, Default)]
pub(crate) struct DiscardsNothing;

#[async_trait]
impl Fault for DiscardsNothing {
    async fn discard(&self, _: &MemoryBus, _: &DeadLetterId) -> Result<()> {
        Ok(())
    }
}
