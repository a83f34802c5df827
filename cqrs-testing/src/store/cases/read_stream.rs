//! Reading one stream: any stretch of it, either way, by the page.

use cqrs_core::{
    Expected, MessageId, Metadata, NewEvent, PageSize, Payload, ReadStream, Timestamp,
};
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::json;

use crate::store::cases::prelude::*;
use crate::store::handle::later_than;
use crate::store::seen::{Seen, SeenPage};

cases! { "read_stream":
    a_missing_stream_has_no_pages,
    a_stream_is_read_from_a_version,
    a_stream_is_read_to_a_version,
    a_stretch_outside_of_the_stream_is_empty,
    a_stream_is_read_backwards,
    pages_smaller_than_the_stream_hold_all_of_it,
    backward_pages_smaller_than_the_stream_hold_all_of_it,
    pages_end_at_their_limit_of_bytes,
    a_page_holds_at_least_one_event,
    a_stream_is_read_as_it_was_recorded_by_then,
    other_streams_do_not_show,
    a_stream_that_grows_while_it_is_read_has_no_hole,
    a_reading_to_fold_has_all_that_a_fold_needs,
    a_reading_beside_one_to_fold_has_everything,
}

/// A stream with so many events, among others.
async fn stream_of(t: &Probe, n: usize) -> StreamId {
    let stream = account("1");
    for _ in 0..n {
        t.applied(grows(&stream, 1)).await;
        t.applied(grows(&account("noise"), 1)).await;
    }
    stream
}

fn all_of(pages: &[SeenPage]) -> Vec<Seen> {
    pages.iter().flat_map(|page| page.events.clone()).collect()
}

async fn a_missing_stream_has_no_pages(t: Probe) {
    stream_of(&t, 2).await;
    for read in [ReadStream::of(account("2")), ReadStream::of(account("2")).backwards()] {
        assert!(t.stream_pages(read).await.is_empty(), "a stream that does not exist");
    }
}

async fn a_stream_is_read_from_a_version(t: Probe) {
    let stream = stream_of(&t, 10).await;
    for from in [0, 1, 2, 9, 10] {
        let seen = t.stream_of(ReadStream::of(stream.clone()).from(from)).await;
        assert_eq!(versions(&seen), (from.max(1)..=10).collect::<Vec<_>>(), "from {from}");
    }
}

async fn a_stream_is_read_to_a_version(t: Probe) {
    let stream = stream_of(&t, 10).await;
    for to in [1, 2, 9, 10, 11, u64::MAX] {
        let seen = t.stream_of(ReadStream::of(stream.clone()).to(to)).await;
        assert_eq!(versions(&seen), (1..=to.min(10)).collect::<Vec<_>>(), "to {to}");
    }
    let seen = t.stream_of(ReadStream::of(stream).from(4).to(6)).await;
    assert_eq!(versions(&seen), [4, 5, 6], "from 4 to 6");
}

async fn a_stretch_outside_of_the_stream_is_empty(t: Probe) {
    let stream = stream_of(&t, 3).await;
    let of = || ReadStream::of(stream.clone());
    let outside = [of().from(4), of().from(u64::MAX), of().to(0), of().from(3).to(2)];
    for read in outside {
        for read in [read.clone(), read.backwards()] {
            let seen = t.stream_of(read.clone()).await;
            assert!(seen.is_empty(), "{read:?} holds nothing: {:?}", versions(&seen));
        }
    }
}

async fn a_stream_is_read_backwards(t: Probe) {
    let stream = stream_of(&t, 10).await;
    let of = || ReadStream::of(stream.clone()).backwards();
    let forwards = t.stream(&stream).await;
    let mut backwards = t.stream_of(of()).await;
    backwards.reverse();
    assert_eq!(backwards, forwards, "the same events, the newest first");
    assert_eq!(versions(&t.stream_of(of().from(8)).await), [10, 9, 8], "down to 8");
    assert_eq!(versions(&t.stream_of(of().to(3)).await), [3, 2, 1], "down from 3");
    assert_eq!(versions(&t.stream_of(of().from(4).to(6)).await), [6, 5, 4], "from 6 down to 4");
}

async fn pages_smaller_than_the_stream_hold_all_of_it(t: Probe) {
    let stream = stream_of(&t, 10).await;
    for size in [1, 2, 3, 9, 10, 11] {
        let read = ReadStream::of(stream.clone()).page(size);
        let pages = t.stream_pages(read.clone()).await;
        let fits = pages.iter().all(|page| (1..=size as usize).contains(&page.events.len()));
        assert!(fits, "1 to {size} events a page: {pages:?}");
        assert_eq!(versions(&all_of(&pages)), (1..=10).collect::<Vec<_>>(), "{size} a page");
        let some = t.stream_of(read.from(3).to(8)).await;
        assert_eq!(versions(&some), [3, 4, 5, 6, 7, 8], "from 3 to 8, {size} a page");
    }
}

