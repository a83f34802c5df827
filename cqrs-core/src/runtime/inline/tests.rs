//! Inline projections in apps over the memory store.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::domain::aggregate::Aggregate;
use crate::domain::context::Context;
use crate::domain::decide::{Decide, Decision};
use crate::domain::projection::Projection;
use crate::error::{Failure, Never};
use crate::memory::MemoryStore;
use crate::message::metadata::Metadata;
use crate::message::request::{Command, Request, RequestKind};
use crate::port::commit::{Append, Commit, CommitId, Committed, DocumentWrite, Expected};
use crate::port::document::DocumentKey;
use crate::port::read::ReadLog;
use crate::port::store::Store;
use crate::port::stream_id::StreamId;
use crate::runtime::projection::Life;
use crate::runtime::projection::tests::{Balance, Balances, Moved, new_event, record};
use crate::runtime::settings::RuntimeSettings;
use crate::runtime::view::View;
use crate::schema::entity::Entity;
use crate::work::Work;

#[derive(Debug, Default)]
struct Account {
    closed: bool,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = Moved;

    fn apply(&mut self, event: &Moved) {
        self.closed = matches!(event, Moved::Closed);
    }
}

#[derive(Clone)]
struct Move {
    account: String,
    events: Vec<Moved>,
}

impl Request for Move {
    const NAME: &'static str = "bank.move";
    const KIND: RequestKind = RequestKind::Command;
    type Output = ();
    type Error = Never;

    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Command for Move {}

impl Decide<Move> for Account {
    fn target(command: &Move) -> String {
        command.account.clone()
    }

    fn decide(&self, command: &Move, _: &Context<'_>) -> Result<Decision<Moved>, Never> {
        Ok(Decision::events(command.events.clone()))
    }
}

fn app(store: &MemoryStore) -> App {
    App::builder()
        .store(store.clone())
        .projection_as::<Balances>(Life::Inline)
        .decides::<Account, Move>()
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap()
}

fn put(account: &str, amount: i64) -> Move {
    Move { account: account.into(), events: vec![Moved::In { amount }] }
}

async fn amount(store: &MemoryStore, id: &str) -> Option<i64> {
    let view = View::<Balances>::new(Arc::new(store.clone()));
    view.get(id).await.unwrap().map(|balance| balance.amount)
}

#[tokio::test]
async fn views_change_with_the_events_and_not_without() {
    let store = MemoryStore::default();
    let app = app(&store);
    app.send(put("a", 5)).await.unwrap();
    let events = vec![
        Moved::In { amount: 1 },
        Moved::Between { to: "b".into(), amount: 4 },
        Moved::In { amount: 2 },
    ];
    app.send(Move { account: "a".into(), events }).await.unwrap();
    assert_eq!((amount(&store, "a").await, amount(&store, "b").await), (Some(4), Some(4)));
    let view = store.document(&DocumentKey::new("balance", "a")).await.unwrap().unwrap();
    assert_eq!(view.body.decode::<Balance>().unwrap().events, [1, 2, 3, 4], "versions as stored");
    app.send(Move { account: "a".into(), events: vec![Moved::Closed] }).await.unwrap();
    assert_eq!(amount(&store, "a").await, None);
    app.send(put("a", 3)).await.unwrap();
    assert_eq!(amount(&store, "a").await, Some(3));

    // A projection that fails takes its events with it.
    let head = store.head().await.unwrap().position;
    let fails = Move { account: "b".into(), events: vec![Moved::In { amount: 1 }, Moved::Panics] };
    let Err(Failure::Failed(error)) = app.send(fails).await else { panic!("it was taken") };
    assert!(error.to_string().contains("it panics"), "{error}");
    assert_eq!(store.head().await.unwrap().position, head);
    assert_eq!(amount(&store, "b").await, Some(4));
}

#[tokio::test]
async fn the_work_of_a_handler_takes_its_views_along() {
    async fn both(command: Move, work: Work) -> Result<(), Failure<Never>> {
        for account in [command.account.clone(), format!("{}-2", command.account)] {
            let mut loaded = work.load::<Account>(&account).await?;
            work.record(&mut loaded, command.events.clone())?;
        }
        Ok(())
    }
    let store = MemoryStore::default();
    let app = App::builder()
        .store(store.clone())
        .projection_as::<Balances>(Life::Inline)
        .handler::<Move, (Move, Work)>(both)
        .build()
        .unwrap();
    let events = vec![Moved::In { amount: 2 }, Moved::Between { to: "all".into(), amount: 1 }];
    app.send(Move { account: "a".into(), events }).await.unwrap();
    let amounts = (amount(&store, "a").await, amount(&store, "all").await);
    assert_eq!(amounts, (Some(1), Some(2)), "one document for both streams");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_meet_at_one_view_all_count() {
    let store = MemoryStore::default();
    let app = app(&store);
    let sends = (0..32).map(|n| {
        let app = app.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                let account = format!("a{n}");
                let events = vec![Moved::Between { to: "all".into(), amount: 1 }];
                app.send(Move { account, events }).await.unwrap();
            }
        })
    });
    for send in sends.collect::<Vec<_>>() {
        send.await.unwrap();
    }
    assert_eq!(amount(&store, "all").await, Some(320));
    assert_eq!(amount(&store, "a0").await, Some(-10));
}

