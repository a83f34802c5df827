//! The exchanges and queues of a prefix, and the messages in them.

use std::time::Duration;

use bus_rabbitmq::RabbitBus;
use bus_rabbitmq::lapin::BasicProperties;
use bus_rabbitmq::lapin::options::{BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions};
use bus_rabbitmq::lapin::types::{AMQPValue, FieldTable};
use cqrs_core::{Bus, BusSubscription, ErrorKind, FindDeadLetters, Publisher, Subscriber};
use test_servers::Rabbit;

use crate::{PATIENCE, body, connect, join, named, next, prefix, stranger, url};

#[tokio::test]
async fn a_plan_tells_what_is_there_and_what_is_otherwise() {
    let prefix = prefix();
    let (_connection, channel) = stranger().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(5_000));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let dead = format!("{prefix}.dead");
    channel.queue_declare(dead.as_str().into(), durable, arguments).await.unwrap();
    let bus = connect(RabbitBus::builder(url()).prefix(&prefix)).await;
    let plan = bus.plan().await.unwrap();
    let told = plan.to_string();
    assert!(plan.parts.iter().all(|part| part.exists), "{told}");
    assert!(told.contains(&format!("exchange {prefix}.message: is there")), "{told}");
    let drifted: Vec<_> = plan.parts.iter().filter(|part| part.drift.is_some()).collect();
    assert_eq!(drifted.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), [dead], "{told}");
    // What is there is used as it is.
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![named("bank.opened", 1)]).await.unwrap();
    next(&mut mailer).await.park("no address").await.unwrap();
    assert_eq!(bus.dead_letters(FindDeadLetters::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_full_queue_refuses_and_loses_nothing() {
    let bus = connect(RabbitBus::builder(url()).prefix(prefix()).max_length(5)).await;
    // What is in hand does not count: nobody has any.
    drop(join(&bus, "mailer").await);
    let mut stored = 0;
    let error = loop {
        match bus.publish(vec![named("bank.opened", stored)]).await {
            Ok(()) => stored += 1,
            Err(unpublished) => break unpublished.into_first(),
        }
        assert!(stored < 100, "nothing is refused");
    };
    assert_eq!(*error.kind(), ErrorKind::Overloaded, "{error}");
    assert!(stored >= 5, "{stored}");
    let mut mailer = join(&bus, "mailer").await;
    for n in 0..stored {
        let delivery = next(&mut mailer).await;
        assert_eq!(body(&delivery), n.to_string());
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_message_that_is_no_cloud_event_is_a_dead_letter() {
    let prefix = prefix();
    let bus = connect(RabbitBus::builder(url()).prefix(&prefix)).await;
    let mut mailer = join(&bus, "mailer").await;
    let (_connection, channel) = stranger().await;
    let exchange = format!("{prefix}.message").as_str().into();
    let (options, nothing) = (BasicPublishOptions::default(), BasicProperties::default());
    let sent = channel.basic_publish(exchange, "bank.opened".into(), options, b"nonsense", nothing);
    sent.await.unwrap().await.unwrap();
    let buried = async {
        loop {
            let letters = bus.dead_letters(FindDeadLetters::of("mailer")).await.unwrap();
            if !letters.is_empty() {
                return letters;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let letters = tokio::time::timeout(PATIENCE, buried).await.expect("it is no dead letter");
    assert_eq!((letters.len(), &*letters[0].message.name), (1, "bank.opened"));
    assert_eq!(&*letters[0].message.body, b"nonsense");
    assert!(letters[0].cause.contains("specversion"), "{}", letters[0].cause);
    bus.publish(vec![named("bank.opened", 1)]).await.unwrap();
    next(&mut mailer).await.ack().await.unwrap();
}

#[tokio::test]
async fn names_that_a_group_drops_come_no_more() {
    let bus = connect(RabbitBus::builder(url()).prefix(prefix())).await;
    let names = |names: &[&str]| BusSubscription::to_messages("mailer", names.to_vec());
    drop(bus.subscribe(names(&["bank.opened", "bank.closed"])).await.unwrap());
    let mut mailer = bus.subscribe(names(&["bank.closed", "bank.moved"])).await.unwrap();
    for (n, name) in ["bank.opened", "bank.moved", "bank.closed"].into_iter().enumerate() {
        bus.publish(vec![named(name, n)]).await.unwrap();
    }
    for expected in ["1", "2"] {
        let delivery = next(&mut mailer).await;
        assert_eq!(body(&delivery), expected);
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_queue_that_somebody_has_removed_is_made_again() {
    let prefix = prefix();
    let bus = connect(RabbitBus::builder(url()).prefix(&prefix)).await;
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![named("bank.opened", 1)]).await.unwrap();
    next(&mut mailer).await.ack().await.unwrap();
    let (_connection, channel) = stranger().await;
    let queue = format!("{prefix}.message.mailer").as_str().into();
    channel.queue_delete(queue, QueueDeleteOptions::default()).await.unwrap();
    let again = async {
        for n in 2.. {
            bus.publish(vec![named("bank.opened", n)]).await.unwrap();
            let soon = Duration::from_millis(50);
            if let Ok(delivery) = tokio::time::timeout(soon, next(&mut mailer)).await {
                return delivery.ack().await.unwrap();
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("nothing comes any more");
}

#[tokio::test]
async fn a_group_that_is_forgotten_begins_anew() {
    let builder = RabbitBus::builder(url()).prefix(prefix());
    let bus = connect(builder).await;
    drop(join(&bus, "mailer").await);
    bus.publish(vec![named("bank.opened", 1)]).await.unwrap();
    bus.forget_group("mailer").await.unwrap();
    let none = bus.forget_group("mailer").await.unwrap_err();
    assert!(
        matches!(none.kind(), ErrorKind::Invalid { field: Some(field) } if field == "group"),
        "{none}"
    );
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![named("bank.opened", 2)]).await.unwrap();
    assert_eq!(body(&next(&mut mailer).await), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_new_group_is_given_outlives_a_server_that_is_killed_at_once() {
    let mut server = Rabbit::start(env!("CARGO_TARGET_TMPDIR").as_ref()).unwrap();
    let bus = connect(RabbitBus::builder(server.url()).patience(PATIENCE)).await;
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![named("bank.opened", 1)]).await.unwrap();
    let opened = next(&mut mailer).await;
    server.kill().unwrap();
    server.start_again().unwrap();
    // That it comes again is written to another one of its queues before it does.
    assert!(opened.ack().await.is_err());
    let again = next(&mut mailer).await;
    assert_eq!((body(&again).as_str(), again.message().attempt), ("1", 2));
    again.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_queues_the_server_has_lost_is_forgotten_and_begins_anew() {
    let mut server = Rabbit::start(env!("CARGO_TARGET_TMPDIR").as_ref()).unwrap();
    let builder = RabbitBus::builder(server.url()).patience(PATIENCE);
    let bus = connect(builder.settling(Duration::ZERO)).await;
    let mailer = join(&bus, "mailer").await;
    server.kill().unwrap();
    server.start_again().unwrap();
    drop(mailer);
    bus.forget_group("mailer").await.unwrap();
    let mut mailer = join(&bus, "mailer").await;
    bus.publish(vec![named("bank.opened", 1)]).await.unwrap();
    assert_eq!(body(&next(&mut mailer).await), "1");
}
