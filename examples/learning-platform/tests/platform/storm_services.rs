//! The chain: learning and payments are two services with a store each, and talk over a broker. Either is
//! killed with -9 at random moments, and so is the broker, while students enrol; then everything adds up.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tempfile::TempDir;
use test_servers::{Nats, Rabbit, ServerError};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::service::{Folder, Service};
use crate::storm::{CLIENTS, SETTLED_WITHIN, burst, live, lives, random, until_it_dies, wanted};
use crate::storm_clients::{Courses, Work};
use crate::storm_mongo::Database;
use crate::storm_postgres::Schema;
use crate::storm_sums::{TOKEN, add_up_with, settled};

/// How often the broker is killed.
const BROKER_KILLS: u64 = 2;

/// What carries requests and messages between the services.
enum Broker {
    Nats(Nats),
    Rabbit(Rabbit),
}

impl Broker {
    fn nats(folder: &Path) -> Self {
        Self::Nats(Self::done(|| Nats::start(folder)))
    }

    fn rabbit(folder: &Path) -> Self {
        Self::Rabbit(Self::done(|| Rabbit::start(folder)))
    }

    /// What takes its time.
    fn done<T>(work: impl FnOnce() -> Result<T, ServerError>) -> T {
        tokio::task::block_in_place(work).unwrap_or_else(|error| panic!("{error}"))
    }

    fn url(&self) -> String {
        match self {
            Self::Nats(server) => server.url(),
            Self::Rabbit(server) => server.url(),
        }
    }

    fn kill(&mut self) {
        Self::done(|| match self {
            Self::Nats(server) => server.kill(),
            Self::Rabbit(server) => server.kill(),
        });
    }

    fn start_again(&mut self) {
        Self::done(|| match self {
            Self::Nats(server) => server.start_again(),
            Self::Rabbit(server) => server.start_again(),
        });
    }
}

/// A process of a service, which is started again whenever it was killed.
struct Role {
    folder: Arc<Folder>,
    arguments: Vec<String>,
    service: Service,
    client: Client,
}

impl Role {
    fn start(folder: &Arc<Folder>, role: &str, bus: &str) -> Self {
        Self::start_with(folder, role, bus, "2500ms")
    }

    /// The same with so much time for a payment.
    fn start_with(folder: &Arc<Folder>, role: &str, bus: &str, payment_timeout: &str) -> Self {
        let mut arguments = ["--role", role, "--bus", bus, "--admin-token", TOKEN].to_vec();
        // Whoever waits for an answer of the dead waits for so long.
        arguments.extend(["--timeout-ms", "2000", "--payment-timeout", payment_timeout]);
        arguments.extend(["--payment-delay", "500ms"]);
        let service = folder.service(&arguments);
        let client = service.client.clone();
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Self { folder: folder.clone(), arguments, service, client }
    }

    /// Kills it, and starts it again.
    fn kill(&mut self) {
        self.client.go_nowhere();
        self.service.kill();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.service = self.folder.service(&arguments);
        self.client.go_to(self.service.address);
    }

    /// Ends it in order: nothing has panicked in any of its lives.
    async fn stop(self) {
        self.service.stop().await;
        let log = self.folder.log();
        assert!(!log.contains("panicked"), "{log}\nsomething panicked in a service");
    }
}

