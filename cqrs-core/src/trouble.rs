//! Snapshots that cannot be kept or read. They make nothing fail, so this is where it shows: a
//! warning for each kind of aggregate, and fewer tries.

use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::port::stream_id::StreamId;

/// How many times a snapshot is due and not tried, at most.
const MOST_SKIPPED: u32 = 1_024;

#[derive(Default)]
struct Trouble {
    /// How many times in a row none could be kept.
    failed: u32,
    /// How many more times none is tried.
    skipped: u32,
    told_of_keeping: bool,
    told_of_reading: bool,
}

static TROUBLES: LazyLock<Mutex<HashMap<TypeId, Trouble>>> = LazyLock::new(Mutex::default);

fn troubles() -> MutexGuard<'static, HashMap<TypeId, Trouble>> {
    TROUBLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a snapshot that is due is left out, because the last ones could not be kept.
pub(crate) fn is_left_out<A: 'static>() -> bool {
    match troubles().get_mut(&TypeId::of::<A>()) {
        Some(trouble) if trouble.skipped > 0 => {
            trouble.skipped -= 1;
            true
        }
        _ => false,
    }
}

/// A snapshot can be kept.
pub(crate) fn is_over<A: 'static>() {
    if let Some(trouble) = troubles().get_mut(&TypeId::of::<A>()) {
        trouble.failed = 0;
    }
}

/// A snapshot cannot be kept. Each time in a row doubles the times that none is tried.
pub(crate) fn with_keeping<A: 'static>(stream: &StreamId, cause: impl Display) {
    let mut troubles = troubles();
    let trouble = troubles.entry(TypeId::of::<A>()).or_default();
    trouble.failed = trouble.failed.saturating_add(1);
    trouble.skipped = 1_u32.checked_shl(trouble.failed).unwrap_or(MOST_SKIPPED).min(MOST_SKIPPED);
    if !std::mem::replace(&mut trouble.told_of_keeping, true) {
        drop(troubles);
        tracing::warn!(
            aggregate = type_name::<A>(),
            %stream,
            %cause,
            "a snapshot cannot be kept: loads fold all events, and the next ones are tried less often"
        );
    }
}

/// A snapshot that is kept cannot be read.
pub(crate) fn with_reading<A: 'static>(stream: &StreamId, cause: impl Display) {
    let mut troubles = troubles();
    let trouble = troubles.entry(TypeId::of::<A>()).or_default();
    if !std::mem::replace(&mut trouble.told_of_reading, true) {
        drop(troubles);
        tracing::warn!(
            aggregate = type_name::<A>(),
            %stream,
            %cause,
            "a snapshot cannot be read: all events are folded, and the next command makes it anew"
        );
    }
}
