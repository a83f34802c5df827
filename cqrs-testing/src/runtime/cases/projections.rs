//! Projections: exactly once, built anew beside the live views, the same however they live.

use cqrs_core::{FindDocuments, HandlerError, Life, Projection, Res, Subscription, View, Work};

use super::prelude::*;
use crate::runtime::hand::Hand;
use crate::runtime::node::Node;
use crate::runtime::notes::{Noted, Tally};
use crate::runtime::trips::{Do, done, office};
use crate::runtime::views::{ALL, Pages, PagesAnew, Pinned, pages, pages_anew, pages_as};

cases! {
    "projections":
    views_are_made_once_whatever_happens_at_any_commit,
    each_view_of_an_event_is_made_in_every_partition,
    they_are_built_anew_beside_those_that_are_read,
    a_rebuild_goes_on_after_a_restart,
    a_newer_version_is_built_and_then_read,
    they_are_the_same_however_they_live,
    an_event_that_cannot_be_read_keeps_its_stream_waiting,
    a_replay_has_no_effects,
    another_number_of_partitions_loses_and_repeats_nothing,
}

const NAME: &str = Pages::NAME;

/// The notes in a view.
async fn view<P: Projection>(node: &Node, key: &str) -> Vec<u32>
where
    P::View: ViewOfNotes,
{
    let views: View<P> = node.app.view().unwrap_or_else(|e| panic!("{e:?}"));
    let view = views.get(key).await.unwrap_or_else(|e| panic!("{key}: {e:?}"));
    view.map(|view| view.into_inner().notes()).unwrap_or_default()
}

/// What all the views hold.
trait ViewOfNotes {
    fn notes(self) -> Vec<u32>;
}

macro_rules! views {
    ($($view:ident)*) => { $(
        impl ViewOfNotes for crate::runtime::views::$view {
            fn notes(self) -> Vec<u32> {
                self.0.notes
            }
        }
    )* };
}
views!(PageView PageViewAnew PinnedView);

async fn views_are_made_once_whatever_happens_at_any_commit(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let (mut deaths, mut all) = (Deaths::default(), Vec::new());
    while let Some(round) = deaths.round() {
        let key = format!("key-{round}");
        for n in 0..6 {
            world.note(&key, n).await;
            all.push(n);
        }
        deaths.live(&world, &pages(2)).await;
        let node = world.node(pages(2)).await;
        assert_eq!(view::<Pages>(&node, &key).await, [0, 1, 2, 3, 4, 5], "{}", deaths.what());
        assert_eq!(view::<Pages>(&node, ALL).await, all, "{}", deaths.what());
        node.stop().await;
    }
    assert!(world.aside(NAME).await.is_empty());
}

async fn each_view_of_an_event_is_made_in_every_partition(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(pages(4)).await;
    let mut last = 0;
    for n in 0..10 {
        for key in 0..6 {
            last = world.note(&format!("key-{key}"), n).await;
        }
    }
    assert!(node.wait_for(NAME, last, PATIENCE).await.is_yes());
    for key in 0..6 {
        let notes = view::<Pages>(&node, &format!("key-{key}")).await;
        assert_eq!(notes, (0..10).collect::<Vec<_>>());
    }
    let all = (0..10).flat_map(|n| [n; 6]).collect::<Vec<_>>();
    assert_eq!(view::<Pages>(&node, ALL).await, all, "the view of all, in the order of the log");
    node.stop().await;
}

async fn they_are_built_anew_beside_those_that_are_read(probe: Probe) {
    let world = World::new(probe).await;
    for n in 0..20 {
        world.note("a", n).await;
    }
    let node = world.node(pages(2)).await;
    node.settled().await;
    node.subscriptions().rebuild(NAME).await.unwrap_or_else(|e| panic!("{e:?}"));
    for n in 20..40 {
        let written = world.note("a", n).await;
        assert!(node.wait_for(NAME, written, PATIENCE).await.is_yes());
        let notes = view::<Pages>(&node, "a").await;
        assert_eq!(notes, (0..=n).collect::<Vec<_>>(), "the live views stay whole meanwhile");
    }
    node.subscriptions().built(NAME, PATIENCE).await.unwrap_or_else(|e| panic!("{e:?}"));
    node.settled().await;
    assert_eq!(view::<Pages>(&node, "a").await, (0..40).collect::<Vec<_>>());
    // What was read before is removed, and nothing else is.
    let before = || FindDocuments::all("notes.page");
    until("the old views to be gone", || async {
        let left = world.probe.find_documents(before()).await;
        left.unwrap_or_else(|e| panic!("{e:?}")).is_empty().then_some(())
    })
    .await;
    assert_eq!(view::<Pages>(&node, "a").await, (0..40).collect::<Vec<_>>());
    assert_eq!(view::<Pages>(&node, ALL).await, (0..40).collect::<Vec<_>>());
    node.stop().await;
}

async fn a_rebuild_goes_on_after_a_restart(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    for n in 0..30 {
        world.note("a", n).await;
    }
    let node = world.node(pages(1)).await;
    node.settled().await;
    node.subscriptions().rebuild(NAME).await.unwrap_or_else(|e| panic!("{e:?}"));
    node.fate.after(3, Mishap::DiesAfter);
    tokio::time::timeout(PATIENCE, node.fate.died()).await.unwrap_or_else(|_| panic!("it lives"));
    node.kill();
    let node = world.node(pages(1)).await;
    node.subscriptions().built(NAME, PATIENCE).await.unwrap_or_else(|e| panic!("{e:?}"));
    world.note("a", 30).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(view::<Pages>(&node, "a").await, (0..31).collect::<Vec<_>>(), "each once");
    node.stop().await;
}

