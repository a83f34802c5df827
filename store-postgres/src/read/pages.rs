//! A stream of pages that reads ahead of its consumer.

use std::time::{Duration, Instant};

use cqrs_core::{ErrorKind, Page, Pages, Result};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Reader;
use crate::connect::backoff;
use crate::error::Trouble;

/// Pages that wait for the consumer.
const WAITING: usize = 2;

/// How long a reading waits for a consumer with its statement open; then it begins anew behind the last
/// page, when it is asked.
const OPEN: Duration = Duration::from_millis(200);

/// What is read page by page.
pub(crate) trait Reading: Send + 'static {
    /// What it does, for errors: completes "… while".
    const DOING: &'static str;

    /// Reads some pages with one connection, and hands them on, for as long as they are taken. Whether
    /// that was all. What was handed on is not read again.
    fn read<'a>(
        &'a mut self,
        reader: &'a Reader,
        pages: &'a mut Taker,
    ) -> BoxFuture<'a, Result<bool, Trouble>>;
}

/// Takes pages for whoever consumes them.
pub(crate) struct Taker(mpsc::Sender<Result<Page>>);

impl Taker {
    /// Hands a page on. The page back: nobody took it in time.
    pub(super) async fn take(&mut self, page: Page) -> Result<(), Page> {
        match tokio::time::timeout(OPEN, self.0.reserve()).await {
            Ok(Ok(place)) => {
                place.send(Ok(page));
                Ok(())
            }
            _ => Err(page),
        }
    }
}

/// The pages of a reading. It begins when the first is asked for, and ends when nobody asks any more.
pub(crate) fn pages<R: Reading>(reader: Reader, reading: R) -> Pages {
    enum Next<R> {
        Begin(Reader, R),
        Read(mpsc::Receiver<Result<Page>>, Ended),
    }
    let pages = stream::unfold(Next::Begin(reader, reading), |next| async move {
        let (mut pages, ended) = match next {
            Next::Read(pages, ended) => (pages, ended),
            Next::Begin(reader, reading) => {
                let (sender, pages) = mpsc::channel(WAITING);
                (pages, Ended(tokio::spawn(run(reader, reading, sender))))
            }
        };
        let page = pages.recv().await?;
        Some((page, Next::Read(pages, ended)))
    });
    pages.boxed()
}

/// A reading that ends with its stream.
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run<R: Reading>(reader: Reader, mut reading: R, sender: mpsc::Sender<Result<Page>>) {
    let mut pages = Taker(sender.clone());
    let (mut attempts, mut since) = (0, Instant::now());
    loop {
        match reading.read(&reader, &mut pages).await {
            Ok(true) => return,
            Ok(false) => (attempts, since) = (0, Instant::now()),
            Err(trouble) if may_pass(&trouble) && since.elapsed() < reader.patience => {
                attempts += 1;
                tracing::debug!(?trouble, attempts, doing = R::DOING, "trying again");
                tokio::time::sleep(backoff(attempts)).await;
            }
            Err(trouble) => {
                let error = trouble.into_error(R::DOING, &reader.connector.place);
                // Nobody may be there any more.
                let _ = sender.send(Err(error)).await;
                return;
            }
        }
        // Whoever is slow is waited for without a connection.
        if sender.reserve().await.is_err() {
            return;
        }
    }
}

/// Whether it may pass by itself: a reading changes nothing.
pub(crate) fn may_pass(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Ours(error) => *error.kind() == ErrorKind::Unavailable,
        Trouble::TooLong | Trouble::Final(_) => false,
        Trouble::Postgres(_) => trouble.is_lost() || trouble.is_passing(),
    }
}

/// Reads something, again and again for a while when the database is out of reach.
pub(crate) async fn patiently<T, F>(patience: Duration, read: impl Fn() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let (since, mut attempts) = (Instant::now(), 0);
    loop {
        match read().await {
            Err(trouble) if may_pass(&trouble) && since.elapsed() < patience => {
                attempts += 1;
                tokio::time::sleep(backoff(attempts)).await;
            }
            done => return done,
        }
    }
}
