//! Aggregates that were stored as their events, and become documents.

use cqrs_core::{Aggregate, BoxError, Metadata, Repository, Work};

use crate::tutor::{
    No, Tutor, TutorEvent, assert_no, declared, moving, register, retire, send, types,
};
use crate::watched::Watched;

/// Of the same streams, without a document.
#[derive(Debug, Default)]
struct Earlier;

impl Aggregate for Earlier {
    const CATEGORY: &'static str = "tutor";
    type Id = String;
    type Event = TutorEvent;

    fn apply(&mut self, _: &TutorEvent) {}
}

async fn earlier(store: &Watched, id: &str, retired: bool) -> Result<(), BoxError> {
    let work = Work::new(store.shared(), Metadata::default());
    let mut tutor = work.load::<Earlier>(&id.to_owned()).await?;
    let (id, email) = (id.to_owned(), format!("{id}@example.org"));
    let moved = TutorEvent::Moved { city: "Paris".into() };
    let story = [TutorEvent::Registered { id, email }, moved, TutorEvent::Retired];
    work.record(&mut tutor, story.into_iter().take(if retired { 3 } else { 2 }))?;
    work.commit().await?;
    Ok(())
}

#[tokio::test]
async fn documents_of_before_are_made_of_the_events_once() -> Result<(), BoxError> {
    let (store, tutors, documents) = declared().await;
    earlier(&store, "1", false).await?;
    earlier(&store, "2", true).await?;
    let tutors = tutors.cached(10);
    assert_no(send(&tutors, moving("1", "London")).await, &No::Missing);
    for (id, made) in [("1", true), ("1", false), ("2", false), ("3", false)] {
        assert_eq!(tutors.rebuild(&id.to_owned()).await?, made, "{id}");
    }
    let tutor = documents.get("1").await?.unwrap();
    assert_eq!((tutor.city.as_str(), tutor.moves, tutor.version()), ("Paris", 1, 1));
    assert!(documents.get("2").await?.is_none());
    assert_eq!(types(&store).await.len(), 5, "no event more");
    assert_no(send(&tutors, register("1", "1@example.org")).await, &No::Exists);
    assert_eq!(send(&tutors, moving("1", "London")).await?, 2);
    send(&tutors, retire("1")).await?;
    assert!(!tutors.rebuild(&"1".to_owned()).await?, "its events delete it");
    Ok(())
}

#[tokio::test]
async fn of_what_is_stored_otherwise_nothing_is_rebuilt() -> Result<(), BoxError> {
    let (store, _, documents) = declared().await;
    earlier(&store, "1", false).await?;
    assert!(!Repository::<Earlier>::new(store.shared()).rebuild(&"1".to_owned()).await?);
    assert!(documents.get("1").await?.is_none());
    assert!(Repository::<Tutor>::new(store.shared()).rebuild(&"1".to_owned()).await?);
    Ok(())
}
