//! Upcasters: every version below the current one is lifted, by exactly one.

use syn::{Ident, LitInt, Path};

use crate::fault::Faults;
use crate::valid::name;

/// One entry of `upcast(from = path)`.
pub(crate) struct Upcast {
    /// The version it reads, as it is written.
    pub(crate) literal: LitInt,
    /// The version it reads.
    pub(crate) from: u16,
    /// The function.
    pub(crate) lift: Path,
}

/// Checks the entries against the current version. What is missing is a fault of the version, or of
/// `item` where no version is written.
pub(crate) fn upcasters(
    item: &Ident,
    version: Option<&LitInt>,
    upcasts: &mut [Upcast],
    faults: &mut Faults,
) -> u16 {
    let current = version.map_or(1, |version| name::version(version, faults));
    for (n, upcast) in upcasts.iter().enumerate() {
        let Upcast { literal, from, .. } = upcast;
        if *from == 0 {
            faults.at(literal, "versions count from 1");
        } else if *from >= current {
            let event = item.to_string();
            let message = format!(
                "`{event}` is at version {current}, so version {from} is never lifted: \
                 remove this, or write `version = {}`",
                from.saturating_add(1)
            );
            faults.at(literal, message);
        } else if upcasts[..n].iter().any(|earlier| earlier.from == *from) {
            faults.at(literal, format!("version {from} is lifted twice"));
        }
    }
    let missing: Vec<_> = (1..current)
        .filter(|version| upcasts.iter().all(|upcast| upcast.from != *version))
        .map(|version| version.to_string())
        .collect();
    if let (Some(literal), Some(first)) = (version, missing.first()) {
        let versions = if missing.len() == 1 { "version" } else { "versions" };
        let list = match missing.get(5..) {
            Some(more @ [_, ..]) => format!("{} and {} more", missing[..5].join(", "), more.len()),
            _ => missing.join(", "),
        };
        let message =
            format!("nothing lifts {versions} {list}: add `upcast({first} = path::of::function)`");
        faults.at(literal, message);
    }
    upcasts.sort_by_key(|upcast| upcast.from);
    current
}
