//! Requests from those who may not ask.

use std::time::Duration;

use bus_nats::NatsBus;
use bus_nats::async_nats::HeaderMap;
use cqrs_core::{
    InboundMessage, OutboundRequest, ReplyMessage, ReplyStatus, RequestKind, Requester, Responder,
};
use futures_util::{FutureExt, StreamExt};
use tokio::task::JoinHandle;

use crate::{connect, prefix, url};

fn double(n: u64) -> OutboundRequest {
    OutboundRequest::new(RequestKind::Query, "double", n.to_string(), Duration::from_secs(2))
}

/// Answers all that comes.
async fn answer(bus: &NatsBus) -> JoinHandle<()> {
    let mut requests = bus.respond(vec!["double".to_owned(), "secret".to_owned()]).await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let InboundMessage { name, body, .. } = request.message();
            assert_eq!(name, "double", "nobody asks for another one");
            let n: u64 = std::str::from_utf8(body).unwrap().parse().unwrap();
            request.reply(ReplyMessage::done((n * 2).to_string())).await.unwrap();
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_for_the_name_of_its_subject() {
    let prefix = prefix();
    let bus = connect(NatsBus::builder(url()).prefix(&prefix)).await;
    let _answering = answer(&bus).await;
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/py"), ("ce-type", "secret")]
    {
        headers.insert(name, value);
    }
    let client = bus.client();
    let subject = format!("{prefix}.request.double");
    let answer = client.request_with_headers(subject.clone(), headers.clone(), "4".into()).await;
    let headers_of = answer.unwrap().headers.unwrap();
    let text = |name: &str| headers_of.get(name).map(|value| value.as_str().to_owned());
    assert_eq!(
        (text("ce-status").as_deref(), text("ce-field").as_deref()),
        (Some("failed"), Some("type"))
    );
    // Its answer goes nowhere among the subjects of the bus.
    headers.insert("ce-type", "double");
    let among_ours = format!("{prefix}.anything");
    let mut misled = client.subscribe(among_ours.clone()).await.unwrap();
    client.publish_with_reply_and_headers(subject, among_ours, headers, "4".into()).await.unwrap();
    let done = bus.request(double(4)).await.unwrap();
    assert_eq!((done.status, &done.body[..]), (ReplyStatus::Done, &b"8"[..]));
    // It would have come before: requests are answered one after the other here.
    assert!(misled.next().now_or_never().is_none(), "an answer went among our subjects");
}
