//! What is left out of a commit for which a store has no room.

use super::*;
use crate::message::fingerprint::Fingerprint;
use crate::message::payload::Json;

fn keep(stream: &str) -> SnapshotWrite {
    SnapshotWrite::Keep {
        stream: StreamId::new("account", stream),
        schema: Fingerprint::of(b"balance"),
        version: 1,
        body: Json::encode(&10).unwrap(),
    }
}

fn forget(stream: &str) -> SnapshotWrite {
    SnapshotWrite::Forget { stream: StreamId::new("account", stream) }
}

#[test]
fn what_is_to_be_forgotten_is_never_left_out() {
    let snapshots = vec![keep("1"), forget("2"), keep("3"), forget("4")];
    let left = |limits: Limits| {
        let mut commit = Commit { snapshots: snapshots.clone(), ..Commit::default() };
        commit.leave_out_snapshots(&limits);
        commit.snapshots
    };
    assert_eq!(left(Limits::default()), snapshots);
    let parts = |parts| left(Limits { parts, ..Limits::default() });
    assert_eq!(parts(3), [keep("1"), forget("2"), forget("4")]);
    for none in [parts(2), parts(0), left(Limits { payload: 1, ..Limits::default() })] {
        assert_eq!(none, [forget("2"), forget("4")]);
    }
}
