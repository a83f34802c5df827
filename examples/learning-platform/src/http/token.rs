//! The token of those who look after the service.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use cqrs_core::{Error, Result};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use crate::http::origin::{is_visible, only};
use crate::http::problem::Problem;

/// Characters that a token has at most.
const LIMIT: usize = 1024;

/// The token of those who look after the service. What it says is not kept: only its digest is.
#[derive(Clone)]
pub struct AdminToken(Arc<[u8; 32]>);

impl AdminToken {
    /// The token that says this.
    ///
    /// # Errors
    /// When it is empty, has more than 1,024 characters, or one that is not visible ASCII.
    pub fn of(text: &str) -> Result<Self> {
        if is_visible(text, LIMIT) {
            return Ok(Self(Arc::new(digest(text))));
        }
        let detail = format!("the admin token has 1 to {LIMIT} visible ASCII characters");
        Err(Error::invalid_field("admin_token", detail))
    }

    /// Compares digests, and all of both: how long it takes tells nothing of the token.
    fn is(&self, text: &str) -> bool {
        let pairs = self.0.iter().zip(digest(text));
        pairs.fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
    }

    fn is_brought(&self, headers: &HeaderMap) -> bool {
        let credentials = only(headers, AUTHORIZATION.as_str()).flatten();
        let brought = credentials.and_then(|credentials| credentials.split_once(' '));
        brought.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && self.is(token.trim_matches(' '))
        })
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken")
    }
}

/// Lets those pass who bring the token.
pub(crate) async fn guard(
    State(token): State<AdminToken>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if token.is_brought(request.headers()) {
        return Ok(next.run(request).await);
    }
    Err(Problem::wants_token())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_right_token_is_let_in() {
        let token = AdminToken::of("open-sesame").unwrap();
        for right in ["Bearer open-sesame", "bearer open-sesame", "BEARER  open-sesame "] {
            assert!(token.is_brought(&headers(&[right])), "{right}");
        }
        for wrong in [
            "",
            "open-sesame",
            "Bearer",
            "Bearer ",
            "Bearer open-sesam",
            "Bearer open-sesame-",
            "Bearer Open-sesame",
            "Basic open-sesame",
            "Bearer open-sesame open-sesame",
        ] {
            assert!(!token.is_brought(&headers(&[wrong])), "{wrong}");
        }
        assert!(!token.is_brought(&HeaderMap::new()));
        let right = "Bearer open-sesame";
        assert!(!token.is_brought(&headers(&[right, right])), "which of them is meant?");
    }

    #[test]
    fn a_token_is_something_and_is_not_shown() {
        for not in ["", "a b", "a\tb", "\u{e9}", &"x".repeat(1025)] {
            assert!(AdminToken::of(not).is_err(), "{not:?}");
        }
        let token = AdminToken::of(&"x".repeat(1024)).unwrap();
        assert_eq!(format!("{token:?}"), "AdminToken");
    }
}
