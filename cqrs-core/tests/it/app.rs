//! The typed half on the memory store: handlers, repositories, units of work, the build report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, Append, At, BoxError, Command, Commit, ConflictRetry, Documents, Entity, ErrorKind, Event,
    EventType, Expected, Failure, Filter, Json, ManualClock, MessageId, Metadata, Never, NewEvent,
    Payload, Problem, RawRequest, Repository, Request, RequestKind, Res, Store, StreamId,
    Timestamp, Upcaster, Visibility, Work,
};
use serde::{Deserialize, Serialize};

use crate::bank::{
    Account, AccountEvent, Balance, BankError, Deposit, Open, Transfer, Twice, bank, deposit, log,
};

#[tokio::test]
async fn a_command_becomes_events_and_a_state() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = bank(&store).build()?;
    app.send(Open { account: "a".into(), owner: "Ada".into() }).await?;
    let reply = app.send(deposit(5)).reply().await?;
    assert_eq!((reply.output, reply.position), (5, Some(2)));
    assert_eq!(app.ask(Balance { account: "a".into() }).await?, 5);
    let again = app.send(Open { account: "a".into(), owner: "Eve".into() }).await;
    assert!(matches!(again, Err(Failure::Rejected(BankError::Exists))));
    Ok(())
}

#[tokio::test]
async fn several_aggregates_change_in_one_commit_or_not_at_all() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = bank(&store).build()?;
    app.send(deposit(5)).await?;
    let transfer = |amount| Transfer { from: "a".into(), to: "b".into(), amount };
    assert!(matches!(app.send(transfer(6)).await, Err(Failure::Rejected(BankError::Overdrawn))));
    assert_eq!(log(&store).await.len(), 1, "a rejected transfer wrote something");
    let reply = app.send(transfer(2)).reply().await?;
    assert_eq!((reply.output, reply.position), (3, Some(3)));
    assert_eq!(app.ask(Balance { account: "b".into() }).await?, 2);
    Ok(())
}

#[tokio::test]
async fn events_know_their_cause_and_the_conversation() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = bank(&store).build()?;
    let at = "2011-10-11T13:45:40Z".parse::<Timestamp>()?;
    let command = Metadata::default().with_correlation("web-7").with_actor("ada");
    let command = command.with_occurred_at(at).with_extension("shop", "north");
    let id = command.id();
    app.send(deposit(1)).with(command).await?;
    let (_, _, event) = log(&store).await.remove(0);
    assert_eq!(event.causation(), Some(id));
    assert_eq!((event.correlation(), event.actor()), (Some("web-7"), Some("ada")));
    assert_eq!((event.occurred_at(), event.extension("shop")), (Some(at), Some("north")));
    Ok(())
}

#[tokio::test]
async fn the_commands_of_a_handler_are_its_effects() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = bank(&store).build()?;
    let command = Metadata::default();
    let id = command.id();
    assert_eq!(app.send(Twice { account: "a".into() }).with(command).await?, 2);
    for (_, _, event) in log(&store).await {
        assert_eq!(event.correlation(), Some(id.to_string().as_str()));
    }
    Ok(())
}

