//! Which groups there are, and what they take: written by their members, read by who publishes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cqrs_core::{BusStart, BusSubscription, Error, OutboundKind, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cursor::Record;
use crate::error::{Answered, refused, unavailable};
use crate::kept::{self, Kept, Put};
use crate::link::Link;
use crate::subjects::Part;

/// For how long it is believed that nobody listens to a message.
const BELIEVED: Duration = Duration::from_millis(200);

/// What a group takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) kind: String,
    pub(crate) names: Vec<String>,
    /// The sequence after which it begins.
    pub(crate) begins: u64,
}

impl Group {
    fn subscription(&self, name: &str) -> BusSubscription {
        match OutboundKind::named(&self.kind) {
            Some(OutboundKind::Command) => BusSubscription::to_commands(name, self.names.clone()),
            _ => BusSubscription::to_messages(name, self.names.clone()),
        }
    }
}

/// What was read last of the groups.
#[derive(Debug, Default)]
pub(crate) struct Routes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    groups: Vec<BusSubscription>,
    read: Option<Instant>,
}

impl Routes {
    /// There is a new group.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read = None;
    }

    /// Whether a group takes this. That none does is asked of the broker, where it matters now.
    pub(crate) async fn takes(&self, link: &Link, kind: OutboundKind, name: &str) -> Result<bool> {
        {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if takes(&known.groups, kind, name) {
                return Ok(true);
            }
            let is_fresh = known.read.is_some_and(|read| read.elapsed() < BELIEVED);
            if kind == OutboundKind::Message && is_fresh {
                return Ok(false);
            }
        }
        let read = Instant::now();
        let groups = all(link).await?;
        let groups: Vec<_> =
            groups.iter().map(|(name, kept)| kept.record.subscription(name)).collect();
        let is_taken = takes(&groups, kind, name);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Known { groups, read: Some(read) };
        Ok(is_taken)
    }
}

fn takes(groups: &[BusSubscription], kind: OutboundKind, name: &str) -> bool {
    groups.iter().any(|group| group.kind == kind && group.matches(name))
}

/// All groups by their names.
pub(crate) async fn all(link: &Link) -> Result<BTreeMap<String, Kept<Group>>> {
    let doing = "reading which groups there are";
    let name = link.subjects.groups();
    let groups = link.jetstream.get_stream_no_info(&name).await;
    let groups = groups.map_err(|error| unavailable(doing, error))?;
    let subjects = groups.info_with_subjects(link.subjects.all_groups()).await;
    let subjects = subjects.map_err(|error| unavailable(doing, error))?;
    let subjects: Vec<String> = subjects
        .try_collect::<Vec<_>>()
        .await
        .map_err(|error| unavailable(doing, error))?
        .into_iter()
        .map(|(subject, _)| subject)
        .collect();
    let before = link.subjects.group("").len();
    let read = subjects.into_iter().map(|subject| async move {
        let kept = kept::get::<Group>(link, &subject).await?;
        Ok::<_, Error>(kept.map(|kept| (subject[before..].to_owned(), kept)))
    });
    let read: Vec<_> = stream::iter(read).buffer_unordered(16).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

/// What is known of a group.
pub(crate) async fn group(link: &Link, name: &str) -> Result<Option<Kept<Group>>> {
    kept::get(link, &link.subjects.group(name)).await
}

/// Notes what a group takes from now on.
pub(crate) async fn register(link: &Link, subscription: &BusSubscription) -> Result<()> {
    let BusSubscription { group: name, kind, names, start, .. } = subscription;
    loop {
        let found = group(link, name).await?;
        if let Some(Kept { record, .. }) = &found
            && record.kind != kind.name()
        {
            let context = format!("the group `{name}` does not take what is a {}", kind.name());
            return Err(Error::invalid_field("kind", context));
        }
        if *kind == OutboundKind::Command {
            refuse_overlaps(link, subscription).await?;
        }
        let begins = match (&found, start) {
            (Some(Kept { record, .. }), _) if record.names == *names => return Ok(()),
            (Some(Kept { record, .. }), _) => record.begins,
            (None, BusStart::Kept) => 0,
            (None, BusStart::Now) => last(link).await?,
        };
        let record = Group { kind: kind.name().to_owned(), names: names.clone(), begins };
        let replaces = found.as_ref().map_or(0, |kept| kept.sequence);
        let subject = link.subjects.group(name);
        let put = kept::put(link, &subject, &record, replaces, |other| *other == record).await?;
        if put == Put::Conflict {
            continue;
        }
        if found.is_some() {
            tell_owners(link, name).await?;
        }
        return Ok(());
    }
}

/// The sequence of the last message.
async fn last(link: &Link) -> Result<u64> {
    let name = link.subjects.messages();
    let stream = link.jetstream.get_stream(&name).await.map_err(|error| match error.answer() {
        Some(answer) => refused("reading where the messages end", &answer),
        None => unavailable("reading where the messages end", error),
    })?;
    Ok(stream.cached_info().state.last_sequence)
}

async fn refuse_overlaps(link: &Link, subscription: &BusSubscription) -> Result<()> {
    let name = &subscription.group;
    for (other, kept) in all(link).await? {
        if other != *name && kept.record.subscription(&other).overlaps(subscription) {
            let context = format!(
                "the groups `{name}` and `{other}` would take the same commands: a command is \
                 for one of them"
            );
            return Err(Error::invalid_field("names", context));
        }
    }
    Ok(())
}

/// Whoever owns a part has passed over messages that the group takes from now on: the record of the part
/// is written anew, so that he must read it, and what the group takes.
async fn tell_owners(link: &Link, group: &str) -> Result<()> {
    let told = Part::all().map(|part| async move {
        let subject = link.subjects.cursor(part, group);
        loop {
            let Some(kept) = kept::get::<Record>(link, &subject).await? else { return Ok(()) };
            let record = Record { write: kept.record.write + 1, ..kept.record };
            let is_same = |other: &Record| *other == record;
            if kept::put(link, &subject, &record, kept.sequence, is_same).await? != Put::Conflict {
                return Ok(());
            }
        }
    });
    stream::iter(told).buffer_unordered(Part::count()).try_collect().await
}

/// Removes all that is known of a group.
pub(crate) async fn forget(link: &Link, name: &str) -> Result<()> {
    let doing = || format!("forgetting the group `{name}`");
    let Some(_) = group(link, name).await? else {
        let context = format!("there is no group `{name}`");
        return Err(Error::invalid_field("group", context));
    };
    let groups = link.jetstream.get_stream_no_info(link.subjects.groups()).await;
    let groups = groups.map_err(|error| unavailable(doing(), error))?;
    // Its name is last: what is removed after it is found again by whoever makes it anew.
    let cursors = Part::all().map(|part| link.subjects.cursor(part, name));
    for subject in cursors.chain([link.subjects.group(name)]) {
        groups.purge().filter(subject).await.map_err(|error| unavailable(doing(), error))?;
    }
    Ok(())
}
