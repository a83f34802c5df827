//! Aggregates that are stored as documents: the document and its events in one commit.

use cqrs_core::{
    App, At, BoxError, Conflict, ErrorKind, Event, Expected, Failure, Filter, MessageId, Metadata,
    ReadLog, Repository, Store, StreamId, Work,
};
use futures_util::StreamExt;

use crate::tutor::{
    Mislabel, Move, No, Register, Tutor, TutorEvent, assert_no, declared, moving, register, retire,
    send, types,
};
use crate::watched::{Seen, Watched};

#[tokio::test]
async fn the_document_and_its_events_are_one_commit() -> Result<(), BoxError> {
    let (store, tutors, documents) = declared().await;
    assert_eq!(send(&tutors, register("1", "ada@example.org")).await?, 0);
    assert_eq!(send(&tutors, moving("1", "Paris")).await?, 1);
    assert_eq!(send(&tutors, moving("1", "London")).await?, 2);
    let Seen { commits, documents: read, streams, .. } = store.seen();
    assert_eq!((commits, read, streams), (3, 3, 3), "read once each, and one commit");
    let found = documents.find("city", "London").await?;
    assert_eq!((found.len(), found[0].moves, found[0].version()), (1, 2, 3));
    assert_eq!(documents.find("city", "Paris").await?.len(), 0);
    assert_eq!(types(&store).await, ["tutor.registered", "tutor.moved", "tutor.moved"]);
    let loaded = tutors.load(&"1".to_owned()).await?;
    assert_eq!((loaded.state(), loaded.version()), (&*found[0], 3));
    Ok(())
}

