//! The views of an inline projection made anew, of all events there are.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;

use crate::domain::projection::Projection;
use crate::error::{Conflict, ErrorKind, Result};
use crate::port::Position;
use crate::port::commit::Commit;
use crate::port::filter::Filter;
use crate::port::read::ReadLog;
use crate::port::store::Store;
use crate::runtime::control::{self, Control, Generation};
use crate::runtime::inline::projection::{InlineViews, KEPT, fold, write};
use crate::runtime::projection::consumer::Folding;
use crate::runtime::projection::{collection, collection_name};
use crate::runtime::view;
use crate::schema::entity::Entity;

/// Documents that are removed at once.
const PURGED: u32 = 1_000;

impl<P: Projection> InlineViews<P> {
    /// Beside what is live, from the beginning of the log; then what was live is removed. One that was
    /// broken off begins anew.
    pub(super) async fn build(&self, store: &Arc<dyn Store>) -> Result<()> {
        let _changing = self.changing.lock().await;
        store.declare(Control::collection()).await?;
        let (before, built) = loop {
            let before = control::read(&**store, P::NAME).await?;
            let known = match &before {
                Some(before) => (**before).clone(),
                None => Control::new(P::NAME, P::VERSION, 1, 0),
            };
            let built = Control { inline: true, ..known.remade(P::VERSION, 1) };
            let views = built.live.views;
            purge::<P>(store, views).await?;
            store.declare(collection::<P>(views)).await?;
            let mut folding = Folding::<P>::new(store.clone(), collection_name::<P>(views), KEPT);
            let mut at = 0;
            let written = loop {
                at = read_on(store, &mut folding, at).await?;
                match write::<P>(store, before.as_ref(), &built, at).await {
                    Err(error) if is_of_new_events(error.kind()) => {}
                    done => break done,
                }
            };
            match written {
                Ok(()) => break (before, built),
                // Another node does the same: one of them is right.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        };
        self.views.store(built.live.views, Ordering::Release);
        if before.is_none() {
            return Ok(());
        }
        // By then nobody reads what was live.
        tokio::time::sleep(2 * view::KNOWN_FOR).await;
        let of_others = |old: &&Generation| old.views != built.live.views;
        for old in built.retired.iter().filter(of_others) {
            purge::<P>(store, old.views).await?;
        }
        let Some(now) = control::read(&**store, P::NAME).await? else { return Ok(()) };
        let cleared = Control { retired: Vec::new(), ..built };
        control::write(&**store, Some(&now), &cleared).await
    }
}

/// Folds what comes after a position. Where it got.
async fn read_on<P: Projection>(
    store: &Arc<dyn Store>,
    folding: &mut Folding<P>,
    after: Position,
) -> Result<Position> {
    let mut at = after;
    let mut pages = store.read_log(ReadLog::after(after).filter(Filter::of::<P::Input>()));
    while let Some(page) = pages.next().await {
        let page = Arc::new(page?);
        let events: Vec<_> = page.iter().collect();
        let views = fold(folding, &page, &events).await?;
        if !views.is_empty() {
            store.commit(Commit { views, ..Commit::default() }).await?;
        }
        folding.written();
        at = page.through();
    }
    Ok(at)
}

async fn purge<P: Projection>(store: &Arc<dyn Store>, views: u32) -> Result<()> {
    let collection = collection_name::<P>(views);
    while store.purge_documents(&collection, PURGED).await? == PURGED {}
    Ok(())
}

fn is_of_new_events(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict(Conflict::NoneMatching { .. }))
}