#[tokio::test]
async fn a_repeat_is_the_same_commit_whatever_the_views_are_by_now() {
    let store = MemoryStore::default();
    let app = app(&store);
    let kept = app.store().unwrap().clone();
    let append = |n: u64| Append {
        stream: StreamId::new("account", "a"),
        expected: Expected::Exactly(n),
        events: vec![new_event(&Moved::In { amount: 1 })],
    };
    let first = Commit { id: CommitId::default(), appends: vec![append(0)], ..Commit::default() };
    kept.commit(first.clone()).await.unwrap();
    kept.commit(Commit { appends: vec![append(1)], ..Commit::default() }).await.unwrap();
    let again = kept.commit(first).await.unwrap();
    assert_eq!(again, Committed::Before { position: 1, reply: None });
    assert_eq!(amount(&store, "a").await, Some(2));
    let blind = Append { expected: Expected::Any, ..append(2) };
    let error =
        kept.commit(Commit { appends: vec![blind], ..Commit::default() }).await.unwrap_err();
    assert!(error.to_string().contains("must expect a version"), "{error}");
}

#[tokio::test]
async fn one_that_was_added_too_late_is_refused_until_it_is_built() {
    let store = MemoryStore::default();
    for n in 0..3_000 {
        record(&store, None, &format!("k{}", n % 10), Moved::In { amount: 1 }).await;
    }
    let app = app(&store);
    for refused in [app.start().await.map(drop), app.send(put("k1", 1)).await.map_err(failed)] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("rebuild_inline") && error.contains("bank.balances"), "{error}");
    }
    app.rebuild_inline("bank.balances").await.unwrap();
    assert!(app.rebuild_inline("bank.other").await.is_err());
    app.send(put("k1", 1)).await.unwrap();
    assert_eq!(amount(&store, "k1").await, Some(301));
    let running = app.start().await.unwrap();
    running.stop(Duration::from_secs(1)).await.unwrap();
    // Damaged, it is mended by another one.
    let key = DocumentKey::new("balance~2", "k2");
    let gone = DocumentWrite::delete(key, Expected::Exists);
    store.commit(Commit { documents: vec![gone], ..Commit::default() }).await.unwrap();
    app.rebuild_inline("bank.balances").await.unwrap();
    app.send(put("k2", 1)).await.unwrap();
    assert_eq!(amount(&store, "k2").await, Some(301));
    assert_eq!(store.purge_documents("balance~2", 10).await.unwrap(), 0, "they were removed");
}

