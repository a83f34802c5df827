//! Snapshots of other code: not read, whatever part of it is another.

use std::sync::Arc;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{Aggregate, BoxError, Metadata, Repository, Storage, Store, Work};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::tally::Step;

/// Aggregates of one name in two modules.
macro_rules! shop {
    ($module:ident { $($field:ident: $type:ty = $value:expr),* }) => {
        mod $module {
            use super::*;

            #[derive(Debug, Default, Serialize, Deserialize)]
            pub(super) struct Line {
                $(pub(super) $field: $type),*
            }

            #[derive(Debug, Default, Serialize, Deserialize)]
            pub(super) struct Shop {
                pub(super) lines: Vec<(Uuid, Line)>,
            }

            impl Aggregate for Shop {
                const CATEGORY: &'static str = "shop";
                type Id = u32;
                type Event = Step;

                fn apply(&mut self, _: &Step) {
                    self.lines.push((Uuid::nil(), Line { $($field: $value),* }));
                }

                fn storage() -> Storage<Self> {
                    Storage::snapshots(2)
                }
            }
        }
    };
}
shop!(before { sum: i64 = 1 });
shop!(after { sum: i64 = 1, doubled: Option<bool> = Some(true) });
shop!(beside { sum: i64 = 100 });

async fn recorded() -> Result<Arc<dyn Store>, BoxError> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let work = Work::new(store.clone(), Metadata::default());
    let mut shop = work.load::<before::Shop>(&1).await?;
    work.record(&mut shop, [Step::Doubled, Step::Doubled])?;
    work.commit().await?;
    Ok(store)
}

#[tokio::test]
async fn a_new_field_behind_an_id_is_as_the_events_say() -> Result<(), BoxError> {
    let shop = Repository::<after::Shop>::new(recorded().await?).load(&1).await?;
    assert_eq!(shop.lines[0].1.doubled, Some(true));
    Ok(())
}

#[tokio::test]
async fn two_kinds_that_look_alike_have_snapshots_of_their_own() -> Result<(), BoxError> {
    let shop = Repository::<beside::Shop>::new(recorded().await?).load(&1).await?;
    assert_eq!(shop.lines[0].1.sum, 100);
    Ok(())
}

/// Takes one text only.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Sesame;

impl TryFrom<String> for Sesame {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "sesame" { Ok(Self) } else { Err("shut") }
    }
}

impl From<Sesame> for String {
    fn from(_: Sesame) -> Self {
        "sesame".into()
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Cave<const VERSION: u32> {
    treasures: Vec<(Sesame, u64)>,
}

impl<const VERSION: u32> Aggregate for Cave<VERSION> {
    const CATEGORY: &'static str = "cave";
    type Id = u32;
    type Event = Step;

    fn apply(&mut self, _: &Step) {
        self.treasures.push((Sesame, 1));
    }

    fn storage() -> Storage<Self> {
        match VERSION {
            0 => Storage::snapshots(1),
            version => Storage::snapshots(1).version(version),
        }
    }
}

#[test]
fn what_the_schema_does_not_see_is_told() {
    assert_eq!(Cave::<0>::storage().unseen(), ["treasures[].1"]);
    assert!(after::Shop::storage().unseen().is_empty());
}

/// What was warned of while two of a kind were loaded.
async fn warned<A: Aggregate<Id = u32>>() -> String {
    let log = crate::logged::Log::default();
    let _guard = log.listen();
    for _ in 0..2 {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        Repository::<A>::new(store).load(&1).await.unwrap();
    }
    log.text()
}

#[tokio::test]
async fn it_is_warned_of_once_unless_a_version_is_given() {
    let log = warned::<Cave<0>>().await;
    assert_eq!(log.matches("treasures[].1").count(), 1, "{log}");
    assert_eq!(warned::<Cave<1>>().await, "");
    assert_eq!(warned::<after::Shop>().await, "");
}
