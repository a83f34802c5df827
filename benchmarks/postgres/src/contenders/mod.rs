//! Who takes part, in the order of the tables.

mod cqrs_es;
mod disintegrate;
mod esrs;
mod eventcore;
mod evento;
mod filling;
mod floor;
mod suite;

use crate::contender::{Contender, Result};
use suite::Suite;

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Contender>> {
    vec![
        Box::new(floor::Reader),
        Box::new(floor::LoadInsert),
        Box::new(floor::Grouped),
        Box::new(floor::KnownVersions),
        Box::new(Suite::Replayed),
        Box::new(Suite::FromSnapshots),
        Box::new(Suite::Cached),
        Box::new(cqrs_es::CqrsEs),
        Box::new(esrs::Esrs),
        Box::new(disintegrate::Disintegrate),
        Box::new(eventcore::Eventcore),
        Box::new(evento::Evento),
    ]
}

/// Those whose name contains one of these words; all, if there are no words.
///
/// Err: a word is in no name.
pub(crate) fn named(words: &[String]) -> Result<Vec<Box<dyn Contender>>> {
    let names: Vec<&str> = all().iter().map(|contender| contender.name()).collect();
    if let Some(word) = words.iter().find(|word| !names.iter().any(|name| name.contains(*word))) {
        return Err(format!("there is no contender `{word}`, but {}", names.join(", ")).into());
    }
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    Ok(all().into_iter().filter(|contender| wanted(contender.name())).collect())
}