#[tokio::test]
async fn tenants_do_not_see_each_other() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = bank(&store).build()?;
    let of = |tenant: &str| Metadata::default().with_tenant(tenant);
    app.send(deposit(5)).with(of("north")).await?;
    app.send(deposit(7)).with(of("south")).await?;
    let ask = || app.ask(Balance { account: "a".into() });
    assert_eq!(ask().with(of("north")).await?, 5);
    assert_eq!(ask().with(of("south")).await?, 7);
    assert_eq!(ask().await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicting_commands_are_decided_anew_and_none_is_lost() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = bank(&store).build()?;
    app.send(deposit(1_000)).await?;
    let tasks = (0..64u64).map(|n| {
        let app = app.clone();
        tokio::spawn(async move {
            if n % 2 == 0 {
                app.send(deposit(1)).await.map(|_| ()).map_err(|e| e.to_string())
            } else {
                let transfer = Transfer { from: "a".into(), to: "b".into(), amount: 1 };
                app.send(transfer).await.map(|_| ()).map_err(|e| e.to_string())
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    assert_eq!(app.ask(Balance { account: "a".into() }).await?, 1_000);
    assert_eq!(app.ask(Balance { account: "b".into() }).await?, 32);
    assert_eq!(log(&store).await.len(), 1 + 32 + 64);
    Ok(())
}

#[tokio::test]
async fn a_repeat_under_one_id_has_one_effect() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = bank(&store).build()?;
    let id = MessageId::fresh();
    app.send(deposit(5)).with(Metadata::of(id)).await?;
    let Err(Failure::Failed(error)) = app.send(deposit(5)).with(Metadata::of(id)).await else {
        panic!("the repeat was applied");
    };
    assert!(matches!(error.kind(), ErrorKind::IdReused { .. }), "{error:?}");
    assert_eq!(app.ask(Balance { account: "a".into() }).await?, 5);
    Ok(())
}

#[tokio::test]
async fn a_repeat_with_an_inbox_answers_as_the_first_did() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = bank(&store).build()?;
    let (one, two) = (MessageId::fresh(), MessageId::fresh());
    let once = |id| Metadata::of(id).with_inbox("http");

    let open = || Open { account: "a".into(), owner: "Ada".into() };
    let first = app.send(open()).with(once(one)).reply().await?;
    app.send(deposit(5)).await?;
    // Decided anew it would be refused by its own effect.
    assert_eq!(app.send(open()).with(once(one)).reply().await?, first);

    let transfer = || Transfer { from: "a".into(), to: "b".into(), amount: 5 };
    let first = app.send(transfer()).with(once(two)).reply().await?;
    assert_eq!(app.send(transfer()).with(once(two)).reply().await?, first);
    assert_eq!(app.ask(Balance { account: "b".into() }).await?, 5);

    let other = Transfer { amount: 4, ..transfer() };
    let Err(Failure::Failed(error)) = app.send(other).with(once(two)).await else {
        panic!("another body under the same id was taken");
    };
    assert!(matches!(error.kind(), ErrorKind::IdReused { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn an_aggregate_is_seen_as_it_was() -> Result<(), BoxError> {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let clock = ManualClock::at(time("2020-01-01T00:00:00Z"));
    let store = MemoryStore::with_clock(clock.clone());
    let app = bank(&store).clock(clock.clone()).build()?;
    for (amount, occurred) in [(1, "2011-01-01T00:00:00Z"), (2, "2012-01-01T00:00:00Z")] {
        let command = Metadata::default().with_occurred_at(time(occurred));
        app.send(deposit(amount)).with(command).await?;
        clock.advance(Duration::from_secs(60));
    }
    app.send(deposit(4)).await?;
    let accounts = Repository::<Account>::new(Arc::new(store));
    let balance = async |at| accounts.load_at(&"a".to_owned(), at).await.map(|a| a.balance);
    assert_eq!(balance(At::Version(2)).await?, 3);
    assert_eq!(balance(At::Recorded(time("2020-01-01T00:00:30Z"))).await?, 1);
    assert_eq!(balance(At::Occurred(time("2011-06-01T00:00:00Z"))).await?, 1);
    assert_eq!(balance(At::Occurred(time("2019-01-01T00:00:00Z"))).await?, 3);
    assert_eq!(balance(At::Occurred(Timestamp::MAX)).await?, 7);
    Ok(())
}

fn raw_append(event_type: &'static str, body: &str) -> Commit {
    let event = NewEvent::new(event_type, Payload::Json(Json::parse(body).unwrap()));
    let stream = StreamId::new("account", "a");
    let append = Append { stream, expected: Expected::Any, events: vec![event] };
    Commit { appends: vec![append], ..Commit::default() }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_fails_the_load_by_name() -> Result<(), BoxError> {
    for (event_type, body) in [("bank.deposited", "{\"amount\":-1}"), ("bank.unknown", "{}")] {
        let store = MemoryStore::default();
        let app = bank(&store).build()?;
        app.send(deposit(5)).await?;
        store.commit(raw_append(event_type, body)).await?;
        let Err(Failure::Failed(error)) = app.ask(Balance { account: "a".into() }).await else {
            panic!("{event_type} was passed over");
        };
        let ErrorKind::Undecodable { stream, version, position, event_type: named } = error.kind()
        else {
            panic!("{error:?}");
        };
        assert_eq!((stream.as_str(), *version, *position), ("account/a", 2, 2));
        assert_eq!(named, event_type);
        assert!(std::error::Error::source(&error).is_some(), "the cause is missing");
    }
    Ok(())
}

#[tokio::test]
async fn an_erased_event_is_passed_over() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = bank(&store).build()?;
    let mut commit = raw_append("bank.deposited", "{}");
    commit.appends[0].events[0].payload = Payload::Erased;
    store.commit(commit).await?;
    app.send(deposit(5)).await?;
    assert_eq!(app.ask(Balance { account: "a".into() }).await?, 5);
    Ok(())
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Renamed {
    name: String,
}

impl Event for Renamed {
    const TYPES: &'static [EventType] = &[EventType::new("bank.renamed", "Renamed").at_version(3)];
    const UPCASTERS: &'static [Upcaster] =
        &[Upcaster { event_type: "bank.renamed", from: 1, lift: Ok }];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

#[tokio::test]
async fn one_error_names_everything_that_is_wrong() {
    async fn greedy(_: Balance, _: Res<u8>, _: Res<u16>) -> Result<u64, Never> {
        Ok(0)
    }
    let error = App::builder()
        .decides::<Account, Open>()
        .handler(greedy)
        .handler(async |_: Twice| Ok::<_, Never>(1))
        .handler(async |_: Twice| Ok::<_, Never>(2))
        .reads::<Renamed>()
        .expects::<Transfer>()
        .expects::<Balance>()
        .build()
        .unwrap_err();
    let ErrorKind::Build(problems) = error.kind() else { panic!("{error:?}") };
    let resource = |resource| Problem::MissingResource { handler: "bank.balance".into(), resource };
    let expected = [
        Problem::MissingStore { handler: "bank.open".into() },
        resource("u8"),
        resource("u16"),
        Problem::BrokenUpcasters { event_type: "bank.renamed", missing: 2, current: 3 },
        Problem::DuplicateHandler { name: "bank.twice" },
        Problem::MissingHandler { message: "bank.transfer" },
    ];
    assert_eq!(problems, &expected);
    for problem in problems {
        assert!(error.to_string().contains(&problem.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_panic_is_an_error_of_one_call() -> Result<(), BoxError> {
    async fn fragile(q: Balance) -> Result<u64, Never> {
        assert_ne!(q.account, "bad", "a bad account");
        Ok(1)
    }
    let app = App::builder().handler(fragile).build()?;
    let Err(Failure::Failed(error)) = app.ask(Balance { account: "bad".into() }).await else {
        panic!("the panic was lost");
    };
    assert_eq!(*error.kind(), ErrorKind::Panicked);
    assert!(error.to_string().contains("a bad account"), "{error}");
    assert_eq!(app.ask(Balance { account: "good".into() }).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_function_that_cannot_run_again_returns_its_conflict() -> Result<(), BoxError> {
    let calls = Arc::new(AtomicU32::new(0));
    let store = MemoryStore::default();

    /// Loses the race against another writer on its first run.
    async fn raced(
        c: Deposit,
        work: Work,
        store: Arc<dyn Store>,
        Res(calls): Res<Arc<AtomicU32>>,
    ) -> Result<u64, Failure<Never>> {
        let mut account = work.load::<Account>(&c.account).await?;
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            store.commit(raw_append("bank.deposited", r#"{"amount":100}"#)).await?;
        }
        work.decide(&mut account, &c)
    }

    let builder = || App::builder().store(store.clone()).resource(calls.clone()).handler(raced);
    let app = builder().build()?;
    assert_eq!(app.send(deposit(5)).await?, 105, "it was not run again on the new state");
    assert_eq!(calls.swap(0, Ordering::SeqCst), 2);

    let app = builder().retry(ConflictRetry::never()).build()?;
    let Err(Failure::Failed(error)) = app.send(deposit(5)).await else { panic!("no conflict") };
    assert!(error.is_conflict(), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn what_was_read_is_guarded() -> Result<(), BoxError> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let id = "a".to_owned();
    for tagged in [false, true] {
        let work = Work::new(store.clone(), Metadata::default());
        let read = work.load::<Account>(&id).await?;
        let head = store.head().await?.position;
        let mut written = work.load::<Account>(&"b".to_owned()).await?;
        work.record(&mut written, [AccountEvent::Deposited { amount: 1 }])?;
        if tagged {
            let types = vec!["bank.deposited".into()];
            work.guard_none(Filter { types, ..Filter::default() }, head)?;
        } else {
            work.guard(&read)?;
        }
        store.commit(raw_append("bank.deposited", r#"{"amount":1}"#)).await?;
        let error = work.commit().await.unwrap_err();
        assert!(error.is_conflict(), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_aggregate_changed_on_two_copies_is_refused() -> Result<(), BoxError> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let work = Work::new(store.clone(), Metadata::default());
    let mut one = work.load::<Account>(&"a".to_owned()).await?;
    let mut two = work.load::<Account>(&"a".to_owned()).await?;
    let event = || [AccountEvent::Deposited { amount: 1 }];
    work.record(&mut one, event())?;
    work.record(&mut one, event())?;
    let error = work.record(&mut two, event()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error:?}");
    work.commit().await?;
    assert!(work.record(&mut one, event()).is_err(), "the work is closed");
    assert_eq!(Repository::<Account>::new(store).load(&"a".to_owned()).await?.version(), 2);
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tutor {
    id: String,
    email: String,
}

impl Entity for Tutor {
    const COLLECTION: &'static str = "tutor";
    const UNIQUE: &'static [&'static str] = &["email"];

    fn id(&self) -> String {
        self.id.clone()
    }
}

#[tokio::test]
async fn documents_and_events_share_a_commit() -> Result<(), BoxError> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let tutors = Documents::<Tutor>::new(store.clone());
    tutors.declare().await?;
    let tutor = |id: &str| Tutor { id: id.into(), email: "ada@example.org".into() };
    for (id, taken) in [("1", true), ("2", false)] {
        let work = Work::new(store.clone(), Metadata::default());
        work.insert(&tutor(id))?;
        let mut account = work.load::<Account>(&id.to_owned()).await?;
        work.record(&mut account, [AccountEvent::Deposited { amount: 1 }])?;
        assert_eq!(work.commit().await.is_ok(), taken);
    }
    assert_eq!(store.head().await?.position, 1, "the second commit left its event");

    let work = Work::new(store.clone(), Metadata::default());
    let stale = work.get::<Tutor>("1").await?.expect("it was inserted");
    let mut fresh = stale.clone();
    fresh.email = "countess@example.org".into();
    work.save(&fresh)?;
    work.commit().await?;
    let work = Work::new(store.clone(), Metadata::default());
    work.delete(&stale)?;
    assert!(work.commit().await.unwrap_err().is_conflict(), "a stale delete was applied");
    assert_eq!(tutors.find("email", "countess@example.org").await?.len(), 1);

    let work = Work::new(store.clone(), Metadata::default());
    let mut moved = work.get::<Tutor>("1").await?.expect("it is there");
    moved.id = "3".into();
    assert!(work.save(&moved).is_err(), "a changed id would leave the old document behind");
    Ok(())
}

struct Hidden;

impl Request for Hidden {
    const NAME: &'static str = "bank.hidden";
    const KIND: RequestKind = RequestKind::Command;
    const VISIBILITY: Visibility = Visibility::Internal;
    type Output = ();
    type Error = Never;
}

impl Command for Hidden {}

#[tokio::test]
async fn requests_by_name_share_the_handler_and_bad_ones_are_named() -> Result<(), BoxError> {
    let store = MemoryStore::default();
    let app = bank(&store).handler(async |_: Hidden| Ok::<_, Never>(())).max_body(64).build()?;
    app.send(Hidden).await?;

    let body = r#"{"account":"a","amount":5}"#;
    let reply = app.dispatch(RawRequest::new("bank.deposit", body)).await?;
    assert_eq!((&reply.body[..], reply.position), (&b"5"[..], Some(1)));

    let transfer = RawRequest::new("bank.transfer", r#"{"from":"a","to":"b","amount":9}"#);
    let Err(Failure::Rejected(rejection)) = app.dispatch(transfer).await else { panic!() };
    assert_eq!(rejection.code, "bank.overdrawn");
    assert_eq!(serde_json::from_slice::<BankError>(&rejection.body)?, BankError::Overdrawn);

    let failed = async |request| match app.dispatch(request).await {
        Err(Failure::Failed(error)) => error,
        other => panic!("{other:?}"),
    };
    let version = RawRequest { version: Some(2), ..RawRequest::new("bank.deposit", body) };
    let query =
        RawRequest { kind: Some(RequestKind::Query), ..RawRequest::new("bank.deposit", body) };
    for (request, kind) in [
        (RawRequest::new("bank.deposit", "{"), "Decode"),
        (RawRequest::new("bank.deposit", r#"{"account":"a"}"#), "Decode"),
        (RawRequest::new("bank.deposit", "x".repeat(65)), "TooLarge"),
        (version, "Decode"),
        (query, "UnknownName"),
        (RawRequest::new("bank.hidden", "{}"), "UnknownName"),
        (RawRequest::new("nobody\n", "{}"), "UnknownName"),
    ] {
        let error = failed(request.clone()).await;
        assert!(format!("{:?}", error.kind()).starts_with(kind), "{request:?}: {error:?}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    assert_eq!(log(&store).await.len(), 1, "a refused request wrote something");
    Ok(())
}

#[test]
fn the_manifest_names_functions_and_aggregates_as_their_authors_do() {
    async fn twice(_: Twice) -> Result<u64, Never> {
        Ok(2)
    }
    let builder = App::builder().store(MemoryStore::default());
    let app = builder.decides::<Account, Open>().handler(twice).build().unwrap();
    let manifest = app.manifest();
    let handlers: Vec<_> = manifest.requests.iter().map(|r| (r.name, r.handler)).collect();
    let function =
        "it::app::the_manifest_names_functions_and_aggregates_as_their_authors_do::twice";
    assert_eq!(handlers, [("bank.open", "it::bank::Account"), ("bank.twice", function)]);
    assert!(!manifest.events.is_empty());
}