#[tokio::test]
async fn it_is_handled_by_an_app_as_any_other() -> Result<(), BoxError> {
    let (store, _, documents) = declared().await;
    let app = App::builder()
        .store(store.clone())
        .cache(10)
        .decides::<Tutor, Register>()
        .decides::<Tutor, Move>()
        .build()?;
    app.send(register("1", "ada@example.org")).await?;
    app.send(moving("1", "Paris")).await?;
    store.seen();
    app.send(moving("1", "London")).await?;
    assert_eq!(store.seen(), Seen { commits: 1, ..Seen::default() }, "one call of the store");
    assert_no(app.send(register("1", "eve@example.org")).await, &No::Exists);
    assert_eq!(documents.find("city", "London").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_decision_without_events_writes_nothing() -> Result<(), BoxError> {
    let (store, tutors, documents) = declared().await;
    send(&tutors, register("1", "ada@example.org")).await?;
    send(&tutors, moving("1", "Paris")).await?;
    store.seen();
    send(&tutors, moving("1", "Paris")).await?;
    assert_eq!(store.seen().commits, 0);
    let metadata = Metadata::of(MessageId::fresh()).with_inbox("http");
    tutors.execute(&moving("1", "Paris"), &metadata).await?;
    assert_eq!(documents.get("1").await?.unwrap().version(), 2, "a mark is no change of it");
    Ok(())
}

#[tokio::test]
async fn the_document_is_what_commands_decide_on() -> Result<(), BoxError> {
    let (store, tutors, _) = declared().await;
    for tutors in [tutors.clone(), tutors.clone().cached(10)] {
        send(&tutors, register("1", "ada@example.org")).await?;
        send(&tutors, moving("1", "Paris")).await?;
        let work = Work::new(store.shared(), Metadata::default());
        let mut tutor = work.get::<Tutor>("1").await?.unwrap();
        tutor.moves = 100;
        work.save(&tutor)?;
        work.commit().await?;
        assert_no(send(&tutors, moving("1", "London")).await, &No::Restless(100));
        send(&tutors, retire("1")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_one_does_not_exist_and_may_come_again() -> Result<(), BoxError> {
    let (store, plain, documents) = declared().await;
    for tutors in [plain.clone(), plain.clone().cached(10)] {
        let version = plain.load(&"1".to_owned()).await?.version();
        assert_eq!(send(&tutors, register("1", "ada@example.org")).await?, version);
        send(&tutors, moving("1", "Paris")).await?;
        send(&tutors, retire("1")).await?;
        assert!(documents.get("1").await?.is_none());
        assert!(documents.find("city", "Paris").await?.is_empty());
        let loaded = tutors.load(&"1".to_owned()).await?;
        assert_eq!((loaded.exists(), loaded.version()), (false, version + 3));
        assert_no(send(&tutors, moving("1", "London")).await, &No::Missing);
        assert_no(send(&tutors, retire("1")).await, &No::Missing);
    }
    // Deleted by others, without an event.
    for tutors in [plain.clone(), plain.clone().cached(10)] {
        send(&tutors, register("1", "ada@example.org")).await?;
        send(&tutors, moving("1", "Paris")).await?;
        let work = Work::new(store.shared(), Metadata::default());
        work.delete(&work.get::<Tutor>("1").await?.unwrap())?;
        work.commit().await?;
        assert_no(send(&tutors, moving("1", "London")).await, &No::Missing);
        send(&tutors, register("1", "ada@example.org")).await?;
        send(&tutors, moving("1", "London")).await?;
        assert_eq!(documents.get("1").await?.unwrap().moves, 1);
        send(&tutors, retire("1")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_state_with_another_id_than_its_stream_is_refused() -> Result<(), BoxError> {
    let (store, tutors, _) = declared().await;
    for tutors in [tutors.clone(), tutors.cached(10)] {
        match send(&tutors, Mislabel { id: "1".into() }).await {
            Err(Failure::Failed(error)) => {
                assert_eq!(*error.kind(), ErrorKind::Invalid { field: Some("id".into()) });
            }
            other => panic!("{other:?}"),
        }
        assert!(types(&store).await.is_empty());
    }
    let work = Work::new(store.shared(), Metadata::default());
    let mut tutor = work.load::<Tutor>(&"1".to_owned()).await?;
    let (id, email) = ("2".to_owned(), "x".to_owned());
    assert!(work.record(&mut tutor, [TutorEvent::Registered { id, email }]).is_err());
    assert_eq!(work.commit().await?, None, "nothing was gathered");
    Ok(())
}

#[tokio::test]
async fn a_taken_value_is_a_conflict_after_one_more_decision() -> Result<(), BoxError> {
    let (store, tutors, documents) = declared().await;
    send(&tutors, register("1", "ada@example.org")).await?;
    store.seen();
    match send(&tutors, register("2", "ada@example.org")).await {
        Err(Failure::Failed(error)) => {
            let ErrorKind::Conflict(Conflict::Unique { field, .. }) = error.kind() else {
                panic!("{error:?}")
            };
            assert_eq!(field, "email");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.seen().commits, 2);
    assert_eq!(types(&store).await, ["tutor.registered"]);
    assert!(documents.get("2").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn commands_at_once_lose_nothing() -> Result<(), BoxError> {
    for (cached, each) in [(false, false), (true, false), (true, true)] {
        let (_, tutors, documents) = declared().await;
        send(&tutors, register("1", "ada@example.org")).await?;
        let shared = tutors.clone().cached(10);
        let tasks = (0..30).map(|n| {
            let tutors = match (cached, each) {
                (false, _) => tutors.clone(),
                (true, false) => shared.clone(),
                (true, true) => tutors.clone().cached(10),
            };
            tokio::spawn(async move {
                while let Err(failure) = send(&tutors, moving("1", &n.to_string())).await {
                    assert!(failure.to_string().contains("version"), "{failure}");
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await?;
        }
        let tutor = documents.get("1").await?.unwrap();
        assert_eq!((tutor.moves, tutor.version()), (30, 31));
        assert_eq!(tutors.load(&"1".to_owned()).await?.version(), 31);
        let folded = tutors.load_at(&"1".to_owned(), At::Version(u64::MAX)).await?;
        assert_eq!(folded.state(), &*tutor, "its events come to the same");
    }
    Ok(())
}

#[tokio::test]
async fn an_event_that_came_without_its_document_is_a_conflict() -> Result<(), BoxError> {
    let (store, tutors, _) = declared().await;
    let tutors = tutors.cached(10);
    send(&tutors, register("1", "ada@example.org")).await?;
    send(&tutors, moving("1", "Paris")).await?;
    let body = Event::encode(&TutorEvent::Moved { city: "Rome".into() })?;
    let append = cqrs_core::Append {
        stream: StreamId::new("tutor", "1"),
        expected: Expected::Any,
        events: vec![cqrs_core::NewEvent::new("tutor.moved", body)],
    };
    store.commit(cqrs_core::Commit { appends: vec![append], ..Default::default() }).await?;
    store.seen();
    assert_eq!(send(&tutors, moving("1", "London")).await?, 3);
    assert_eq!(store.seen().commits, 2, "a conflict, and once more");
    Ok(())
}

#[tokio::test]
async fn a_unit_of_work_records_on_it() -> Result<(), BoxError> {
    let (store, tutors, documents) = declared().await;
    let work = Work::new(store.shared(), Metadata::default());
    let mut one = work.load::<Tutor>(&"1".to_owned()).await?;
    let mut two = work.load::<Tutor>(&"2".to_owned()).await?;
    work.decide(&mut one, &register("1", "ada@example.org"))?;
    assert!(one.exists());
    work.decide(&mut one, &moving("1", "Paris"))?;
    work.decide(&mut two, &register("2", "bob@example.org"))?;
    // It comes and goes in one commit.
    let mut three = work.load::<Tutor>(&"3".to_owned()).await?;
    work.decide(&mut three, &register("3", "eve@example.org"))?;
    work.decide(&mut three, &retire("3"))?;
    assert!(work.insert(one.state()).is_err(), "its document is written already");
    work.commit().await?;
    assert_eq!(documents.get("1").await?.unwrap().moves, 1);
    assert!(documents.get("2").await?.is_some());
    assert!(documents.get("3").await?.is_none());
    assert_eq!(types(&store).await.len(), 5);

    let late = Work::new(store.shared(), Metadata::default());
    let mut tutor = late.load::<Tutor>(&"1".to_owned()).await?;
    let guard = Work::new(store.shared(), Metadata::default());
    guard.guard(&guard.load::<Tutor>(&"1".to_owned()).await?)?;
    send(&tutors, moving("1", "London")).await?;
    late.record(&mut tutor, [TutorEvent::Moved { city: "Rome".into() }])?;
    assert!(late.commit().await.unwrap_err().is_conflict());
    assert!(guard.commit().await.unwrap_err().is_conflict());
    assert_eq!(documents.get("1").await?.unwrap().city, "London");

    let guard = Work::new(store.shared(), Metadata::default());
    guard.guard(&guard.load::<Tutor>(&"1".to_owned()).await?)?;
    let beside = Work::new(store.shared(), Metadata::default());
    beside.save(&beside.get::<Tutor>("1").await?.unwrap())?;
    beside.commit().await?;
    assert!(guard.commit().await.unwrap_err().is_conflict(), "its document was written");
    Ok(())
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first() -> Result<(), BoxError> {
    let (_, tutors, documents) = declared().await;
    for tutors in [tutors.clone(), tutors.clone().cached(10)] {
        send(&tutors, register("1", "ada@example.org")).await?;
        let metadata = Metadata::of(MessageId::fresh()).with_inbox("http");
        let first = tutors.execute(&moving("1", "Paris"), &metadata).await?.output;
        for _ in 0..2 {
            assert_eq!(tutors.execute(&moving("1", "Paris"), &metadata).await?.output, first);
        }
        assert_eq!(documents.get("1").await?.unwrap().moves, 1);
        let metadata = Metadata::of(MessageId::fresh()).with_inbox("http");
        for _ in 0..2 {
            tutors.execute(&retire("1"), &metadata).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn tenants_have_documents_of_their_own() -> Result<(), BoxError> {
    let (store, tutors, documents) = declared().await;
    let tutors = tutors.cached(10);
    for tenant in ["acme", "bold"] {
        let metadata = || Metadata::default().with_tenant(tenant);
        tutors.execute(&register("1", "ada@example.org"), &metadata()).await?;
        tutors.execute(&moving("1", tenant), &metadata()).await?;
    }
    for tenant in ["acme", "bold"] {
        let tutor = documents.clone().of_tenant(tenant).get("1").await?.unwrap();
        assert_eq!(tutor.city, tenant);
    }
    assert!(documents.get("1").await?.is_none());
    let filter = Filter { tenant: Some("acme".into()), ..Filter::default() };
    let page = store.read_log(ReadLog::after(0).filter(filter)).next().await.unwrap()?;
    assert_eq!(page.len(), 2);
    Ok(())
}

#[tokio::test]
async fn moments_of_the_past_are_folded_from_its_events() -> Result<(), BoxError> {
    let (_, tutors, _) = declared().await;
    send(&tutors, register("1", "ada@example.org")).await?;
    for city in ["Paris", "London"] {
        send(&tutors, moving("1", city)).await?;
    }
    let then = tutors.load_at(&"1".to_owned(), At::Version(2)).await?;
    assert_eq!((then.city.as_str(), then.exists()), ("Paris", true));
    assert!(!tutors.load_at(&"1".to_owned(), At::Version(0)).await?.exists());
    Ok(())
}

#[tokio::test]
async fn a_document_that_cannot_be_decoded_is_an_error_and_an_undeclared_one_too()
-> Result<(), BoxError> {
    let (store, tutors, _) = declared().await;
    let body = cqrs_core::Json::parse(r#"{"id":7}"#)?;
    let key = cqrs_core::DocumentKey::new("tutor", "1");
    let write = cqrs_core::DocumentWrite::put(key, Expected::Any, body);
    store.commit(cqrs_core::Commit { documents: vec![write], ..Default::default() }).await?;
    match send(&tutors, moving("1", "Paris")).await {
        Err(Failure::Failed(error)) => {
            assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error:?}");
            assert!(error.to_string().contains("tutor/1"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let undeclared = Watched::default();
    let error = send(&Repository::new(undeclared.shared()), register("1", "a")).await;
    assert!(matches!(error, Err(Failure::Failed(error)) if error.to_string().contains("tutor")));
    assert!(types(&undeclared).await.is_empty());
    Ok(())
}
