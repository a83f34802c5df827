//! The web shops in Python and the box office, over real brokers.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at its first surprise")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use box_office::show::{FreeSeats, OpenShow, Show};
use cqrs_core::{App, Bus, FindDeadLetters, MessageId, Repository, Store, connect_bus, link};
use store_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::process::Command;

link!(bus_nats);
link!(bus_rabbitmq);

/// How long a web shop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The Python that has what the web shops need.
fn python() -> PathBuf {
    let target = || {
        let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(target).join("python/bin/python")
    };
    env::var_os("PYTHON").map_or_else(target, PathBuf::from)
}

/// What a web shop prints.
async fn sells(program: &str, [url, prefix]: [&str; 2], guest: &str, seats: u32) -> String {
    let python = python();
    let mut shop = Command::new(&python);
    shop.env("PREFIX", prefix);
    shop.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(program));
    shop.args([url, "Hamlet", guest, &seats.to_string()]);
    shop.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, shop.output()).await.expect("it does not end");
    let output = output.unwrap_or_else(|error| {
        panic!("{}: {error}; `cargo xtask services` makes it", python.display())
    });
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

/// A box office that is open for Hamlet, with ten seats.
async fn open(folder: &Path, bus: Arc<dyn Bus>) -> (App, Arc<dyn Store>) {
    let url = format!("sqlite:{}", folder.join("box-office.db").display());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::connect(&url).await.unwrap());
    let app = box_office::app(store.clone(), bus).unwrap();
    app.send(OpenShow { show: "Hamlet".into(), seats: 10 }).await.unwrap();
    (app, store)
}

async fn a_web_shop_sells_seats(variable: &str, program: &str) {
    let url = env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} names the broker; `cargo xtask services run` starts one")
    });
    let folder = TempDir::new().unwrap();
    let prefix = MessageId::fresh().to_string();
    let bus = connect_bus(&format!("{url}?prefix={prefix}"), "box-office").await.unwrap();
    let (app, store) = open(folder.path(), bus.clone()).await;
    let running = app.start().await.unwrap();
    let serving = app.serve(bus.clone()).await.unwrap();

    let sold = sells(program, [&url, &prefix], "Ägidius", 2).await;
    assert_eq!(
        sold,
        "theatre.seats_sold Hamlet {'guest': 'Ägidius', 'seats': 2}\ntheatre.free_seats.reply done 8\n"
    );
    let refused = sells(program, [&url, &prefix], "ben", 9).await;
    assert_eq!(
        refused,
        "theatre.seats_refused Hamlet {'guest': 'ben', 'reason': 'only 8 seats are left'}\n\
         theatre.free_seats.reply done 8\n"
    );
    running.settled().await.unwrap();
    let free = app.ask(FreeSeats { show: "Hamlet".into() }).await.unwrap();
    assert_eq!(free, 8, "each was handled once, and sent twice");
    let show = Repository::<Show>::new(store).load(&"Hamlet".to_owned()).await.unwrap();
    assert_eq!(show.version(), 2, "opened, and reserved once");
    let letters = bus.dead_letters(FindDeadLetters::of("theatre.wanted")).await.unwrap();
    assert!(letters.is_empty(), "{letters:?}");

    serving.stop(PATIENCE).await;
    running.stop(PATIENCE).await.unwrap();
    bus.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_shop_in_python_sells_seats_over_nats() {
    a_web_shop_sells_seats("NATS_URL", "web_shop_nats.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_shop_in_python_sells_seats_over_rabbitmq() {
    a_web_shop_sells_seats("AMQP_URL", "web_shop_rabbitmq.py").await;
}
