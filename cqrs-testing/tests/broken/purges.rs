//! Stores that purge documents wrongly.

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Collection, Commit, Document, DocumentKey, DocumentWrite, Expected, FindDocuments, Result,
    Store,
};

use crate::base::Fault;

/// Declares a fault that overrides `purge_documents`.
macro_rules! purge_fault {
    ($(#[$doc:meta])* $name:ident, |$store:ident, $collection:ident, $limit:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        #[async_trait]
        impl Fault for $name {
            async fn purge(
                &self,
                $store: &MemoryStore,
                $collection: &str,
                $limit: u32,
            ) -> Result<u32> {
                $body
            }
        }
    };
}

/// All documents of a tenant.
async fn all(
    store: &MemoryStore,
    collection: &str,
    tenant: Option<&str>,
) -> Result<Vec<(DocumentKey, Document)>> {
    let name = collection.to_owned();
    let find = FindDocuments { tenant: tenant.map(Into::into), ..FindDocuments::all(name.clone()) };
    let found = store.find_documents(find.limit(u32::MAX)).await?.into_iter();
    let key = |id: &str| DocumentKey {
        tenant: tenant.map(Into::into),
        ..DocumentKey::new(name.clone(), id)
    };
    Ok(found.map(|document| (key(&document.id), document)).collect())
}

async fn writes(store: &MemoryStore, writes: impl Iterator<Item = DocumentWrite>) -> Result<()> {
    store.commit(Commit { documents: writes.collect(), ..Commit::default() }).await?;
    Ok(())
}

purge_fault! {
    /// Removes all of them at once.
    PurgesWithoutALimit, |store, collection, limit| {
        store.purge_documents(collection, u32::MAX).await.map(|n| n.min(limit))
    }
}

purge_fault! {
    /// Removes one more than it may.
    PurgesOneMore, |store, collection, limit| store.purge_documents(collection, limit + 1).await
}

purge_fault! {
    /// Does not say how many it removed.
    CountsNothing, |store, collection, limit| {
        store.purge_documents(collection, limit).await.map(|_| 0)
    }
}

purge_fault! {
    /// Deletes documents, and keeps their versions.
    DeletesInsteadOfPurging, |store, collection, limit| {
        let found = all(store, collection, None).await?.into_iter().take(limit as usize);
        let deletions = found.map(|(key, _)| DocumentWrite::delete(key, Expected::Any));
        let deletions = deletions.collect::<Vec<_>>();
        let n = deletions.len() as u32;
        writes(store, deletions.into_iter()).await?;
        Ok(n)
    }
}

purge_fault! {
    /// Removes what has no tenant.
    LeavesTenants, |store, collection, limit| {
        let left = all(store, collection, Some("acme")).await?;
        let n = store.purge_documents(collection, limit).await?;
        let left = left.into_iter();
        let put = |(key, document): (DocumentKey, Document)| {
            DocumentWrite::put(key, Expected::Any, document.body)
        };
        writes(store, left.map(put)).await?;
        Ok(n)
    }
}

purge_fault! {
    /// Removes collections whose names begin so.
    PurgesByThePrefix, |store, collection, limit| {
        store.purge_documents(&format!("{collection}s"), limit).await?;
        store.purge_documents(collection, limit).await
    }
}

purge_fault! {
    /// Forgets what was declared.
    ForgetsTheDeclaration, |store, collection, limit| {
        let n = store.purge_documents(collection, limit).await?;
        store.declare(Collection::new(collection.to_owned())).await?;
        Ok(n)
    }
}

/// Leaves the values of purged documents in its index.
#[derive(Debug, Default)]
pub(crate) struct LeavesTheIndex;

const GHOST: &str = "ghost of ";

#[async_trait]
impl Fault for LeavesTheIndex {
    async fn purge(&self, store: &MemoryStore, collection: &str, limit: u32) -> Result<u32> {
        let purged = all(store, collection, None).await?;
        let n = store.purge_documents(collection, limit).await?;
        let ghosts = purged.into_iter().map(|(key, document)| {
            let key = DocumentKey { id: format!("{GHOST}{}", key.id), ..key };
            DocumentWrite::put(key, Expected::Any, document.body)
        });
        writes(store, ghosts).await?;
        Ok(n)
    }

    async fn find(&self, store: &MemoryStore, find: FindDocuments) -> Result<Vec<Document>> {
        let mut found = store.find_documents(find).await?;
        found.retain(|document| !document.id.starts_with(GHOST));
        Ok(found)
    }
}
