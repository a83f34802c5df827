//! States that cannot be stored as documents: refused, with nothing of them left behind.

use cqrs_core::{
    Aggregate, BoxError, Decide, Decision, Documents, Entity, Failure, Metadata, Repository,
    Storage, Work,
};
use serde::{Deserialize, Serialize};

use crate::tally::{Full, Push, Step, push};
use crate::tutor::{Mislabel, Tutor, declared, moving, register, retire, types};
use crate::watched::Watched;

#[tokio::test]
async fn a_record_that_is_refused_leaves_those_before_it() -> Result<(), BoxError> {
    let (store, _, documents) = declared().await;
    let work = Work::new(store.shared(), Metadata::default());
    let mut tutor = work.load::<Tutor>(&"1".to_owned()).await?;
    work.decide(&mut tutor, &register("1", "ada@example.org"))?;
    let before = tutor.state().clone();
    assert!(work.decide(&mut tutor, &Mislabel { id: "1".into() }).is_err());
    assert_eq!((tutor.state(), tutor.version(), tutor.exists()), (&before, 1, true));
    work.decide(&mut tutor, &moving("1", "Paris"))?;
    work.commit().await?;
    assert_eq!(types(&store).await, ["tutor.registered", "tutor.moved"]);
    assert_eq!(documents.get("1").await?.unwrap().city, "Paris");
    Ok(())
}

#[tokio::test]
async fn a_first_record_that_is_refused_leaves_nothing() -> Result<(), BoxError> {
    let (store, _, documents) = declared().await;
    let work = Work::new(store.shared(), Metadata::default());
    let mut tutor = work.load::<Tutor>(&"1".to_owned()).await?;
    assert!(work.decide(&mut tutor, &Mislabel { id: "1".into() }).is_err());
    assert_eq!((tutor.state(), tutor.version(), tutor.exists()), (&Tutor::default(), 0, false));
    assert_eq!(work.commit().await?, None);
    assert!(types(&store).await.is_empty());
    assert!(documents.get("1").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn one_that_comes_and_goes_in_one_commit_must_not_be_there() -> Result<(), BoxError> {
    let (store, _, documents) = declared().await;
    let work = Work::new(store.shared(), Metadata::default());
    let mut tutor = work.load::<Tutor>(&"3".to_owned()).await?;
    work.decide(&mut tutor, &register("3", "eve@example.org"))?;
    work.decide(&mut tutor, &retire("3"))?;
    let other = Work::new(store.shared(), Metadata::default());
    other.insert(&Tutor { id: "3".into(), email: "bob@example.org".into(), ..Tutor::default() })?;
    other.commit().await?;
    assert!(work.commit().await.unwrap_err().is_conflict());
    assert!(types(&store).await.is_empty());
    assert_eq!(documents.get("3").await?.unwrap().email, "bob@example.org");
    Ok(())
}

/// An average of nothing is no number, and JSON has no word for that.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Rated {
    id: String,
    sum: f64,
    ratings: f64,
    average: f64,
}

impl Entity for Rated {
    const COLLECTION: &'static str = "rated";

    fn id(&self) -> String {
        self.id.clone()
    }
}

impl Aggregate for Rated {
    const CATEGORY: &'static str = "rated";
    type Id = u32;
    type Event = Step;

    fn apply(&mut self, step: &Step) {
        "1".clone_into(&mut self.id);
        match step {
            Step::Pushed { value } => (self.sum, self.ratings) = (*value as f64, 1.0),
            Step::Doubled => (self.sum, self.ratings) = (0.0, 0.0),
        }
        self.average = self.sum / self.ratings;
    }

    fn storage() -> Storage<Self> {
        Storage::document()
    }
}

impl Decide<Push> for Rated {
    fn target(command: &Push) -> u32 {
        command.id
    }

    fn decide(&self, c: &Push, _: &cqrs_core::Context<'_>) -> Result<Decision<Step, i64>, Full> {
        let step = if c.value == 0 { Step::Doubled } else { Step::Pushed { value: c.value } };
        Ok(Decision::event(step).returning(0))
    }
}

#[tokio::test]
async fn a_document_that_could_not_be_read_again_is_not_written() -> Result<(), BoxError> {
    let store = Watched::default();
    let documents = Documents::<Rated>::new(store.shared());
    documents.declare().await?;
    let plain = Repository::<Rated>::new(store.shared());
    for rated in [plain.clone(), plain.clone().cached(10)] {
        for value in [5, 7] {
            match rated.execute(&push(0), &Metadata::default()).await {
                Err(Failure::Failed(error)) => assert!(error.to_string().contains("again")),
                other => panic!("{other:?}"),
            }
            rated.execute(&push(value), &Metadata::default()).await?;
            assert_eq!(rated.load(&1).await?.average, value as f64);
        }
    }

    let work = Work::new(store.shared(), Metadata::default());
    let mut one = work.load::<Rated>(&1).await?;
    work.record(&mut one, [Step::Pushed { value: 9 }])?;
    assert!(work.record(&mut one, [Step::Doubled]).is_err());
    assert_eq!(one.average, 9.0, "as it was");
    let nothing = Rated { id: "2".into(), average: f64::NAN, ..Rated::default() };
    assert!(work.insert(&nothing).is_err());
    let mut other = documents.get("1").await?.unwrap();
    other.average = f64::INFINITY;
    assert!(Work::new(store.shared(), Metadata::default()).save(&other).is_err());
    work.commit().await?;
    assert_eq!(documents.get("1").await?.unwrap().average, 9.0);
    Ok(())
}
