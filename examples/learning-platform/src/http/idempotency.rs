//! `Idempotency-Key`: a command with a key is applied once, by the layer
//! [`Idempotency`](cqrs_core::layer::Idempotency) of the app.

use cqrs_core::IdempotencyKey;
use hyper::HeaderMap;

use crate::http::origin::{is_visible, only};
use crate::http::problem::Problem;

const KEY: &str = "idempotency-key";
/// Characters that a key has at most.
const LIMIT: usize = 255;

/// The key of a command. `None`: it has none.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    match only(headers, KEY) {
        None => Ok(None),
        Some(Some(key)) if is_visible(key, LIMIT) => Ok(Some(IdempotencyKey(key.into()))),
        Some(_) => {
            let detail = format!("a key has 1 to {LIMIT} visible ASCII characters, and comes once");
            Err(Problem::invalid("Idempotency-Key", detail))
        }
    }
}
