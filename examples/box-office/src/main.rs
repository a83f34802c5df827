//! Opens the box office for one show, until Ctrl-C.

use std::sync::Arc;
use std::time::Duration;

use box_office::show::OpenShow;
use clap::Parser;
use cqrs_core::{BoxError, connect_bus, link};
use store_sqlite::SqliteStore;

// The buses that there are.
link!(bus_nats);
link!(bus_rabbitmq);

/// How long what is in hand may take when it ends.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Settings {
    /// Where everything is kept.
    #[arg(long, env = "STORE_URL", default_value = "sqlite:box-office.db")]
    store: String,
    /// What carries messages and requests: `nats://…` or `amqp://…`.
    #[arg(long, env = "BUS_URL", hide_env_values = true)]
    bus: String,
    /// The show that there are seats for.
    #[arg(long, default_value = "Hamlet")]
    show: String,
    /// How many seats there are.
    #[arg(long, default_value_t = 10)]
    seats: u32,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let Settings { store, bus, show, seats } = Settings::parse();
    let store = SqliteStore::connect(&store).await?;
    let bus = connect_bus(&bus, "box-office").await?;
    let app = box_office::app(Arc::new(store.clone()), bus.clone())?;
    app.send(OpenShow { show: show.clone(), seats }).await?;
    let running = app.start().await?;
    let serving = app.serve(bus.clone()).await?;
    println!("the box office for {show} is open");
    tokio::signal::ctrl_c().await?;
    serving.stop(FINISH_WITHIN).await;
    running.stop(FINISH_WITHIN).await?;
    bus.close().await?;
    Ok(store.close().await?)
}
