//! A storm: the service is killed with -9 at random moments while students enrol, and then everything
//! has to add up.
//!
//! `STORM_ENROLMENTS` and `STORM_KILLS` make it longer, `STORM_SEED` repeats its moments.

use std::env;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use test_servers::Postgres;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::service::{Folder, Service, until};
use crate::storm_clients::{Courses, Work};
use crate::storm_sums::{TOKEN, add_up, settled};

pub(crate) const CLIENTS: usize = 12;
/// After the last kill, with time to spare on a busy machine.
pub(crate) const SETTLED_WITHIN: Duration = Duration::from_secs(45);

/// Of all subscriptions.
const PARTITIONS: u64 = 12;
/// How long a service lives, in milliseconds.
const LIVES: std::ops::Range<u64> = 200..1_000;
/// How long before its death it may get all its work at once, in milliseconds.
const BURST: std::ops::Range<u64> = 2..150;
/// Of so many services one is killed while it starts.
const NEVER_STARTS: u32 = 8;

/// Slow students pay in time unless they are disturbed.
const ARGUMENTS: [&str; 6] =
    ["--payment-timeout", "700ms", "--payment-delay", "500ms", "--admin-token", TOKEN];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kills_at_random_moments_everything_adds_up() {
    Storm::wanted().on(&Folder::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_on_one_file_one_may_die_again_and_again() {
    Storm::wanted().beside_another().on(&Folder::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_had_in_hand_is_gone_on_with_at_once() {
    let folder = Folder::new();
    let (one, mut other) = (folder.service(&ARGUMENTS), folder.service(&ARGUMENTS));
    let courses = Courses::for_many(&one.client, 24).await;
    until("both have something to do", async || {
        let (here, there) = (here(&one).await, here(&other).await);
        (here > 0 && there > 0 && here + there == PARTITIONS).then_some(())
    })
    .await;
    other.kill();
    let died = Instant::now();
    let work = Work::new(courses, 24);
    work.pace.add_permits(25);
    work.run(&one.client).await;
    settled(&one.client).await;
    let took = died.elapsed();
    println!("settled {took:?} after the death");
    add_up(&one.client, &work.asked(), &work.courses.seats).await;
    one.stop().await;
}

/// Partitions of subscriptions that this process has.
async fn here(service: &Service) -> u64 {
    let all = service.client.get_as(TOKEN, "/admin/subscriptions").await.ok();
    let all = all["items"].as_array().unwrap().iter().filter(|one| one["kind"] != "relay");
    all.map(|one| one["here"].as_u64().unwrap()).sum()
}

pub(crate) fn wanted(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |wanted| wanted.parse().unwrap())
}

/// The moments of a storm.
pub(crate) fn random() -> fastrand::Rng {
    let seed = wanted("STORM_SEED", fastrand::u64(..));
    println!("STORM_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// How long a service lives.
pub(crate) fn lives(random: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(random.u64(LIVES))
}

/// How long before its death it gets all its work at once.
pub(crate) fn until_it_dies(random: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(random.u64(BURST))
}

/// So many enrolments, and so many kills meanwhile.
pub(crate) struct Storm {
    enrolments: usize,
    kills: u64,
    /// Another process goes on.
    beside: bool,
    /// The server of the store, which is killed as well.
    server: Option<Postgres>,
}

impl Storm {
    /// As long as the environment says.
    pub(crate) fn wanted() -> Self {
        let enrolments = wanted("STORM_ENROLMENTS", 60) as usize;
        Self { enrolments, kills: wanted("STORM_KILLS", 6), beside: false, server: None }
    }

    /// With another process on the same store that goes on. It is shorter then.
    pub(crate) fn beside_another(mut self) -> Self {
        (self.enrolments, self.kills) = (self.enrolments.min(400), self.kills.min(40));
        Self { beside: true, ..self }
    }

    /// The server of the store is killed as well.
    pub(crate) fn with_server(self, server: Postgres) -> Self {
        Self { server: Some(server), ..self }
    }

    /// Lets it go over services on this store, and adds up.
    pub(crate) async fn on(self, folder: &Folder) {
        storm(folder, self).await;
    }
}

async fn storm(folder: &Folder, storm: Storm) {
    let Storm { enrolments, kills, beside, mut server } = storm;
    let mut random = random();
    let mut service = folder.service(&ARGUMENTS);
    let first = service.client.clone();
    let other = beside.then(|| folder.service(&ARGUMENTS));
    let services: Vec<Client> =
        [Some(&service), other.as_ref()].into_iter().flatten().map(|s| s.client.clone()).collect();

    let courses = Courses::for_many(&service.client, enrolments).await;
    let work = Arc::new(Work::new(courses, enrolments));
    let mut clients = JoinSet::new();
    for client in services.iter().cycle().take(CLIENTS) {
        let (work, client) = (Arc::clone(&work), client.clone());
        clients.spawn(async move { work.run(&client).await });
    }
    let a_life = (enrolments as u64).div_ceil(kills + 1);
    let mut starts = Vec::new();
    for _ in 0..kills {
        let life = lives(&mut random);
        match random.bool() {
            true => live(&work, life, a_life).await,
            false => burst(&work, life, a_life, until_it_dies(&mut random)).await,
        }
        if let Some(Err(failed)) = clients.try_join_next() {
            panic!("{}\na client has ended: {failed}", folder.log());
        }
        let hits_server = server.is_some() && random.bool();
        if let Some(server) = server.as_mut().filter(|_| hits_server) {
            let with_it = random.bool();
            if with_it {
                first.go_nowhere();
                service.kill();
            }
            tokio::task::block_in_place(|| {
                server.kill().unwrap();
                server.start_again().unwrap();
            });
            if !with_it {
                continue;
            }
        }
        first.go_nowhere();
        service.kill();
        if random.u32(..NEVER_STARTS) == 0 {
            let mut dying = folder.command(&ARGUMENTS).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(random.u64(..60))).await;
            dying.kill().unwrap();
            dying.wait().unwrap();
        }
        let started = Instant::now();
        service = folder.service(&ARGUMENTS);
        first.go_to(service.address);
        starts.push(started.elapsed());
    }
    let calm = Instant::now();
    work.pace.add_permits(enrolments);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let waited = settled(&service.client).await;
    let took = calm.elapsed();
    assert!(took < SETTLED_WITHIN, "settled {took:?} after the last kill");

    let asked = work.asked();
    assert_eq!(asked.len(), enrolments);
    let ends = add_up(&service.client, &asked, &work.courses.seats).await;
    starts.sort();
    let median = starts.get(starts.len() / 2).copied().unwrap_or_default();
    let slowest = starts.last().copied().unwrap_or_default();
    let repeated = work.repeated.load(Ordering::Relaxed);
    println!(
        "{kills} kills, {enrolments} enrolments, {repeated} repeats: {ends:?}; settled {took:?} \
         after the last kill, {waited:?} after the last request; started within {median:?}, \
         {slowest:?} at most"
    );
    stop(service, other).await;
    let log = folder.log();
    assert!(!log.contains("panicked"), "{log}\nsomething panicked in a service");
}

/// Lets so many enrolments be asked for, one after the other, within this time.
pub(crate) async fn live(work: &Work, life: Duration, enrolments: u64) {
    let ends = Instant::now() + life;
    for left in (1..=enrolments).rev() {
        work.pace.add_permits(1);
        let pause = ends.saturating_duration_since(Instant::now()) / left as u32;
        tokio::time::sleep(pause).await;
    }
}

/// Lets so many enrolments be asked for at once, so long before this time is over.
pub(crate) async fn burst(work: &Work, life: Duration, enrolments: u64, before: Duration) {
    tokio::time::sleep(life.saturating_sub(before)).await;
    work.pace.add_permits(enrolments as usize);
    tokio::time::sleep(before).await;
}

async fn stop(service: Service, other: Option<Service>) {
    service.stop().await;
    if let Some(other) = other {
        other.stop().await;
    }
}
