//! The keys of the views that an event changes, checked.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::domain::fact::Fact;
use crate::domain::projection::Projection;
use crate::error::{Error, ErrorKind, Result, panic_text};
use crate::port::capabilities::Limits;

/// Runs code of the user's that is pure: when it panics once, it always does.
pub(crate) fn guarded<T>(what: &str, name: &str, run: impl FnOnce() -> T) -> Result<T> {
    // Whoever catches an error forgets what the code was working on.
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let context = format!("`{name}` panicked in `{what}`: {}", panic_text(&*panic));
        Error::new(ErrorKind::Panicked, context)
    })
}

/// The views that an event changes, each once.
///
/// Errors: one of the keys cannot be the id of a document, or a name of a lane. It must not get so far
/// that it cannot even be set aside.
pub(crate) fn keys_of<P: Projection>(
    event: &Fact<'_, P::Input>,
    limits: &Limits,
) -> Result<Vec<String>> {
    let mut keys = P::keys(event);
    if let [_, _, ..] = keys[..] {
        let mut seen = HashSet::with_capacity(keys.len());
        let mut is_new = keys.iter().map(|key| seen.insert(key.as_str())).collect::<Vec<_>>();
        let mut is_new = is_new.drain(..);
        keys.retain(|_| is_new.next().unwrap_or(true));
    }
    let owner = event.tenant.map_or(0, |tenant| tenant.len() + 1);
    let is_good = |key: &String| {
        let plain = || key.bytes().all(|byte| (b' '..0x7f).contains(&byte));
        let fits = !key.is_empty() && owner + key.len() <= limits.id;
        fits && (plain() || !key.chars().any(char::is_control))
    };
    match keys.iter().find(|key| !is_good(key)) {
        None => Ok(keys),
        Some(bad) => {
            let bad: String = bad.chars().take(100).collect();
            let context = format!(
                "`{}` names the view {bad:?}: a key has 1 to {} bytes, and no control characters",
                P::NAME,
                limits.id - owner,
            );
            Err(Error::invalid_field("key", context))
        }
    }
}
