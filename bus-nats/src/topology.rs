//! The streams of a prefix: what they should be, making them, and telling where they are otherwise.

use std::fmt;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use cqrs_core::{OutboundKind, Result};

use crate::error::{Answered, refused, unavailable};
use crate::link::Link;

/// The streams that a bus uses, and where those of the server are otherwise. See
/// [`NatsBus::plan`](crate::NatsBus::plan).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Each stream.
    pub streams: Vec<PlannedStream>,
}

/// A stream of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStream {
    /// Its name.
    pub name: String,
    /// The subjects that it takes.
    pub subjects: Vec<String>,
    /// Whether it is there.
    pub exists: bool,
    /// Where the one that is there is not as it should be: each setting, with its value and the one that was
    /// planned. It is left as it is: an administrator may have had a reason.
    pub drift: Vec<String>,
}

impl fmt::Display for Plan {
    /// A line for each stream, and one for each drift.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PlannedStream { name, subjects, exists, drift } in &self.streams {
            let is = if *exists { "is there" } else { "to be made" };
            writeln!(f, "{name} ({}): {is}", subjects.join(", "))?;
            drift.iter().try_for_each(|drift| writeln!(f, "  {drift}"))?;
        }
        Ok(())
    }
}

/// The streams as they should be.
fn wanted(link: &Link) -> [Config; 3] {
    let (subjects, settings) = (&link.subjects, &link.settings);
    let stream = Config {
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: settings.replicas,
        duplicate_window: settings.deduplicate,
        ..Config::default()
    };
    let bytes = settings.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    [
        Config {
            name: subjects.messages(),
            subjects: [OutboundKind::Command, OutboundKind::Message]
                .map(|k| subjects.kind(k))
                .into(),
            max_bytes: bytes,
            ..stream.clone()
        },
        Config {
            name: subjects.groups(),
            subjects: subjects.of_groups().into(),
            max_messages_per_subject: 1,
            discard: DiscardPolicy::Old,
            ..stream.clone()
        },
        Config {
            name: subjects.dead(),
            subjects: vec![subjects.letters()],
            max_age: settings.keep_dead_letters,
            discard: DiscardPolicy::Old,
            ..stream
        },
    ]
}

/// Makes the streams that are not there.
pub(crate) async fn apply(link: &Link) -> Result<()> {
    for config in wanted(link) {
        let name = config.name.clone();
        let stream = link.jetstream.get_or_create_stream(config.clone()).await;
        let stream = stream.map_err(|error| match error.answer() {
            Some(answer) => refused(format_args!("making the stream `{name}`"), &answer),
            None => unavailable(format_args!("making the stream `{name}`"), error),
        })?;
        for drift in drift(&config, &stream.cached_info().config) {
            tracing::warn!(stream = name, drift, "a stream is not as it was planned, and stays so");
        }
    }
    Ok(())
}

/// What would be made, and what is otherwise.
pub(crate) async fn plan(link: &Link) -> Result<Plan> {
    let mut streams = Vec::new();
    for config in wanted(link) {
        let found = match link.jetstream.get_stream(&config.name).await {
            Ok(stream) => Some(stream.cached_info().config.clone()),
            Err(error) if error.answer().is_some() => None,
            Err(error) => {
                let doing = format!("looking for the stream `{}`", config.name);
                return Err(unavailable(doing, error));
            }
        };
        streams.push(PlannedStream {
            drift: found.as_ref().map(|found| drift(&config, found)).unwrap_or_default(),
            exists: found.is_some(),
            name: config.name,
            subjects: config.subjects,
        });
    }
    Ok(Plan { streams })
}

fn drift(wanted: &Config, found: &Config) -> Vec<String> {
    let sorted = |subjects: &[String]| {
        let mut subjects = subjects.to_vec();
        subjects.sort();
        subjects.join(", ")
    };
    let settings = [
        ("subjects", sorted(&found.subjects), sorted(&wanted.subjects)),
        ("retention", format!("{:?}", found.retention), format!("{:?}", wanted.retention)),
        ("storage", format!("{:?}", found.storage), format!("{:?}", wanted.storage)),
        ("discard", format!("{:?}", found.discard), format!("{:?}", wanted.discard)),
        ("replicas", found.num_replicas.to_string(), wanted.num_replicas.to_string()),
        ("max_age", format!("{:?}", found.max_age), format!("{:?}", wanted.max_age)),
        ("max_bytes", found.max_bytes.to_string(), wanted.max_bytes.to_string()),
        (
            "max_messages_per_subject",
            found.max_messages_per_subject.max(0).to_string(),
            wanted.max_messages_per_subject.to_string(),
        ),
        (
            "duplicate_window",
            format!("{:?}", found.duplicate_window),
            format!("{:?}", wanted.duplicate_window),
        ),
    ];
    let others = settings.into_iter().filter(|(_, found, wanted)| found != wanted);
    others.map(|(name, found, wanted)| format!("{name}: {found}, planned {wanted}")).collect()
}