async fn a_newer_version_is_built_and_then_read(probe: Probe) {
    let world = World::new(probe).await;
    for n in 0..20 {
        world.note("a", n).await;
    }
    let node = world.node(pages(2)).await;
    node.settled().await;
    assert_eq!(view::<Pages>(&node, "a").await, (0..20).collect::<Vec<_>>());
    node.stop().await;
    let node = world.node(pages_anew).await;
    node.subscriptions().built(NAME, PATIENCE).await.unwrap_or_else(|e| panic!("{e:?}"));
    world.note("a", 20).await;
    node.settled().await;
    let anew = view::<PagesAnew>(&node, "a").await;
    assert_eq!(anew, (1000..1021).collect::<Vec<_>>(), "made of all events by the newer version");
    node.stop().await;
    // The older program would make of them what it knows.
    let older = world.try_node(pages(2)).await.map(|_| ()).map_err(|e| e.kind().clone());
    assert_eq!(older, Err(cqrs_core::ErrorKind::SchemaTooNew { found: 2, known: 1 }));
}

async fn they_are_the_same_however_they_live(probe: Probe) {
    let world = World::new(probe).await;
    let inline =
        |app: AppBuilder| app.decides::<Notebook, Note>().projection_as::<Pinned>(Life::Inline);
    let (durable, writer) = (world.node(pages(2)).await, world.node(inline).await);
    let (live, asked) =
        (world.node(pages_as(Life::Live)).await, world.node(pages_as(Life::Query)).await);
    for n in 0..8 {
        for key in ["a", "b"] {
            let sent = writer.app.send(Note { key: key.into(), n }).await;
            sent.unwrap_or_else(|e| panic!("{e:?}"));
            let kept = view::<Pinned>(&writer, key).await;
            assert_eq!(kept.len() as u32, n + 1, "inline is never behind");
        }
    }
    let head = world.probe.end().await;
    for node in [&durable, &live] {
        assert!(node.wait_for(NAME, head, PATIENCE).await.is_yes());
    }
    for key in ["a", "b", ALL] {
        let kept = view::<Pinned>(&writer, key).await;
        assert_eq!(view::<Pages>(&durable, key).await, kept, "durable, of {key}");
        assert_eq!(view::<Pages>(&live, key).await, kept, "live, of {key}");
        if key != ALL {
            assert_eq!(view::<Pages>(&asked, key).await, kept, "asked, of {key}");
        }
    }
    for node in [durable, writer, live, asked] {
        node.stop().await;
    }
}

async fn an_event_that_cannot_be_read_keeps_its_stream_waiting(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(pages(2)).await;
    world.write("bad", vec![garbled()]).await;
    let last = world.note("a", 0).await;
    assert!(node.wait_for(NAME, last, PATIENCE).await.is_yes());
    node.settled().await;
    assert_eq!(view::<Pages>(&node, "a").await, [0]);
    let aside = world.aside(NAME).await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(aside[0].state, ParkedState::Parked, "{aside:?}");
    node.stop().await;
}

async fn a_replay_has_no_effects(probe: Probe) {
    async fn tell(note: Noted, Res(hand): Res<Hand>, work: Work) -> Result<(), HandlerError> {
        crate::runtime::notes::add(&work, &note.key, [note.n]).await?;
        work.send(&Do { what: format!("tell {}", note.n), trip: note.key.clone() })?;
        hand.take(&note).await
    }
    let world = World::new(probe).await;
    let add = |app: AppBuilder| {
        office(app).event_handler("tell", tell).subscription("tell", Subscription::replayable)
    };
    let node = world.node(add).await;
    world.notes("a", 0..3).await;
    node.settled().await;
    let mut told = done(&world, "a").await;
    told.sort();
    assert_eq!(told, ["tell 0", "tell 1", "tell 2"]);
    // As somebody who wants it made anew would.
    let key = cqrs_core::DocumentKey::new(<Tally as cqrs_core::Entity>::COLLECTION, "a");
    let delete = cqrs_core::DocumentWrite::delete(key, cqrs_core::Expected::Any);
    let commit = cqrs_core::Commit { documents: vec![delete], ..cqrs_core::Commit::default() };
    world.probe.answered(commit).await;
    node.subscriptions().rebuild("tell").await.unwrap_or_else(|e| panic!("{e:?}"));
    let last = world.note("a", 3).await;
    assert!(node.wait_for("tell", last, PATIENCE).await.is_yes());
    node.settled().await;
    assert_eq!(world.tally("a").await, [0, 1, 2, 3], "it was made anew");
    assert_eq!(done(&world, "a").await.len(), 4, "what was told before is not told again");
    node.stop().await;
}

async fn another_number_of_partitions_loses_and_repeats_nothing(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(pages(3)).await;
    let moving = world.moves(&node, NAME, [5, 1, 4]);
    let ((), notes) = world.meanwhile(0, |n| world.note_all(4, n), moving).await;
    node.settled().await;
    for key in 0..4 {
        let seen = view::<Pages>(&node, &format!("key-{key}")).await;
        assert_eq!(seen, (0..notes).collect::<Vec<_>>(), "key-{key}: each once, in order");
    }
    let all = (0..notes).flat_map(|n| [n; 4]).collect::<Vec<_>>();
    assert_eq!(view::<Pages>(&node, ALL).await, all, "the view of all, in the order of the log");
    node.stop().await;
}