async fn backward_pages_smaller_than_the_stream_hold_all_of_it(t: Probe) {
    let stream = stream_of(&t, 10).await;
    for size in [1, 2, 3, 9, 10, 11] {
        let read = ReadStream::of(stream.clone()).backwards().page(size);
        let pages = t.stream_pages(read.clone()).await;
        let fits = pages.iter().all(|page| (1..=size as usize).contains(&page.events.len()));
        assert!(fits, "1 to {size} events a page: {pages:?}");
        let seen = versions(&all_of(&pages));
        assert_eq!(seen, (1..=10).rev().collect::<Vec<_>>(), "{size} a page, backwards");
        let some = t.stream_of(read.from(3).to(8)).await;
        assert_eq!(versions(&some), [8, 7, 6, 5, 4, 3], "from 8 down to 3, {size} a page");
    }
}

async fn pages_end_at_their_limit_of_bytes(t: Probe) {
    let large = |n: usize| {
        let payload = Payload::Json(body(&json!(n.to_string().repeat(1_000))));
        NewEvent { payload, ..event("bank.noted") }
    };
    let events = (0..20).map(|n| large(n % 10)).collect();
    t.applied(appends(&account("1"), Expected::Any, events)).await;
    let bytes = 5_000;
    for read in [ReadStream::of(account("1")), ReadStream::of(account("1")).backwards()] {
        let read = ReadStream { page: PageSize { events: 100, bytes }, ..read };
        let mut pages = t.read_stream(read.clone());
        let mut seen = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap_or_else(|error| panic!("{error:?}: {read:?}"));
            // With or without the event that goes over the limit.
            assert!((1..=5).contains(&page.len()), "{} events of 1,000 bytes", page.len());
            seen.extend(page.iter().map(|event| event.version));
        }
        if read.backwards {
            seen.reverse();
        }
        assert_eq!(seen, (1..=20).collect::<Vec<_>>(), "all events, 5,000 bytes a page");
    }
}

async fn a_page_holds_at_least_one_event(t: Probe) {
    let stream = stream_of(&t, 4).await;
    for page in [PageSize { events: 100, bytes: 0 }, PageSize { events: 0, bytes: 1 << 20 }] {
        for read in [ReadStream::of(stream.clone()), ReadStream::of(stream.clone()).backwards()] {
            let pages = t.stream_pages(ReadStream { page, ..read }).await;
            let sizes = pages.iter().map(|page| page.events.len()).collect::<Vec<_>>();
            assert_eq!(sizes, [1, 1, 1, 1], "one event a page, however small it is: {page:?}");
        }
    }
}

async fn a_stream_is_read_as_it_was_recorded_by_then(t: Probe) {
    let stream = account("1");
    t.applied(grows(&stream, 2)).await;
    let first = t.stream(&stream).await[1].recorded_at;
    let later = later_than(&t, &stream, first).await;
    let seen = t.stream(&stream).await;
    for until in [first, later] {
        let expected = seen.iter().filter(|event| event.recorded_at <= until).cloned();
        let mut expected = expected.collect::<Vec<_>>();
        let read = ReadStream::of(stream.clone()).recorded_until(until).page(2);
        assert_eq!(t.stream_of(read.clone()).await, expected, "recorded until {until}");
        expected.reverse();
        assert_eq!(t.stream_of(read.backwards()).await, expected, "recorded until {until}");
    }
    let ever = ReadStream::of(stream.clone()).recorded_until(Timestamp::MAX);
    assert_eq!(t.stream_of(ever).await, seen, "recorded until the end of time");
    let never = ReadStream::of(stream.clone()).recorded_until(Timestamp::MIN);
    assert!(t.stream_of(never).await.is_empty(), "recorded until the beginning of time");
    let before = Timestamp::from_micros(first.as_micros() - 1);
    let early = t.stream_of(ReadStream::of(stream.clone()).recorded_until(before)).await;
    assert!(early.is_empty(), "before the first: {:?}", versions(&early));
}

