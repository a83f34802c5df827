//! A server that is short of memory takes no messages, and says so.

use std::time::Duration;

use bus_rabbitmq::RabbitBus;
use cqrs_core::{
    Bus, BusState, ErrorKind, OutboundRequest, Publisher, ReplyMessage, RequestKind, Requester,
    Responder,
};
use futures_util::StreamExt;
use test_servers::Rabbit;
use tokio::time::timeout;

use crate::{PATIENCE, connect, named};

fn echo(within: Duration) -> OutboundRequest {
    OutboundRequest::new(RequestKind::Query, "echo", "{}", within)
}

async fn answer(bus: &RabbitBus) {
    let mut requests = bus.respond(vec!["echo".to_owned()]).await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            // That nothing can be answered now is what this is about.
            let _ = request.reply(ReplyMessage::done("{}")).await;
        }
    });
}

async fn becomes(bus: &RabbitBus, is_up: bool) {
    let state = async {
        while (bus.health().await.state == BusState::Up) != is_up {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, state).await.expect("the health stays as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_without_memory_does_not_take_ends_in_time_and_goes_on_after_it() {
    let server = Rabbit::start(env!("CARGO_TARGET_TMPDIR").as_ref()).unwrap();
    let patience = Duration::from_secs(1);
    let builder = || RabbitBus::builder(server.url()).patience(patience);
    let (asks, answers) = (connect(builder()).await, connect(builder()).await);
    answer(&answers).await;
    asks.request(echo(PATIENCE)).await.unwrap();

    server.be_short_of_memory(true).unwrap();
    // The first that is published is still taken, or lost, and then the server says why: to each connection.
    let first = timeout(PATIENCE, asks.request(echo(patience))).await.expect("it ends in time");
    if let Err(error) = first {
        assert!(matches!(error.kind(), ErrorKind::DeadlineExceeded | ErrorKind::Unavailable));
    }
    becomes(&asks, false).await;
    let BusState::Down(why) = asks.health().await.state else { panic!("it takes messages") };
    assert!(why.contains("short of memory"), "{why}");
    let unsent = timeout(PATIENCE, asks.request(echo(patience))).await.expect("it ends in time");
    let unsent = unsent.unwrap_err();
    assert_eq!(*unsent.kind(), ErrorKind::Unavailable, "it was not handed over: {unsent}");
    assert!(unsent.to_string().contains("short of memory"), "{unsent}");
    let unpublished = asks.publish(vec![named("bank.opened", 1)]).await.unwrap_err();
    assert!(unpublished.to_string().contains("short of memory"), "{unpublished}");
    // Who waits long enough is answered when there is memory again.
    let waiting = tokio::spawn({
        let asks = asks.clone();
        async move { asks.request(echo(PATIENCE)).await }
    });

    server.be_short_of_memory(false).unwrap();
    waiting.await.unwrap().unwrap();
    becomes(&asks, true).await;
    becomes(&answers, true).await;
}
