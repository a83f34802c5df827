//! What follows when a guest wants seats.

use cqrs_core::{Failure, HandlerError, Request, Work};

use crate::contract::{SeatsRefused, SeatsWanted};
use crate::show::{Reserve, Show};

/// Reserves them, or tells why not. One commit with the note that this message was handled, so that one that comes
/// twice is handled once.
///
/// # Errors
/// When nobody can want so many; when the store cannot be read.
pub async fn reserve(wanted: SeatsWanted, work: Work) -> Result<(), HandlerError> {
    let SeatsWanted { show, guest, seats } = wanted;
    let reserve = Reserve { show: show.clone(), guest: guest.clone(), seats };
    // What no guest can want is a dead letter.
    reserve.validate().map_err(HandlerError::fatal)?;
    let mut loaded = work.load::<Show>(&show).await?;
    match work.decide(&mut loaded, &reserve) {
        Ok(_) => Ok(()),
        Err(Failure::Rejected(no)) => {
            let refused = SeatsRefused { guest, reason: no.to_string() };
            work.publish_keyed(&show, &refused)?;
            Ok(())
        }
        Err(Failure::Failed(error)) => Err(error.into()),
    }
}
