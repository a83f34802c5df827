//! The service with a fault in it: this very test binary as a process of its own.

use std::env;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::memory::MemoryBus;
use cqrs_testing::faults::{Fault, Faults};
use learning_platform::http::{self, AdminToken, Gateway, Stop};
use learning_platform::service::{self, Bounds};
use learning_platform::settings::Role;
use learning_platform::store::Opened;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::service::Folder;
use crate::storm_sums::TOKEN;

const STORE: &str = "FAULT_STORE";
const FAULT: &str = "FAULT";
const TIMEOUT: &str = "FAULT_PAYMENT_TIMEOUT";
const DELAY: &str = "FAULT_PAYMENT_DELAY";

/// How it begins what it says: where it listens, and at its end what it counted.
pub(crate) const LISTENS: &str = "listening on http://";
pub(crate) const COUNTED: &str = "counted ";

/// How long students may take to pay, and how long slow ones do, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) timeout: u64,
    pub(crate) delay: u64,
}

/// Starts the service on the folder's file as a process that dies at this point.
pub(crate) fn command(folder: &Folder, times: Times, fault: Option<Fault>) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "steps_child::a_service_that_may_die", "--ignored", "--nocapture"])
        .env(STORE, format!("sqlite:{}", folder.file().display()))
        .env(TIMEOUT, times.timeout.to_string())
        .env(DELAY, times.delay.to_string())
        .env_remove(FAULT)
        .stdout(Stdio::piped())
        .stderr(folder.log_file());
    if let Some(fault) = fault {
        command.env(FAULT, fault.to_string());
    }
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that other tests start and let die"]
async fn a_service_that_may_die() {
    let Ok(store) = env::var(STORE) else { return };
    let millis = |name| Duration::from_millis(env::var(name).unwrap().parse().unwrap());
    let faults = Faults::of_env(FAULT).unwrap();
    let opened = Opened::at(&store).await.unwrap();
    let (payment_timeout, payment_delay) = (millis(TIMEOUT), millis(DELAY));
    let bounds = Bounds { payment_timeout, payment_delay, ..Bounds::default() };
    let store = faults.store(opened.store());
    let bus = Arc::new(MemoryBus::default());
    let app = service::builder(store.clone(), bus, Role::All, bounds, opened.tutors());
    let app = app.await.unwrap();
    let app = app.layer(faults.layer()).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stopper, stop) = Stop::new();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    tokio::spawn(async move {
        terminate.recv().await;
        stopper.stop();
    });
    let running = app.start().await.unwrap();
    println!("{LISTENS}{address}");
    let gateway = Gateway::new(app, store, stop.clone());
    let gateway = gateway.admin(Some(AdminToken::of(TOKEN).unwrap()));
    http::serve(listener, service::router(gateway, Role::All), stop).await;
    running.stop(Duration::from_secs(10)).await.unwrap();
    opened.close().await.unwrap();
    println!("{COUNTED}{}", faults.counted());
}
