//! A database whose transactions are at another level than READ COMMITTED unless they say so.

use cqrs_core::{Commit, Expected, Filter, Guard, Store};
use store_postgres::PostgresStore;

use crate::load::{self, RECOVERS};
use crate::short::{Own, deposit, log_of, plain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_right_whatever_the_database_says_of_isolation() {
    let own = tokio::task::spawn_blocking(Own::start).await.unwrap();
    for level in ["repeatable read", "serializable"] {
        let set = format!("ALTER DATABASE postgres SET default_transaction_isolation = '{level}'");
        plain(&own.url()).await.batch_execute(&set).await.unwrap();
        let schema = level.replace(' ', "_");
        let connect =
            async || PostgresStore::builder(own.url()).schema(&schema).connect().await.unwrap();
        let stores = [connect().await, connect().await];
        // Of those who may come only once, one does.
        for n in 0..20 {
            let take = |guest: usize| {
                let mut commit = deposit(&format!("guest-{n}-{guest}"), Expected::NoStream);
                let seat = format!("seat-{n}");
                commit.appends[0].events[0].tags = vec![seat.clone()];
                let filter = Filter { tags: vec![seat], ..Filter::default() };
                let guards = vec![Guard::NoneMatching { filter, after: 0 }];
                stores[guest % 2].commit(Commit { guards, ..commit })
            };
            let taken = tokio::join!(take(0), take(1), take(2), take(3));
            let taken = [taken.0, taken.1, taken.2, taken.3];
            let refused: Vec<_> = taken.iter().filter_map(|taken| taken.as_ref().err()).collect();
            assert_eq!(refused.len(), 3, "{level}: {taken:?}");
            assert!(refused.iter().all(|error| error.is_conflict()), "{level}: {refused:?}");
        }
        assert_eq!(log_of(&stores[0], Filter::default()).await[0].len(), 20);
        for store in stores {
            store.close().await;
        }
        let schema = format!("{schema}_load");
        let connect =
            async || PostgresStore::builder(own.url()).schema(&schema).connect().await.unwrap();
        let stores = [connect().await, connect().await];
        let load = load::begin(&stores, own.url()).await;
        load.goes_on(10, RECOVERS).await;
        println!("{level}: {}", load.end(&stores[0]).await);
        // A pooler takes no options: it is refused, and not done wrong.
        let pooled = PostgresStore::builder(own.url()).schema(&schema).behind_pooler();
        let pooled = pooled.connect().await.unwrap();
        let error = pooled.commit(deposit("17", Expected::Any)).await.unwrap_err();
        assert!(error.to_string().contains("READ COMMITTED"), "{error}");
    }
}
