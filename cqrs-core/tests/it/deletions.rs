//! Aggregates that are deleted and come again: the same in one commit, in several, and in the past.

use cqrs_core::{
    Aggregate, At, BoxError, Command, Context, Decide, Decision, Documents, Entity, Metadata,
    Never, Repository, Request, RequestKind, Storage, Work,
};
use cqrs_testing::scenario::Scenario;
use serde::{Deserialize, Serialize};

use crate::tutor::{Tutor, TutorEvent, declared, register, retire, send};
use crate::watched::Watched;

/// Its first event does not set everything: what was before would shine through.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Guest {
    id: String,
    moves: u32,
    gone: bool,
}

impl Entity for Guest {
    const COLLECTION: &'static str = "guest";

    fn id(&self) -> String {
        self.id.clone()
    }
}

impl Aggregate for Guest {
    const CATEGORY: &'static str = "guest";
    type Id = String;
    type Event = TutorEvent;

    fn apply(&mut self, event: &TutorEvent) {
        match event {
            TutorEvent::Registered { id, .. } => self.id.clone_from(id),
            TutorEvent::Moved { .. } => self.moves += 1,
            TutorEvent::Retired => self.gone = true,
        }
    }

    fn storage() -> Storage<Self> {
        Storage::document().deleted_if(|guest: &Self| guest.gone)
    }
}

/// Answers whether there is a guest, and how often that one moved.
struct Look;

impl Command for Look {}

impl Request for Look {
    const NAME: &'static str = "guest.look";
    const KIND: RequestKind = RequestKind::Command;
    type Output = (bool, u32);
    type Error = Never;
}

impl Decide<Look> for Guest {
    fn target(_: &Look) -> String {
        "1".into()
    }

    fn decide(
        &self,
        _: &Look,
        context: &Context<'_>,
    ) -> Result<Decision<TutorEvent, (bool, u32)>, Never> {
        Ok(Decision::nothing().returning((context.exists(), self.moves)))
    }
}

fn registered() -> TutorEvent {
    TutorEvent::Registered { id: "1".into(), email: "ada@example.org".into() }
}

fn moved() -> TutorEvent {
    TutorEvent::Moved { city: "Paris".into() }
}

fn story() -> [TutorEvent; 6] {
    [registered(), moved(), moved(), TutorEvent::Retired, registered(), moved()]
}

#[tokio::test]
async fn whoever_comes_again_begins_anew_however_the_events_are_committed() -> Result<(), BoxError>
{
    // So many events a record, and so many records a commit.
    for (events, records) in [(1, 1), (6, 1), (1, 6), (2, 1), (3, 2), (2, 3), (4, 2), (5, 1)] {
        let store = Watched::default();
        let documents = Documents::<Guest>::new(store.shared());
        documents.declare().await?;
        let story = story();
        let batches: Vec<_> = story.chunks(events).collect();
        for commit in batches.chunks(records) {
            let work = Work::new(store.shared(), Metadata::default());
            let mut guest = work.load::<Guest>(&"1".to_owned()).await?;
            for batch in commit {
                work.record(&mut guest, batch.iter().cloned())?;
            }
            work.commit().await?;
        }
        let guest = documents.get("1").await?.unwrap();
        assert_eq!(guest.moves, 1, "{events} events, {records} records");
        let guests = Repository::<Guest>::new(store.shared());
        for (version, exists) in [true, true, true, false, true, true].into_iter().enumerate() {
            let version = version as u64 + 1;
            let then = guests.load_at(&"1".to_owned(), At::Version(version)).await?;
            let scenario = Scenario::<Guest>::given(story.iter().take(version as usize).cloned());
            assert_eq!((then.state(), then.exists()), (scenario.state(), exists), "{version}");
        }
    }
    Ok(())
}

#[test]
fn a_scenario_knows_that_a_deleted_one_does_not_exist() {
    let looked = |events: usize, seen| {
        let events = story().into_iter().take(events);
        Scenario::<Guest>::given(events).when(&Look).then_output(&seen).then_nothing();
    };
    looked(0, (false, 0));
    looked(3, (true, 2));
    looked(4, (false, 0));
    looked(6, (true, 1));
}

#[tokio::test]
async fn the_past_of_a_deleted_one_is_that_it_does_not_exist() -> Result<(), BoxError> {
    let (_, tutors, _) = declared().await;
    send(&tutors, register("1", "ada@example.org")).await?;
    send(&tutors, retire("1")).await?;
    let (now, id) = (tutors.load(&"1".to_owned()).await?, "1".to_owned());
    let then = tutors.load_at(&id, At::Version(2)).await?;
    assert_eq!((now.exists(), now.state()), (false, &Tutor::default()));
    assert_eq!((then.exists(), then.state()), (false, &Tutor::default()));
    assert!(tutors.load_at(&id, At::Version(1)).await?.exists());
    Ok(())
}