fn failed<E>(failure: Failure<E>) -> crate::Error {
    match failure {
        Failure::Failed(error) => error,
        Failure::Rejected(_) => unreachable!("nobody rejects"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_life_can_change() {
    let store = MemoryStore::default();
    let inline = app(&store);
    inline.send(put("a", 5)).await.unwrap();
    let durable = || {
        App::builder()
            .store(store.clone())
            .projection::<Balances>()
            .decides::<Account, Move>()
            .runtime(RuntimeSettings::tests())
            .build()
            .unwrap()
    };
    let running = durable();
    let started = running.start().await.unwrap();
    running.send(put("a", 5)).await.unwrap();
    started.settled().await.unwrap();
    assert_eq!(amount(&store, "a").await, Some(10));
    started.stop(Duration::from_secs(1)).await.unwrap();
    let inline = app(&store);
    assert!(inline.start().await.is_err());
    inline.rebuild_inline(Balances::NAME).await.unwrap();
    inline.send(put("a", 1)).await.unwrap();
    assert_eq!(amount(&store, "a").await, Some(11));
}

mod lives {
    //! The four lives of a projection agree.

    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        In(u8, i64),
        Between(u8, u8, i64),
        Close(u8),
        Two(u8, i64, u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = 0u8..5;
        let step = prop_oneof![
            4 => (key.clone(), 0i64..90).prop_map(|(k, n)| Step::In(k, n)),
            3 => (key.clone(), key.clone(), 0i64..90).prop_map(|(a, b, n)| Step::Between(a, b, n)),
            1 => key.clone().prop_map(Step::Close),
            2 => (key.clone(), 0i64..90, key).prop_map(|(a, n, b)| Step::Two(a, n, b)),
        ];
        proptest::collection::vec(step, 0..40)
    }

    fn name(key: u8) -> String {
        format!("k{key}")
    }

    fn command(step: &Step) -> Move {
        let (key, events) = match step {
            Step::In(key, amount) => (key, vec![Moved::In { amount: *amount }]),
            Step::Between(key, to, amount) => {
                (key, vec![Moved::Between { to: name(*to), amount: *amount }])
            }
            Step::Close(key) => (key, vec![Moved::Closed]),
            Step::Two(key, amount, to) => (
                key,
                vec![
                    Moved::In { amount: *amount },
                    Moved::Closed,
                    Moved::Between { to: name(*to), amount: *amount },
                ],
            ),
        };
        Move { account: name(*key), events }
    }

    async fn all(view: &View<Balances>) -> Vec<Option<Balance>> {
        let mut views = Vec::new();
        for key in 0..5 {
            views.push(view.get(&name(key)).await.unwrap().map(crate::Versioned::into_inner));
        }
        views
    }

    async fn agree(steps: Vec<Step>, batch: u32, partitions: u32) {
        let store = MemoryStore::default();
        // The events, and the inline views, which are read before anything else writes there.
        let inline = app(&store);
        for (n, step) in steps.iter().enumerate() {
            let tenant = (n % 5 == 4).then_some("t");
            let metadata =
                tenant.map_or_else(Metadata::default, |t| Metadata::default().with_tenant(t));
            inline.send(command(step)).with(metadata).await.unwrap();
        }
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        for tenant in [None, Some("t")] {
            let of = |view: View<Balances>| match tenant {
                None => view,
                Some(tenant) => view.of_tenant(tenant),
            };
            let by_inline = all(&of(View::new(shared.clone()))).await;
            let mut asked = Vec::new();
            for key in 0..5 {
                let view = of(View::new(shared.clone())).at_query(&name(key)).await.unwrap();
                asked.push(view.map(crate::Versioned::into_inner));
            }
            assert_eq!(by_inline, asked, "inline and asked");
        }
        // The same log in other stores, without views.
        for life in [Life::Durable, Life::Live, Life::Query] {
            let copy = copied(&store).await;
            let app = App::builder()
                .store(copy.clone())
                .projection_as::<Balances>(life)
                .runtime(RuntimeSettings::tests());
            let app = match life {
                Life::Durable => {
                    app.subscription(Balances::NAME, move |s| s.batch(batch).partitions(partitions))
                }
                _ => app,
            };
            let app = app.build().unwrap();
            let running = app.start().await.unwrap();
            running.settled().await.unwrap();
            for tenant in [None, Some("t")] {
                let of = |view: View<Balances>| match tenant {
                    None => view,
                    Some(tenant) => view.of_tenant(tenant),
                };
                let expected = all(&of(View::new(shared.clone()))).await;
                let view = of(app.view::<Balances>().unwrap());
                assert_eq!(all(&view).await, expected, "{life:?}");
                let rich = expected.iter().flatten().filter(|balance| balance.rich).count();
                assert_eq!(view.find("rich", true).await.unwrap().len(), rich, "{life:?}");
                let find = crate::FindDocuments::all("balance");
                let count = expected.iter().flatten().count() as u64;
                assert_eq!(view.count(find).await.unwrap(), count, "{life:?}");
            }
            running.stop(Duration::from_secs(5)).await.unwrap();
        }
    }

    async fn copied(from: &MemoryStore) -> MemoryStore {
        use futures_util::StreamExt;
        let copy = MemoryStore::default();
        let mut pages = from.read_log(ReadLog::after(0));
        while let Some(page) = pages.next().await {
            for event in page.unwrap().iter() {
                let decoded = event.decode::<Moved>().unwrap().unwrap();
                record(&copy, event.tenant, event.stream, decoded.data).await;
            }
        }
        copy
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn they_agree(steps in steps(), batch in 1u32..20, partitions in 1u32..4) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(agree(steps, batch, partitions));
        }
    }
}

#[test]
fn the_collection_of_a_generation_is_named_for_it() {
    use crate::runtime::projection::collection;
    assert_eq!(collection::<Balances>(1), Balance::collection());
    assert_eq!(collection::<Balances>(3).name, "balance~3");
    assert_eq!(collection::<Balances>(3).fields, Balance::collection().fields);
}
