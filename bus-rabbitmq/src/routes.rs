//! What groups take: written by their members, and bound so that the broker gives it to them.

use cqrs_core::{BusSubscription, Error, ErrorKind, OutboundKind, Result};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use crate::error::unavailable;
use crate::link::Link;
use crate::publisher::probe;
use crate::record::{self, Lock};
use crate::session::Session;
use crate::topology;

/// What a group takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Names {
    /// All names that are bound, or are about to be.
    bound: Vec<String>,
}

/// How far it has come with a group.
enum Registered {
    /// Its queues were just made, by whomever: the server may not have written down that it has them.
    Fresh,
    Done,
}

/// Sees to it that a group gets from now on what it subscribes to, and nothing else. Fresh queues get nothing before
/// the server has written down that it has them.
pub(crate) async fn register(link: &Link, subscription: &BusSubscription) -> Result<()> {
    let (mut deadline, mut has_settled) = (link.deadline(), link.settings.settling.is_zero());
    loop {
        match register_once(link, subscription, deadline, has_settled).await {
            Ok(Registered::Done) => return Ok(()),
            Ok(Registered::Fresh) => {
                tokio::time::sleep(link.settings.settling).await;
                (deadline, has_settled) = (link.deadline(), true);
            }
            Err(error) if may_pass(link, &error, deadline) => {
                tracing::debug!(group = subscription.group, %error, "subscribed again");
                link.pause().await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether it is worth while to try again.
fn may_pass(link: &Link, error: &Error, deadline: Instant) -> bool {
    *error.kind() == ErrorKind::Unavailable && !link.is_closed() && Instant::now() < deadline
}

async fn register_once(
    link: &Link,
    subscription: &BusSubscription,
    deadline: Instant,
    has_settled: bool,
) -> Result<Registered> {
    let doing = format!("subscribing the group `{}`", subscription.group);
    let lock = Lock::take(link, "groups", &doing, deadline).await?;
    let done = register_with(link, &lock.session, subscription, &doing, has_settled);
    timeout_at(deadline, done).await.unwrap_or_else(|late| Err(unavailable(&doing, late)))
}

/// Does it, with the lock.
async fn register_with(
    link: &Link,
    session: &Session,
    subscription: &BusSubscription,
    doing: &str,
    has_settled: bool,
) -> Result<Registered> {
    let BusSubscription { group, kind, names, .. } = subscription;
    let connection = &session.connection;
    let other = match kind {
        OutboundKind::Command => OutboundKind::Message,
        OutboundKind::Message => OutboundKind::Command,
    };
    let of_the_other = topology::exists(connection, link.names.queue(other, group));
    if session.step(doing, of_the_other).await? {
        let context = format!("the group `{group}` does not take what is a {}", kind.name());
        return Err(Error::invalid_field("kind", context));
    }
    let queue = link.names.queue(*kind, group);
    let is_new = !session.step(doing, topology::exists(connection, queue)).await?;
    let parts = topology::of_group(&link.names, *kind, group, link.settings.max_length);
    if !is_new {
        make(session, doing, &parts[1..]).await?;
    }
    let record_queue = link.names.names_of(group);
    let found = match is_new {
        true => None,
        false => Some(record::read(session, &record_queue).await?),
    };
    let known = found.as_ref().and_then(|found| found.record.as_deref());
    let known: Names = known.and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default();
    if *kind == OutboundKind::Command {
        for name in names.iter().filter(|name| !known.bound.contains(name)) {
            // A pattern cannot be asked for.
            let is_name = !name.split('.').any(|part| part == "*");
            if is_name && probe(link, session, *kind, name).await.unwrap_or(false) {
                let context = format!(
                    "another group than `{group}` takes the command `{name}` already: a command \
                     is for one of them"
                );
                if let Some(found) = found {
                    found.leave().await;
                }
                return Err(Error::invalid_field("names", context));
            }
        }
    }
    if is_new {
        make(session, doing, &parts).await?;
    }
    // There is a record as soon as something is bound.
    if known.bound.is_empty() && !has_settled {
        if let Some(found) = found {
            found.leave().await;
        }
        return Ok(Registered::Fresh);
    }
    let wanted = Names { bound: names.clone() };
    let dropped: Vec<&String> = known.bound.iter().filter(|name| !names.contains(name)).collect();
    let write = |names: &Names| serde_json::to_vec(names).unwrap_or_default();
    // Whoever dies in between leaves a record of all that may be bound.
    let is_same = known == wanted;
    if !is_same {
        let all = known.bound.iter().chain(names.iter().filter(|name| !known.bound.contains(name)));
        let all = Names { bound: all.cloned().collect() };
        match found {
            Some(found) => found.replace(session, &record_queue, write(&all)).await?,
            None => record::write(session, &record_queue, write(&all)).await?,
        }
    } else if let Some(found) = found {
        found.leave().await;
    }
    let channel = session.step(doing, session.channel()).await?;
    for name in names {
        let bind = topology::bind(&channel, &link.names, *kind, group, name, true);
        session.step(doing, bind).await?;
    }
    for name in &dropped {
        let unbind = topology::bind(&channel, &link.names, *kind, group, name, false);
        session.step(doing, unbind).await?;
    }
    let _ = session.answer(channel.close(200, "done".into())).await;
    if !dropped.is_empty() {
        record::write(session, &record_queue, write(&wanted)).await?;
    }
    link.heard.forget();
    Ok(Registered::Done)
}

/// Makes what is not there, one after the other: a queue may take its time.
async fn make(session: &Session, doing: &str, parts: &[topology::Part]) -> Result<()> {
    for part in parts {
        let made = topology::make(&session.connection, std::slice::from_ref(part));
        session.step(doing, made).await?;
    }
    Ok(())
}

/// Removes all that is known of a group.
pub(crate) async fn forget(link: &Link, group: &str) -> Result<()> {
    let (deadline, mut was_there) = (link.deadline(), false);
    while let Err(error) = forget_once(link, group, deadline, &mut was_there).await {
        if !may_pass(link, &error, deadline) {
            return Err(error);
        }
        tracing::debug!(group, %error, "forgotten again");
        link.pause().await;
    }
    link.heard.forget();
    if was_there {
        return Ok(());
    }
    Err(Error::invalid_field("group", format!("there is no group `{group}`")))
}

async fn forget_once(
    link: &Link,
    group: &str,
    deadline: Instant,
    was_there: &mut bool,
) -> Result<()> {
    let doing = format!("forgetting the group `{group}`");
    let lock = Lock::take(link, "groups", &doing, deadline).await?;
    let done = forget_with(link, &lock.session, group, &doing, was_there);
    timeout_at(deadline, done).await.unwrap_or_else(|late| Err(unavailable(&doing, late)))
}

/// Does it, with the lock.
async fn forget_with(
    link: &Link,
    session: &Session,
    group: &str,
    doing: &str,
    was_there: &mut bool,
) -> Result<()> {
    for kind in [OutboundKind::Command, OutboundKind::Message] {
        let queue = link.names.queue(kind, group);
        let is_there = topology::exists(&session.connection, queue.clone());
        if session.step(doing, is_there).await? {
            *was_there = true;
            // The one by which it is known goes last.
            let queues = [link.names.names_of(group), link.names.claims_of(group), queue];
            let channel = session.step(doing, session.channel()).await?;
            for queue in queues {
                let options = lapin::options::QueueDeleteOptions::default();
                session.step(doing, channel.queue_delete(queue, options)).await?;
            }
        }
    }
    Ok(())
}
