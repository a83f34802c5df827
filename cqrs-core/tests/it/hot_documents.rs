//! Hot aggregates that are stored as documents, which others write beside them.

use cqrs_core::{
    BoxError, Command, Decide, Documents, Failure, MessageId, Metadata, Repository, Work,
};
use proptest::prelude::*;

use crate::tutor::{No, Tutor, assert_no, declared, moving, register, retire, send};
use crate::watched::Watched;

/// Applied once: a decision without events leaves a mark, and nothing else.
fn marked() -> Metadata {
    Metadata::of(MessageId::fresh()).with_inbox("http")
}

/// Writes the document, without an event.
async fn save(store: &Watched, moves: u32) {
    let work = Work::new(store.shared(), Metadata::default());
    if let Some(mut tutor) = work.get::<Tutor>("1").await.unwrap() {
        tutor.moves = moves;
        work.save(&tutor).unwrap();
        work.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_mark_is_no_version_of_the_document() -> Result<(), BoxError> {
    let (store, tutors, documents) = declared().await;
    let tutors = tutors.cached(10);
    send(&tutors, register("1", "ada@example.org")).await?;
    send(&tutors, moving("1", "Paris")).await?;
    tutors.execute(&moving("1", "Paris"), &marked()).await?;
    save(&store, 100).await;
    assert_no(send(&tutors, moving("1", "London")).await, &No::Restless(100));
    assert_eq!(documents.get("1").await?.unwrap().moves, 100, "what was saved is not lost");
    Ok(())
}

#[tokio::test]
async fn a_rejection_after_a_mark_is_not_that_of_an_old_document() -> Result<(), BoxError> {
    let (store, tutors, _) = declared().await;
    let hot = tutors.clone().cached(10);
    send(&tutors, register("1", "ada@example.org")).await?;
    send(&tutors, moving("1", "Paris")).await?;
    save(&store, 100).await;
    hot.execute(&moving("1", "Paris"), &marked()).await?;
    save(&store, 0).await;
    send(&hot, moving("1", "London")).await?;
    Ok(())
}

/// What somebody does to the tutor.
#[derive(Debug, Clone)]
enum Step {
    /// Who sends, whether it leaves a mark, and which command: a registration, moves, a retirement.
    Send(usize, bool, u8),
    Save(u32),
    Delete,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..3usize, any::<bool>(), 0..6u8).prop_map(|(who, mark, c)| Step::Send(who, mark, c)),
        2 => prop_oneof![Just(100), 0..3u32].prop_map(Step::Save),
        1 => Just(Step::Delete),
    ];
    prop::collection::vec(step, 1..40)
}

async fn answer<C: Command<Output = u64, Error = No>>(
    tutors: &Repository<Tutor>,
    command: C,
    mark: bool,
) -> Result<u64, No>
where
    Tutor: Decide<C>,
{
    let metadata = if mark { marked() } else { Metadata::default() };
    match tutors.execute(&command, &metadata).await {
        Ok(reply) => Ok(reply.output),
        Err(Failure::Rejected(no)) => Err(no),
        Err(Failure::Failed(error)) => panic!("{error:?}"),
    }
}

async fn apply(
    step: &Step,
    store: &Watched,
    senders: &[Repository<Tutor>],
) -> Option<Result<u64, No>> {
    match *step {
        Step::Send(who, mark, command) => {
            let tutors = &senders[who % senders.len()];
            return Some(match command {
                0 => answer(tutors, register("1", "ada@example.org"), mark).await,
                1 => answer(tutors, retire("1"), mark).await,
                n if n % 2 == 0 => answer(tutors, moving("1", "Paris"), mark).await,
                _ => answer(tutors, moving("1", "London"), mark).await,
            });
        }
        Step::Save(moves) => save(store, moves).await,
        Step::Delete => {
            let work = Work::new(store.shared(), Metadata::default());
            if let Some(tutor) = work.get::<Tutor>("1").await.unwrap() {
                work.delete(&tutor).unwrap();
                work.commit().await.unwrap();
            }
        }
    }
    None
}

/// Two caches and none, against none at all.
async fn law(steps: &[Step]) {
    let (store, plain, documents) = declared().await;
    let senders = [plain.clone().cached(10), plain.clone().cached(10), plain];
    let (model, alone, expected): (_, _, Documents<Tutor>) = declared().await;
    let alone = [alone];
    for step in steps {
        let answer = apply(step, &store, &senders).await;
        assert_eq!(answer, apply(step, &model, &alone).await, "{step:?}");
        assert_eq!(documents.get("1").await.unwrap(), expected.get("1").await.unwrap(), "{step:?}");
    }
}

proptest! {
    #[test]
    fn a_cache_changes_no_answer_and_no_document(steps in steps()) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap().block_on(law(&steps));
    }
}
