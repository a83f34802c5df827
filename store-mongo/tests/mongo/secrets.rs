//! Whoever cannot connect, or may not do something, is told why in time; and no error, log or form for debugging
//! shows a password.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cqrs_core::{Collection, ErrorKind, Expected, LeaseRequest, Store};
use store_mongo::MongoStore;
use store_mongo::bson::{Bson, doc};
use store_mongo::mongodb::{Client, Database as Db};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::common::{self, Database};
use crate::short::{deposit, shown, versions};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_millis(1_500);

/// The password of the user of all tests.
fn password() -> String {
    let url = common::url();
    let (before, _) = url.split_once('@').unwrap();
    before.rsplit_once(':').unwrap().1.to_owned()
}

/// The URL with another user and another password.
fn as_user(user: &str, password: &str, database: &str) -> String {
    let url = common::url();
    let (_, behind) = url.split_once('@').unwrap();
    let (hosts, options) = behind.split_once('/').unwrap();
    let options = options.trim_start_matches('?');
    format!("mongodb://{user}:{password}@{hosts}/{database}?{options}&authSource=admin")
}

/// Keeps all that is logged.
#[derive(Clone, Default)]
pub(crate) struct Logged(pub(crate) Arc<Mutex<String>>);

impl Subscriber for Logged {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Logged {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        writeln!(self.0.lock().unwrap(), "{field}: {value:?}").unwrap();
    }
}

#[tokio::test]
async fn whoever_cannot_connect_is_told_why_in_time_and_the_password_is_not() {
    let logged = Logged::default();
    let _here = tracing::subscriber::set_default(logged.clone());
    let (wrong, real) = ("Not-The-Right-One", password());
    let invalid = ErrorKind::Invalid { field: Some("url".to_owned()) };
    let database = Database::new();
    let of_set = |url: String| url.replace("replicaSet=set-", "replicaSet=other-");
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_place = silent.local_addr().unwrap();
    let mut all = Vec::new();
    tracing::info!("all is logged");
    for (url, kind, said) in [
        (as_user("tests", wrong, &database.0), &invalid, "refuses the user or the password"),
        (as_user("nobody", wrong, &database.0), &invalid, "refuses the user or the password"),
        (
            format!("mongodb://tests:{wrong}@127.0.0.1:1/x"),
            &ErrorKind::Unavailable,
            "connections are refused",
        ),
        (
            format!("mongodb://tests:{wrong}@no-such-host.invalid/x"),
            &ErrorKind::Unavailable,
            "nobody knows a host",
        ),
        (
            format!("mongodb://tests:{wrong}@{silent_place}/x"),
            &ErrorKind::Unavailable,
            "no answer in time",
        ),
        (of_set(common::url()), &ErrorKind::Unavailable, "another set"),
        (format!("mongodb://tests:{wrong}@127.0.0.1:port/x"), &invalid, "mongodb://USER"),
        (format!("mongodb://tests:{wrong}%@127.0.0.1/x"), &invalid, "mongodb://USER"),
        (format!("tests:{wrong}@127.0.0.1/x"), &invalid, "mongodb://USER"),
        (
            format!("mongodb://tests:{wrong}@127.0.0.1/x?maxPoolSize=many"),
            &invalid,
            "`maxPoolSize`",
        ),
        (format!("{}&readConcernLevel=local&nonsense", common::url()), &invalid, "mongodb://USER"),
    ] {
        let builder = MongoStore::builder(&url).connect_timeout(CONNECT);
        assert!(!format!("{builder:?} {builder:#?}").contains(wrong));
        let began = Instant::now();
        let error = builder.connect().await.unwrap_err();
        let took = began.elapsed();
        let shown = shown(&error);
        assert!(took < CONNECT * 2, "{took:?}: {shown}");
        assert_eq!(error.kind(), kind, "{shown}");
        assert!(shown.contains(said), "{shown}");
        // It names the place.
        assert!(
            said == "mongodb://USER"
                || said == "`maxPoolSize`"
                || shown.contains("mongodb://127.0.0.1")
                || shown.contains("no-such-host"),
            "{shown}"
        );
        all.push(shown);
    }
    let store = common::store(&database.0).connect().await.unwrap();
    store.commit(deposit("17", Expected::Any)).await.unwrap();
    all.push(format!("{store:?} {store:#?} {:?}", store.database()));
    let session = store.session().await.unwrap();
    drop(session);
    let logged = logged.0.lock().unwrap().clone();
    assert!(logged.contains("all is logged"), "{logged}");
    all.push(logged);
    for shown in all {
        assert!(!shown.contains(wrong) && !shown.contains(&real), "{shown}");
    }
}

/// A user of one database, who is gone at the end.
struct User {
    admin: Db,
    name: String,
}

impl User {
    async fn new(name: &str, database: &Database, roles: &[&str]) -> (Self, String) {
        let admin = Client::with_uri_str(common::url()).await.unwrap().database("admin");
        let name = format!("{}_{name}", database.0);
        let roles = roles.iter().map(|role| doc! { "role": *role, "db": &database.0 });
        let roles: Vec<Bson> = roles.map(Bson::from).collect();
        let create = doc! { "createUser": &name, "pwd": "secret-word", "roles": roles };
        admin.run_command(create).await.unwrap();
        let url = as_user(&name, "secret-word", &database.0);
        (Self { admin, name }, url)
    }

    async fn gone(self) {
        self.admin.run_command(doc! { "dropUser": self.name }).await.unwrap();
    }
}

#[tokio::test]
async fn a_user_without_privileges_is_told_which_are_needed() {
    for (role, roles) in [("reader", vec!["read"]), ("none", vec![])] {
        let database = Database::new();
        let (user, url) = User::new(role, &database, &roles).await;
        let error = MongoStore::connect(&url).await.unwrap_err();
        // Also where the collections are there.
        common::store(&database.0).connect().await.unwrap();
        let there = MongoStore::builder(&url).migrate(false).connect().await;
        let later = match there {
            Ok(store) => store.commit(deposit("17", Expected::Any)).await.unwrap_err(),
            Err(error) => error,
        };
        user.gone().await;
        for error in [error, later] {
            let said = error.to_string();
            assert!(said.contains("lacks a privilege"), "{role}: {said}");
            assert!(said.contains("`readWrite`") && said.contains("`dbAdmin`"), "{role}: {said}");
            assert!(!shown(&error).contains("secret-word"), "{error:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_privileges_that_are_named_are_enough_also_to_end_transactions_of_the_dead() {
    let database = Database::new();
    let (user, url) = User::new("writer", &database, &["readWrite", "dbAdmin"]).await;
    let open = async || MongoStore::connect(&url).await.unwrap();
    let (stopped, lives) = (open().await, open().await);
    lives.declare(Collection::new("paid").unique("number")).await.unwrap();
    let request = LeaseRequest {
        holder: "one".to_owned(),
        names: vec!["mailer/0".to_owned()],
        term: Duration::from_secs(60),
    };
    assert!(lives.lease(request).await.unwrap()[0].is_of("one"));
    let mut session = stopped.session().await.unwrap();
    session.start_transaction().await.unwrap();
    stopped.commit_in(&mut session, deposit("17", Expected::Any)).await.unwrap();
    let began = Instant::now();
    lives.commit(deposit("17", Expected::Any)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // With other times for ids.
    let builder = MongoStore::builder(&url).keep_inbox(Duration::from_secs(60));
    let again = builder.connect().await.unwrap();
    assert_eq!(versions(&again, "17").await, [1]);
    drop(session);
    user.gone().await;
}
