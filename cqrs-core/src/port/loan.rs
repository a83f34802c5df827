//! What is said of a delivery that one connection to a broker has lent to another.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::port::delivery::Verdict;

/// What the borrower of a message tells its owner, in JSON: for adapters whose connections lend each other
/// messages of a group.
///
/// ```
/// use std::time::Duration;
/// use cqrs_core::{LoanSaid, LoanWord, Verdict};
///
/// let said = LoanSaid { token: 7, word: Verdict::Retry(Duration::from_millis(5)).into() };
/// assert_eq!(serde_json::to_string(&said)?, r#"{"token":7,"word":{"retry":5000}}"#);
/// assert_eq!(said.word.verdict(), Ok(Verdict::Retry(Duration::from_millis(5))));
/// # Ok::<_, cqrs_core::BoxError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoanWord {
    /// It is handled.
    Ack,
    /// It comes again in so many microseconds.
    Retry(u64),
    /// It becomes a dead letter, with this cause.
    Park(String),
    /// Nobody settles it; and whether anybody has seen it.
    Back(bool),
    /// It is still being worked on.
    Extend,
}

impl From<Verdict> for LoanWord {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ack => Self::Ack,
            Verdict::Retry(after) => {
                Self::Retry(u64::try_from(after.as_micros()).unwrap_or(u64::MAX))
            }
            Verdict::Park(cause) => Self::Park(cause),
        }
    }
}

impl LoanWord {
    /// As a verdict.
    ///
    /// # Errors
    /// The word, when it is none.
    pub fn verdict(self) -> Result<Verdict, Self> {
        match self {
            Self::Ack => Ok(Verdict::Ack),
            Self::Retry(after) => Ok(Verdict::Retry(Duration::from_micros(after))),
            Self::Park(cause) => Ok(Verdict::Park(cause)),
            Self::Back(_) | Self::Extend => Err(self),
        }
    }
}

/// A word about one message. See [`LoanWord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoanSaid {
    /// The token under which its owner knows it.
    pub token: u64,
    /// What is said of it.
    pub word: LoanWord,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_come_back_as_they_were() {
        let verdicts =
            [Verdict::Ack, Verdict::Retry(Duration::from_millis(5)), Verdict::Park("no".into())];
        for verdict in verdicts {
            let said = LoanSaid { token: 7, word: verdict.clone().into() };
            let text = serde_json::to_string(&said).unwrap();
            let back: LoanSaid = serde_json::from_str(&text).unwrap();
            assert_eq!(back.word.verdict(), Ok(verdict));
        }
        assert_eq!(LoanWord::Back(true).verdict(), Err(LoanWord::Back(true)));
    }
}
