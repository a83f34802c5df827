//! `learning-platform`: starts the service, and stops it on Ctrl-C and SIGTERM.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::{self, ExitCode};
use std::time::Duration;

use clap::Parser;
use cqrs_core::{BoxError, MessageId, connect_bus, link};
use learning_platform::http::{self, AdminToken, Gateway, Stop, Stopper};
use learning_platform::log;
use learning_platform::service::{self, Bounds};
use learning_platform::settings::{Role, Settings};
use learning_platform::store::Opened;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

// The buses that there are.
link!(bus_nats);
link!(bus_rabbitmq);

/// How long what follows the log may take to finish what it has in hand, once the service stops.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Settings::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("learning-platform: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<(), BoxError> {
    log::begin(settings.log)?;
    let admin = settings.admin_token.as_ref().map(|secret| AdminToken::of(secret.expose()));
    let admin = admin.transpose()?;
    let opened = Opened::at(settings.store.expose()).await?;
    let timeout = Duration::from_millis(settings.timeout_ms);
    let bounds = Bounds {
        timeout,
        at_once: settings.at_once,
        payment_timeout: settings.payment_timeout,
        payment_delay: settings.payment_delay,
    };
    let bus = connect_bus(settings.bus.expose(), settings.role.service()).await?;
    let app = service::app(opened.store(), bus.clone(), settings.role, bounds, opened.tutors());
    let app = app.await?;
    let listener = TcpListener::bind(&settings.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", settings.listen))?;
    let (stopper, stop) = Stop::new();
    // Before anybody is told that the service is there: from now on a signal ends it in order.
    let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(obey(signals, stopper));
    let running = app.start().await?;
    let serving = app.serve(bus.clone()).await?;
    announce(listener.local_addr()?, settings.role);
    let gateway =
        Gateway::new(app, opened.store(), stop.clone()).readiness(running.readiness()).admin(admin);
    http::serve(listener, service::router(gateway, settings.role), stop).await;
    serving.stop(FINISH_WITHIN).await;
    // What one cannot end in order does not keep the others from it; the store is last.
    let ended = [running.stop(FINISH_WITHIN).await, bus.close().await];
    opened.close().await?;
    ended.into_iter().collect::<Result<(), _>>().map_err(BoxError::from)
}

/// Stops the service at the first signal, and the process at the second.
async fn obey((mut interrupt, mut terminate): (Signal, Signal), stopper: Stopper) {
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    };
    next().await;
    tracing::info!("stopping; once more to stop at once");
    stopper.stop();
    process::exit(next().await);
}

/// Says where the service is, and how to try it.
fn announce(address: SocketAddr, role: Role) {
    let post = |path: &str, body: &str| {
        format!("curl -sS http://{address}{path} -H 'Content-Type: application/json' -d '{body}'")
    };
    let first = if role.is_learning() {
        let course = MessageId::fresh();
        let body = format!(
            r#"{{"course_id":"{course}","title":"Rust for everyone","tutor_id":"ada","price_cents":4900,"capacity":30}}"#
        );
        post("/commands/learning.create_course", &body)
    } else {
        format!("curl -sS http://{address}/manifest")
    };
    let second = if role.is_learning() {
        post("/queries/learning.list_courses", r#"{"page":1,"limit":10}"#)
    } else {
        post("/queries/payments.ledger", "{}")
    };
    // Nobody needs to be there to read it.
    let _ = writeln!(io::stdout(), "listening on http://{address}\n{first}\n{second}");
}
