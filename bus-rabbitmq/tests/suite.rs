//! The bus suite, on a RabbitMQ server: each case has a prefix of its own.

use std::process::ExitCode;
use std::sync::Arc;

use bus_rabbitmq::RabbitBus;
use cqrs_core::{Bus, MessageId};
use cqrs_testing::bus_suite;

fn main() -> ExitCode {
    bus_suite("rabbitmq", || async {
        let prefix = MessageId::fresh().to_string();
        move || {
            let prefix = prefix.clone();
            async move {
                let url = std::env::var("AMQP_URL").unwrap_or_else(|_| {
                    panic!("set AMQP_URL to a server, or run `cargo xtask services run`, which prints one")
                });
                let bus = RabbitBus::builder(url).prefix(prefix).connect().await;
                Arc::new(bus.unwrap_or_else(|error| panic!("{error:?}"))) as Arc<dyn Bus>
            }
        }
    })
    .main()
}
