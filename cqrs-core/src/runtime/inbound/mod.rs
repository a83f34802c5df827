//! Messages from other services: taken from the bus, each handled once.

mod receive;
pub(crate) mod settings;

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::error::{Error, ErrorKind, Result};
use crate::handler::ErasedEventHandler;
use crate::port::bus::{Bus, BusState};
use crate::port::store::Store;
use crate::port::subscriber::Deliveries;
use crate::runtime::backoff;
use crate::runtime::node::{Node, Quit};
use receive::receive;
use settings::Listener;

/// A handler of messages, and the group under which it gets them.
pub(crate) struct Listening {
    pub(crate) name: &'static str,
    pub(crate) settings: Listener,
    pub(crate) handler: Arc<dyn ErasedEventHandler>,
}

/// All listeners of an app, ready to run.
pub(crate) struct Inbound {
    node: Arc<Node>,
    bus: Arc<dyn Bus>,
    /// Those that could join their group have their deliveries.
    listeners: Vec<(Arc<Listening>, Option<Deliveries>)>,
}

impl Inbound {
    /// Joins the groups, so that from now on nothing is published without them. A bus that is out of
    /// reach is tried again when it runs.
    ///
    /// Errors: the store forgets messages earlier than the bus (P18); the bus refuses a group.
    pub(crate) async fn join(
        node: &Arc<Node>,
        bus: &Arc<dyn Bus>,
        listeners: &[Arc<Listening>],
    ) -> Result<Self> {
        if !listeners.is_empty() {
            check(&*node.store, &**bus)?;
        }
        let mut joined = Vec::with_capacity(listeners.len());
        for listening in listeners {
            let deliveries = match subscribe(bus, listening).await {
                Ok(deliveries) => Some(deliveries),
                Err(error) if error.is_retryable() => {
                    tracing::warn!(listener = listening.name, %error, "no bus yet; trying again");
                    None
                }
                Err(error) => return Err(error),
            };
            joined.push((listening.clone(), deliveries));
        }
        Ok(Self { node: node.clone(), bus: bus.clone(), listeners: joined })
    }

    /// Runs all of them until the process stops. What is in hand is finished then, or given up when
    /// the stop has come so far: the bus hands it over again.
    pub(crate) async fn run(self) {
        let Self { node, bus, listeners } = self;
        let (_never, cancelled) = watch::channel(false);
        let quit = Quit::new(node.clone(), cancelled);
        let all = listeners
            .into_iter()
            .map(|(listening, deliveries)| listen(&node, &bus, listening, deliveries, &quit));
        join_all(all).await;
    }
}

/// An inbox that forgets a message before the bus does would let it be applied twice (P18).
pub(crate) fn check(store: &dyn Store, bus: &dyn Bus) -> Result<()> {
    let keeps = store.capabilities().keeps_inbox;
    let redelivers = bus.capabilities().longest_redelivery;
    if redelivers.is_some_and(|longest| longest < keeps) {
        return Ok(());
    }
    let longest = redelivers.map_or("without a bound".to_owned(), |time| format!("for {time:?}"));
    let context = format!(
        "the bus may hand over a message again {longest}, and the store knows it for {keeps:?}: let \
         the store keep its inbox for longer, or the bus its dead letters for a shorter time"
    );
    Err(Error::new(ErrorKind::Invalid { field: Some("keeps_inbox".to_owned()) }, context))
}

async fn subscribe(bus: &Arc<dyn Bus>, listening: &Listening) -> Result<Deliveries> {
    let names = listening.handler.describe().events;
    bus.subscribe(listening.settings.subscription(listening.name, names)).await
}

/// Runs one of them.
async fn listen(
    node: &Arc<Node>,
    bus: &Arc<dyn Bus>,
    listening: Arc<Listening>,
    mut deliveries: Option<Deliveries>,
    quit: &Quit,
) {
    let name = listening.name;
    let mut handling = JoinSet::new();
    let mut failures = 0;
    while !quit.is_set() {
        let stream = match deliveries.take() {
            Some(stream) => Ok(stream),
            None => subscribe(bus, &listening).await,
        };
        match stream {
            Ok(mut stream) => {
                let any = take(node, &listening, &mut stream, &mut handling, quit).await;
                failures = if any { 0 } else { failures };
            }
            Err(error) => tracing::warn!(listener = name, %error, "the bus gives nothing"),
        }
        if quit.is_set() {
            break;
        }
        if bus.health().await.state == BusState::Closed {
            tracing::warn!(listener = name, "the bus was closed: nothing comes any more");
            break;
        }
        failures += 1;
        tokio::select! {
            () = tokio::time::sleep(backoff(failures)) => {}
            () = quit.set() => {}
        }
    }
    while let Some(ended) = handling.join_next().await {
        report(name, ended);
    }
}

/// Takes deliveries until they end, or until it is told to quit. Whether there were any.
async fn take(
    node: &Arc<Node>,
    listening: &Arc<Listening>,
    stream: &mut Deliveries,
    handling: &mut JoinSet<()>,
    quit: &Quit,
) -> bool {
    let mut any = false;
    let quitting = quit.set();
    tokio::pin!(quitting);
    loop {
        let has_room = handling.len() < listening.settings.at_once as usize;
        tokio::select! {
            // What is to end takes nothing more.
            biased;
            () = &mut quitting => return any,
            Some(ended) = handling.join_next(), if !handling.is_empty() => {
                report(listening.name, ended);
            }
            next = stream.next(), if has_room => match next {
                Some(Ok(delivery)) => {
                    any = true;
                    handling.spawn(receive(node.clone(), listening.clone(), delivery));
                }
                Some(Err(error)) => {
                    tracing::warn!(listener = listening.name, %error, "a delivery failed");
                }
                None => return any,
            },
        }
    }
}

/// Handlers are guarded each: what panics here is ours.
fn report(name: &str, ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(listener = name, %error, "the runtime panicked; the message comes again");
    }
}
