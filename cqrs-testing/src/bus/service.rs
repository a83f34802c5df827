//! A service for the cases about typed requests: its contract, and what it does.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, Command, Documents, Entity, Error, ErrorKind, Failure, Metadata, Never, Query, Rejection,
    Request, RequestKind, Res, Result, Serve, Serving, Visibility, Wire, Work,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};

use crate::bus::make::BOUND;
use crate::bus::probe::Connection;

/// What may be added at once.
pub(crate) const MOST: i64 = 100;

/// Makes a type a request over the wire.
macro_rules! request {
    ($kind:ident $type:ty, $name:literal -> $output:ty, $error:ty $(, $item:item)*) => {
        impl Request for $type {
            const NAME: &'static str = $name;
            const KIND: RequestKind = RequestKind::$kind;
            type Output = $output;
            type Error = $error;
            fn wire() -> Option<Wire<Self>> {
                Some(Wire::json())
            }
            fn again(&self) -> Option<Self> {
                Some(self.clone())
            }
            $($item)*
        }
        impl $kind for $type {}
    };
}

/// Adds to a sum, and answers what it is then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Add {
    pub(crate) sum: String,
    pub(crate) amount: i64,
}

request!(Command Add, "sums.add" -> Sum, TooMuch,
    fn validate(&self) -> Result<()> {
        match self.sum.as_str() {
            "" => Err(Error::invalid_field("sum", "the sum has no name")),
            _ => Ok(()),
        }
    }
);

/// How much it is, and who wants to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) sum: String,
}

request!(Query Read, "sums.read" -> Found, Never);

/// A sum, and who wanted to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) sum: i64,
    pub(crate) tenant: Option<String>,
    pub(crate) actor: Option<String>,
}

/// Panics.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Panic;

request!(Query Panic, "sums.panic" -> (), Never);

/// Waits until the case says that it may go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Wait {
    pub(crate) sum: String,
}

request!(Command Wait, "sums.wait" -> Sum, Never);

/// Not for others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hidden;

request!(Query Hidden, "sums.hidden" -> (), Never,
    const VISIBILITY: Visibility = Visibility::Internal;
);

/// Nobody handles it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Nobody;

request!(Query Nobody, "sums.nobody" -> (), Never);

/// A later version than the one that is served.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReadLater {
    pub(crate) sum: String,
}

request!(Query ReadLater, "sums.read" -> i64, Never,
    const VERSION: u16 = 2;
);

/// A sum as it is answered, and stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) id: String,
    pub(crate) sum: i64,
}

impl Entity for Sum {
    const COLLECTION: &'static str = "sums";
    fn id(&self) -> String {
        self.id.clone()
    }
}

/// More than a sum takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TooMuch {
    pub(crate) most: i64,
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} at once", self.most)
    }
}

impl std::error::Error for TooMuch {}

impl Rejection for TooMuch {
    fn code(&self) -> &'static str {
        "sums.too_much"
    }

    fn field(&self) -> Option<&str> {
        Some("amount")
    }
}

/// What the case has in its hand.
#[derive(Clone)]
pub(crate) struct Hand {
    /// Lets those go on who wait.
    pub(crate) gate: Arc<Semaphore>,
    begun: mpsc::UnboundedSender<()>,
    ended: mpsc::UnboundedSender<()>,
}

/// What the case is told.
pub(crate) struct Told {
    begun: mpsc::UnboundedReceiver<()>,
    ended: mpsc::UnboundedReceiver<()>,
}

impl Told {
    /// Somebody waits.
    pub(crate) async fn begun(&mut self) {
        match tokio::time::timeout(BOUND, self.begun.recv()).await {
            Ok(Some(())) => {}
            _ => panic!("nobody came to wait"),
        }
    }

    /// Somebody waits no more.
    pub(crate) async fn ended(&mut self) {
        match tokio::time::timeout(BOUND, self.ended.recv()).await {
            Ok(Some(())) => {}
            _ => panic!("whoever waited still does"),
        }
    }
}

impl Hand {
    pub(crate) fn new() -> (Self, Told) {
        let (begins, begun) = mpsc::unbounded_channel();
        let (ends, ended) = mpsc::unbounded_channel();
        let hand = Self { gate: Arc::new(Semaphore::new(0)), begun: begins, ended: ends };
        (hand, Told { begun, ended })
    }
}

async fn add(c: Add, work: Work) -> Result<Sum, Failure<TooMuch>> {
    if c.amount > MOST {
        return Err(Failure::Rejected(TooMuch { most: MOST }));
    }
    Ok(add_to(&work, c.sum, c.amount).await?)
}

/// Tells when whoever waited does so no more.
struct Waits(Hand);

impl Drop for Waits {
    fn drop(&mut self) {
        let _ = self.0.ended.send(());
    }
}

async fn wait(c: Wait, work: Work, Res(hand): Res<Hand>) -> Result<Sum, Failure<Never>> {
    let _waits = Waits(hand.clone());
    let _ = hand.begun.send(());
    let gate = hand.gate.acquire().await;
    gate.map_err(|closed| Error::new(ErrorKind::Internal, closed.to_string()))?.forget();
    Ok(add_to(&work, c.sum, 1).await?)
}

pub(crate) async fn add_to(work: &Work, id: String, amount: i64) -> Result<Sum> {
    match work.get::<Sum>(&id).await? {
        Some(mut found) => {
            found.sum += amount;
            work.save(&found)?;
            Ok(found.into_inner())
        }
        None => {
            let sum = Sum { id, sum: amount };
            work.insert(&sum)?;
            Ok(sum)
        }
    }
}

async fn read(q: Read, metadata: Metadata, sums: Documents<Sum>) -> Result<Found, Failure<Never>> {
    let sum = sums.get(&q.sum).await?.map_or(0, |found| found.sum);
    let [tenant, actor] = [metadata.tenant(), metadata.actor()].map(|text| text.map(str::to_owned));
    Ok(Found { sum, tenant, actor })
}

async fn panic(_: Panic) -> Result<(), Never> {
    // Nothing is printed: it is no failure of the case.
    resume_unwind(Box::new("as it was asked to"))
}

async fn hidden(_: Hidden) -> Result<(), Never> {
    Ok(())
}

/// The service, in this process: its instances have one store.
pub(crate) async fn service(store: &MemoryStore, hand: &Hand) -> App {
    let sums = Documents::<Sum>::new(Arc::new(store.clone()));
    if let Err(error) = sums.declare().await {
        panic!("the collection cannot be declared: {error:?}");
    }
    let app = App::builder().store(store.clone()).resource(hand.clone());
    let app = app.handler(add).handler(wait).handler(read).handler(panic).handler(hidden);
    app.build().unwrap_or_else(|error| panic!("{error:?}"))
}

/// Serves it over a bus.
pub(crate) async fn served(app: &App, bus: &Connection) -> Serving {
    serves(app.serve(bus.shared())).await
}

pub(crate) async fn serves(serve: Serve) -> Serving {
    serve.await.unwrap_or_else(|error| panic!("it must be served: {error:?}"))
}

/// Another service, which has it handled over a bus.
pub(crate) fn elsewhere(bus: &Connection) -> App {
    let app = App::builder().shared_bus(bus.shared());
    let app = app.remote::<Add>().remote::<Wait>().remote::<Read>().remote::<Panic>();
    app.build().unwrap_or_else(|error| panic!("{error:?}"))
}