async fn other_streams_do_not_show(t: Probe) {
    for id in ["1", "11", "2"] {
        t.applied(grows(&account(id), 3)).await;
        t.applied(grows(&StreamId::new("course", id), 3)).await;
        t.applied(grows(&account(id).with_tenant("acme"), 3)).await;
    }
    let seen = t.stream(&account("1")).await;
    assert_eq!(versions(&seen), [1, 2, 3], "only its own events");
    assert!(seen.iter().all(|event| event.stream == account("1")), "{seen:?}");
}

async fn a_stream_that_grows_while_it_is_read_has_no_hole(t: Probe) {
    let stream = stream_of(&t, 10).await;
    let mut pages = t.read_stream(ReadStream::of(stream.clone()).page(2));
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap_or_else(|error| panic!("the stream cannot be read: {error:?}"));
        seen.extend(SeenPage::of(&page).events);
        if seen.len() < 10 {
            t.applied(grows(&stream, 1)).await;
        }
    }
    let expected = (1..=seen.len() as u64).collect::<Vec<_>>();
    assert_eq!(versions(&seen), expected, "versions without gaps");
    assert!(seen.len() >= 10, "what was there at the start: {}", seen.len());
}

/// Two streams with bodies of all kinds, and everything else that an event can have.
async fn full_streams(t: &Probe) -> [StreamId; 2] {
    let content_type = "application/octet-stream";
    let binary = Payload::Binary { content_type: content_type.into(), bytes: b"\0x"[..].into() };
    let bodies = [Payload::Json(body(&json!({ "amount": 7 }))), binary, Payload::Erased];
    let streams = ["1", "2"].map(account);
    for (stream, schema_version) in streams.iter().zip([3, 4]) {
        let events = bodies.iter().map(|payload| NewEvent {
            payload: payload.clone(),
            schema_version,
            metadata: Metadata::of(MessageId::fresh()).with_correlation("the whole"),
            ..tagged("bank.noted", &["course:1", "student:2"])
        });
        t.applied(appends(stream, Expected::Any, events.collect())).await;
    }
    streams
}

/// The event without what a reading to fold may leave out.
fn folded(event: &Seen) -> Seen {
    let id = MessageId::from_uuid(uuid::Uuid::nil());
    Seen {
        recorded_at: Timestamp::UNIX_EPOCH,
        id,
        tags: Vec::new(),
        metadata: Metadata::of(id),
        ..event.clone()
    }
}

async fn a_reading_to_fold_has_all_that_a_fold_needs(t: Probe) {
    for stream in full_streams(&t).await {
        let whole = t.stream(&stream).await;
        let of = || ReadStream::of(stream.clone()).to_fold();
        for read in [of(), of().page(1), of().recorded_until(Timestamp::MAX)] {
            let seen = t.stream_of(read.clone()).await;
            let needed = |events: &[Seen]| events.iter().map(folded).collect::<Vec<_>>();
            assert_eq!(needed(&seen), needed(&whole), "{read:?}");
            for (event, whole) in seen.iter().zip(&whole) {
                let less = folded(whole);
                assert!([whole.id, less.id].contains(&event.id), "its id or none: {event:?}");
                let times = [whole.recorded_at, less.recorded_at];
                assert!(times.contains(&event.recorded_at), "its time or none: {event:?}");
                assert!(event.tags == whole.tags || event.tags.is_empty(), "{event:?}");
                let metadata = [whole.metadata.clone(), less.metadata];
                let metadata = metadata.map(|metadata| metadata.with_id(event.id));
                assert!(metadata.contains(&event.metadata), "its metadata or none: {event:?}");
            }
        }
        let backwards = t.stream_of(of().backwards()).await;
        assert_eq!(versions(&backwards), [3, 2, 1], "backwards");
    }
}

async fn a_reading_beside_one_to_fold_has_everything(t: Probe) {
    let streams = full_streams(&t).await;
    let whole = [t.stream(&streams[0]).await, t.stream(&streams[1]).await];
    let is_whole = |event: &Seen| {
        event.tags == ["course:1", "student:2"] && event.metadata.correlation() == Some("the whole")
    };
    assert!(whole.iter().flatten().all(is_whole), "as they were written: {whole:?}");
    for _ in 0..20 {
        // Together: a store may load several streams at once.
        let seen = join_all((0..8).map(|n| {
            let read = ReadStream::of(streams[n % 2].clone());
            t.stream_of(if n < 4 { read.to_fold() } else { read })
        }));
        for (n, seen) in seen.await.into_iter().enumerate() {
            assert_eq!(versions(&seen), [1, 2, 3], "of stream {}", n % 2);
            assert!(n < 4 || seen == whole[n % 2], "nothing is left out: {seen:?}");
        }
    }
}
