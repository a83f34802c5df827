//! A stream of pages that reads ahead of its consumer.

use std::time::Instant;

use cqrs_core::{Error, ErrorKind, Page, Pages, Result};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use tokio::task::{JoinError, JoinHandle};

use super::Reader;
use crate::connect::backoff;
use crate::error::Trouble;

/// What a step has read, and how it goes on; `None`: that was all.
pub(crate) type Step<R> = (Vec<Page>, Option<R>);

/// What is read step by step, each with a command of its own: none is left open while nobody asks.
pub(crate) trait Reading: Clone + Send + Sync + 'static {
    /// What it does, for errors: completes "… while".
    const DOING: &'static str;

    /// Some pages, and how it goes on.
    fn step(self, reader: &Reader) -> BoxFuture<'_, Result<Step<Self>, Trouble>>;
}

/// What is read in the background. It ends with whoever waits for it.
struct Ahead<T>(JoinHandle<T>);

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Stepped<R> = Result<Step<R>>;

enum Next<R> {
    Begin(R),
    Ahead(Ahead<Stepped<R>>),
    End,
}

/// The pages of a reading. It begins when the first is asked for, is one step ahead then, and ends when nobody asks any
/// more.
pub(crate) fn pages<R: Reading>(reader: Reader, reading: R) -> Pages {
    let steps = stream::unfold((reader, Next::Begin(reading)), |(reader, next)| async move {
        let stepped = match next {
            Next::Begin(reading) => step(reader.clone(), reading).await,
            Next::Ahead(mut ahead) => match (&mut ahead.0).await {
                Ok(stepped) => stepped,
                Err(ended) => Err(broken_off::<R>(&ended, &reader)),
            },
            Next::End => return None,
        };
        let (pages, next) = match stepped {
            Ok((pages, Some(rest))) => {
                let ahead = tokio::spawn(step(reader.clone(), rest));
                (pages.into_iter().map(Ok).collect::<Vec<_>>(), Next::Ahead(Ahead(ahead)))
            }
            Ok((pages, None)) => (pages.into_iter().map(Ok).collect(), Next::End),
            Err(error) => (vec![Err(error)], Next::End),
        };
        Some((stream::iter(pages), (reader, next)))
    });
    steps.flatten().boxed()
}

/// What was to be read is not: that is no end.
fn broken_off<R: Reading>(ended: &JoinError, reader: &Reader) -> Error {
    let (place, doing) = (&reader.connector.place, R::DOING);
    match ended.is_panic() {
        true => {
            let context = format!("{doing} from {place} panicked: this is a bug of the store");
            Error::new(ErrorKind::Internal, context)
        }
        false => {
            let context = format!("{doing} from {place} was broken off: the runtime ends");
            Error::new(ErrorKind::Unavailable, context)
        }
    }
}

/// A step, tried again for a while when the server is out of reach.
async fn step<R: Reading>(reader: Reader, reading: R) -> Stepped<R> {
    let (since, mut attempts) = (Instant::now(), 0);
    loop {
        match reader.in_time(reading.clone().step(&reader)).await {
            Err(trouble) if trouble.is_passing() && since.elapsed() < reader.connector.patience => {
                attempts += 1;
                tracing::debug!(?trouble, attempts, doing = R::DOING, "trying again");
                tokio::time::sleep(backoff(attempts)).await;
            }
            done => {
                return done
                    .map_err(|trouble| trouble.into_error(R::DOING, &reader.connector.place));
            }
        }
    }
}
