//! The snapshots of the memory store: of each stream under two schemas.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use crate::message::fingerprint::Fingerprint;
use crate::message::payload::Json;
use crate::port::Version;
use crate::port::snapshot::SnapshotWrite;
use crate::port::stream_id::StreamId;

/// How many schemas of a stream are kept: two versions of a program may run side by side.
const SCHEMAS: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Snapshots(HashMap<StreamId, Vec<Kept>>);

#[derive(Debug)]
struct Kept {
    schema: Fingerprint,
    version: Version,
    body: Json,
}

impl Snapshots {
    pub(super) fn get(
        &self,
        stream: &StreamId,
        schema: Fingerprint,
        versions: RangeInclusive<Version>,
    ) -> Option<(Version, &Json)> {
        let kept = self.0.get(stream)?.iter().find(|kept| kept.schema == schema)?;
        versions.contains(&kept.version).then_some((kept.version, &kept.body))
    }

    pub(super) fn apply(&mut self, writes: Vec<SnapshotWrite>) {
        for write in writes {
            match write {
                SnapshotWrite::Keep { stream, schema, version, body } => {
                    let kept = self.0.entry(stream).or_default();
                    kept.retain(|other| other.schema != schema);
                    kept.push(Kept { schema, version, body });
                    // The one that was just written is the newest of all.
                    kept.sort_by_key(|kept| std::cmp::Reverse(kept.version));
                    kept.truncate(SCHEMAS);
                }
                SnapshotWrite::Forget { stream } => {
                    self.0.remove(&stream);
                }
            }
        }
    }
}
