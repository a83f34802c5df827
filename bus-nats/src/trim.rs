//! Trimming the stream of messages: what is old and what no group wants any more is removed.

use std::sync::Weak;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use cqrs_core::{OutboundKind, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;

use crate::cursor::Record;
use crate::error::{Answered, refused, unavailable};
use crate::kept::{self, Kept};
use crate::link::Link;
use crate::routes;
use crate::subjects::Part;

/// How often a connection trims. Several may at once: it comes to the same.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// Trims now and then, for as long as the connection is open.
pub(crate) async fn run(link: Weak<Link>, mut closed: watch::Receiver<bool>) {
    loop {
        // Connections that are made together do not trim together.
        let pause = EVERY.mul_f64(0.5 + fastrand::f64());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = closed.wait_for(|closed| *closed) => return,
        }
        let Some(link) = link.upgrade() else { return };
        if let Err(error) = trim(&link).await {
            tracing::debug!(%error, "not trimmed; later");
        }
    }
}

/// Removes the messages that are older than they are kept and that no group wants. How many they were.
pub(crate) async fn trim(link: &Link) -> Result<u64> {
    link.ready(link.deadline()).await?;
    let young = first_young(link).await?;
    let groups = routes::all(link).await?;
    let mut removed = 0;
    for kind in [OutboundKind::Command, OutboundKind::Message] {
        let of_kind = groups.iter().filter(|(_, kept)| kept.record.kind == kind.name());
        let of_kind: Vec<_> = of_kind.map(|(name, kept)| (name, kept.record.begins)).collect();
        let of_kind = &of_kind;
        let wanted = Part::all().map(|part| async move {
            let mut wanted = young;
            for (name, begins) in of_kind {
                let subject = link.subjects.cursor(part, name);
                let kept: Option<Kept<Record>> = kept::get(link, &subject).await?;
                let first = kept.map_or(begins + 1, |kept| kept.record.first_wanted());
                wanted = wanted.min(first);
            }
            purge(link, kind, part, wanted).await
        });
        let purged = stream::iter(wanted).buffer_unordered(4).try_collect::<Vec<u64>>();
        removed += purged.await?.iter().sum::<u64>();
    }
    tracing::debug!(removed, "trimmed");
    Ok(removed)
}

/// The sequence of the first message that is to be kept for its age.
async fn first_young(link: &Link) -> Result<u64> {
    let doing = "looking for old messages";
    let name = link.subjects.messages();
    let messages = link.jetstream.get_stream(&name).await;
    let messages = messages.map_err(|error| match error.answer() {
        Some(answer) => refused(doing, &answer),
        None => unavailable(doing, error),
    })?;
    let end = messages.cached_info().state.last_sequence + 1;
    let now = SystemTime::now();
    let since = now.checked_sub(link.settings.keep_published).unwrap_or(SystemTime::UNIX_EPOCH);
    let config = Config {
        deliver_policy: DeliverPolicy::ByStartTime { start_time: since.into() },
        ack_policy: AckPolicy::None,
        headers_only: true,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: Duration::from_secs(5),
        ..Config::default()
    };
    let consumer = messages.create_consumer(config).await;
    let consumer = consumer.map_err(|error| unavailable(doing, error))?;
    let first = consumer.fetch().max_messages(1).expires(Duration::from_secs(1)).messages().await;
    let mut first = first.map_err(|error| unavailable(doing, error))?;
    match first.next().await {
        None => Ok(end),
        Some(Ok(message)) => {
            let info = message.info().map_err(|error| unavailable(doing, error))?;
            Ok(info.stream_sequence)
        }
        Some(Err(error)) => Err(unavailable(doing, error)),
    }
}

/// Removes the messages of a part before that sequence.
async fn purge(link: &Link, kind: OutboundKind, part: Part, before: u64) -> Result<u64> {
    // The server takes 0 and 1 for no bound at all.
    if before <= 1 {
        return Ok(0);
    }
    let doing = "removing old messages";
    let messages = link.jetstream.get_stream_no_info(link.subjects.messages()).await;
    let messages = messages.map_err(|error| unavailable(doing, error))?;
    let purged = messages.purge().filter(link.subjects.part(kind, part)).sequence(before).await;
    Ok(purged.map_err(|error| unavailable(doing, error))?.purged)
}