/// Lets the storm go over two services and a broker: each service on the store of its folder, with so many
/// processes.
async fn storm(
    start_broker: fn(&Path) -> Broker,
    of_learning: Folder,
    of_payments: Folder,
    processes: usize,
) {
    let (enrolments, kills) = (wanted("STORM_ENROLMENTS", 60) as usize, wanted("STORM_KILLS", 6));
    let mut random = random();
    // On the disk that the build is on: a kill -9 is about what is on a disk.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut broker = start_broker(folder.path());
    let (of_learning, of_payments) = (Arc::new(of_learning), Arc::new(of_payments));
    let url = broker.url();
    let start = |folder, role| (0..processes).map(move |_| Role::start(folder, role, &url));
    let learning = start.clone()(&of_learning, "learning");
    let mut roles: Vec<Role> = learning.chain(start(&of_payments, "payments")).collect();
    let called: Vec<Client> = roles.iter().map(|role| role.client.clone()).collect();
    let (learning, payments) = (&called[..processes], &called[processes]);

    let courses = Courses::for_many(&learning[0], enrolments).await;
    let work = Arc::new(Work::new(courses, enrolments));
    let mut clients = JoinSet::new();
    for client in learning.iter().cycle().take(CLIENTS) {
        let (work, client) = (Arc::clone(&work), client.clone());
        clients.spawn(async move { work.run(&client).await });
    }
    let a_life = (enrolments as u64).div_ceil(kills + 1);
    for kill in 1..=kills {
        let life = lives(&mut random);
        match random.bool() {
            true => live(&work, life, a_life).await,
            false => burst(&work, life, a_life, until_it_dies(&mut random)).await,
        }
        if let Some(Err(failed)) = clients.try_join_next() {
            let logs = [of_learning.log(), of_payments.log()].concat();
            panic!("{logs}\na client has ended: {failed}");
        }
        let step = kills.div_ceil(BROKER_KILLS + 1).max(1);
        if kill % step == 0 && kill / step <= BROKER_KILLS {
            broker.kill();
            broker.start_again();
        }
        let one = random.usize(..roles.len());
        tokio::task::block_in_place(|| roles[one].kill());
    }
    let calm = Instant::now();
    work.pace.add_permits(enrolments);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    settled(&learning[0]).await;
    let took = calm.elapsed();
    assert!(took < SETTLED_WITHIN, "settled {took:?} after the last kill");

    let asked = work.asked();
    assert_eq!(asked.len(), enrolments);
    let seats = &work.courses.seats;
    let ends = add_up_with(&learning[0], payments, &asked, seats).await;
    let repeated = work.repeated.load(Ordering::Relaxed);
    println!(
        "{kills} kills, {enrolments} enrolments, {repeated} repeats: {ends:?}; settled {took:?} \
         after the last kill"
    );
    for role in roles {
        role.stop().await;
    }
}

/// Each service on a file of its own.
async fn storm_on_files(start_broker: fn(&Path) -> Broker) {
    storm(start_broker, Folder::new(), Folder::new(), 1).await;
}

/// Each service on a database of its own, in two processes.
async fn storm_on_databases(start_broker: fn(&Path) -> Broker) {
    let (learning, payments) = (Schema::new(), Schema::new());
    storm(start_broker, learning.folder(), payments.folder(), 2).await;
    learning.remove().await;
    payments.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_services_and_nats_any_may_die_again_and_again() {
    storm_on_files(Broker::nats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_services_and_rabbitmq_any_may_die_again_and_again() {
    storm_on_files(Broker::rabbit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_of_each_service_on_databases_and_nats_any_may_die_again_and_again() {
    storm_on_databases(Broker::nats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_of_each_service_on_databases_and_rabbitmq_any_may_die_again_and_again() {
    storm_on_databases(Broker::rabbit).await;
}

/// Each service on a database of its own in a replica set, in two processes.
async fn storm_on_replica_sets(start_broker: fn(&Path) -> Broker) {
    let (learning, payments) = (Database::new(), Database::new());
    storm(start_broker, learning.folder(), payments.folder(), 2).await;
    learning.remove().await;
    payments.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_of_each_service_on_replica_sets_and_nats_any_may_die_again_and_again() {
    storm_on_replica_sets(Broker::nats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_of_each_service_on_replica_sets_and_rabbitmq_any_may_die_again_and_again()
{
    storm_on_replica_sets(Broker::rabbit).await;
}

async fn a_payment_waits(start_broker: fn(&Path) -> Broker) {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut broker = start_broker(folder.path());
    broker.kill();
    let folder = Arc::new(Folder::new());
    let learning = Role::start_with(&folder, "learning", &broker.url(), "60s");
    let courses = Courses::for_many(&learning.client, 12).await;
    let work = Work::new(courses, 1);
    work.pace.add_permits(2);
    work.run(&learning.client).await;
    // Whoever enrols is answered without either; the payment is asked for until there is somebody.
    broker.start_again();
    let payments = Role::start(&Arc::new(Folder::new()), "payments", &broker.url());
    settled(&learning.client).await;
    let asked = work.asked();
    let seats = &work.courses.seats;
    let ends = add_up_with(&learning.client, &payments.client, &asked, seats).await;
    assert_eq!(ends.active, 1);
    learning.stop().await;
    payments.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_waits_for_nats_and_a_service_that_are_down() {
    a_payment_waits(Broker::nats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_waits_for_rabbitmq_and_a_service_that_are_down() {
    a_payment_waits(Broker::rabbit).await;
}
