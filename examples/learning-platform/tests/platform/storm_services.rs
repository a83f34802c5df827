//! The chain: learning and payments are two services with a store each, and talk over a broker. Either is
//! killed with -9 at random moments, and so is the broker, while students enrol; then everything adds up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_servers::Nats;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::service::{Folder, Service};
use crate::storm::{CLIENTS, SETTLED_WITHIN, burst, live, lives, random, until_it_dies, wanted};
use crate::storm_clients::{Courses, Work};
use crate::storm_sums::{TOKEN, add_up_with, settled};

/// How often the broker is killed.
const BROKER_KILLS: u64 = 2;

/// A service that is started again whenever it was killed.
struct Role {
    folder: Folder,
    arguments: Vec<String>,
    service: Service,
    client: Client,
}

impl Role {
    fn start(folder: Folder, role: &str, bus: &str) -> Self {
        let mut arguments = ["--role", role, "--bus", bus, "--admin-token", TOKEN].to_vec();
        // Whoever waits for an answer of the dead waits for so long.
        arguments.extend(["--timeout-ms", "2000", "--payment-timeout", "2500ms"]);
        arguments.extend(["--payment-delay", "500ms"]);
        let service = folder.service(&arguments);
        let client = service.client.clone();
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Self { folder, arguments, service, client }
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

/// Lets the storm go over two services, each on the store of its folder.
async fn storm(of_learning: Folder, of_payments: Folder) {
    let (enrolments, kills) = (wanted("STORM_ENROLMENTS", 60) as usize, wanted("STORM_KILLS", 6));
    let mut random = random();
    // On the disk that the build is on: a kill -9 is about what is on a disk.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut broker = tokio::task::block_in_place(|| Nats::start(folder.path())).unwrap();
    let mut learning = Role::start(of_learning, "learning", &broker.url());
    let mut payments = Role::start(of_payments, "payments", &broker.url());

    let courses = Courses::for_many(&learning.client, enrolments).await;
    let work = Arc::new(Work::new(courses, enrolments));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (work, client) = (Arc::clone(&work), learning.client.clone());
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
            let logs = [learning.folder.log(), payments.folder.log()].concat();
            panic!("{logs}\na client has ended: {failed}");
        }
        let step = kills.div_ceil(BROKER_KILLS + 1).max(1);
        if kill % step == 0 && kill / step <= BROKER_KILLS {
            tokio::task::block_in_place(|| {
                broker.kill().unwrap();
                broker.start_again().unwrap();
            });
        }
        tokio::task::block_in_place(|| match random.bool() {
            true => learning.kill(),
            false => payments.kill(),
        });
    }
    let calm = Instant::now();
    work.pace.add_permits(enrolments);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    settled(&learning.client).await;
    let took = calm.elapsed();
    assert!(took < SETTLED_WITHIN, "settled {took:?} after the last kill");

    let asked = work.asked();
    assert_eq!(asked.len(), enrolments);
    let seats = &work.courses.seats;
    let ends = add_up_with(&learning.client, &payments.client, &asked, seats).await;
    let repeated = work.repeated.load(Ordering::Relaxed);
    println!(
        "{kills} kills, {enrolments} enrolments, {repeated} repeats: {ends:?}; settled {took:?} \
         after the last kill"
    );
    learning.stop().await;
    payments.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_services_and_their_broker_any_may_die_again_and_again() {
    storm(Folder::new(), Folder::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_waits_for_a_service_that_is_down() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let broker = tokio::task::block_in_place(|| Nats::start(folder.path())).unwrap();
    let learning = Role::start(Folder::new(), "learning", &broker.url());
    let courses = Courses::for_many(&learning.client, 12).await;
    let work = Work::new(courses, 1);
    work.pace.add_permits(2);
    work.run(&learning.client).await;
    // The first of them is quick, and is charged once there is somebody who charges.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let payments = Role::start(Folder::new(), "payments", &broker.url());
    settled(&learning.client).await;
    let asked = work.asked();
    let seats = &work.courses.seats;
    let ends = add_up_with(&learning.client, &payments.client, &asked, seats).await;
    assert_eq!(ends.active, 1);
    learning.stop().await;
    payments.stop().await;
}
