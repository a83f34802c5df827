//! The bus suite, on a RabbitMQ server: each case has a prefix of its own; where it dies, a server of its own.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus_rabbitmq::RabbitBus;
use cqrs_core::{Bus, MessageId};
use cqrs_testing::{Broker, Way, bus_suite};
use test_servers::{Proxy, Rabbit, ServerError};

fn main() -> ExitCode {
    bus_suite("rabbitmq", || async {
        let prefix = MessageId::fresh().to_string();
        move || {
            let prefix = prefix.clone();
            async move {
                let url = std::env::var("AMQP_URL").unwrap_or_else(|_| {
                    panic!("set AMQP_URL to a server, or run `cargo xtask services run`, which prints one")
                });
                // This one is not killed.
                let bus = RabbitBus::builder(url).prefix(prefix).settling(Duration::ZERO);
                let bus = bus.connect().await;
                Arc::new(bus.unwrap_or_else(|error| panic!("{error:?}"))) as Arc<dyn Bus>
            }
        }
    })
    .with_broker(Server::start)
    .main()
}

/// A server of its own, and a way to it that can be cut.
struct Server {
    server: Rabbit,
    proxy: Option<Proxy>,
}

fn done<T>(result: Result<T, ServerError>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

impl Server {
    fn start() -> Self {
        let server = done(Rabbit::start(env!("CARGO_TARGET_TMPDIR").as_ref()));
        let proxy = Some(done(Proxy::to(server.port())));
        Self { server, proxy }
    }
}

#[async_trait]
impl Broker for Server {
    async fn connect(&self, way: Way, patience: Duration) -> Arc<dyn Bus> {
        let port = match (way, &self.proxy) {
            (Way::OverProxy, Some(proxy)) => proxy.port(),
            _ => self.server.port(),
        };
        let bus = RabbitBus::builder(self.server.url_on(port)).patience(patience).connect().await;
        Arc::new(bus.unwrap_or_else(|error| panic!("{error:?}")))
    }

    fn kill(&mut self) {
        done(self.server.kill());
    }

    fn start_again(&mut self) {
        done(self.server.start_again());
    }

    fn cut(&self) {
        self.proxy.iter().for_each(Proxy::cut_all);
    }

    fn cut_for_good(&mut self) {
        self.proxy = None;
    }
}
