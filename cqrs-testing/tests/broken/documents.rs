//! Stores that keep and find documents wrongly.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Collection, Commit, Committed, Document, DocumentKey, FindDocuments, Result, Store,
};

use crate::base::Fault;

/// Declares no field as unique.
#[derive(Debug, Default)]
pub(crate) struct IgnoresUnique;

#[async_trait]
impl Fault for IgnoresUnique {
    async fn declare(&self, store: &MemoryStore, mut collection: Collection) -> Result<()> {
        collection.fields.iter_mut().for_each(|field| field.unique = false);
        store.declare(collection).await
    }
}

/// Checks documents one by one: a value is taken until its document is written.
#[derive(Debug, Default)]
pub(crate) struct ChecksUniqueOneByOne;

#[async_trait]
impl Fault for ChecksUniqueOneByOne {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        while commit.documents.len() > 1 {
            let first = vec![commit.documents.remove(0)];
            store.commit(Commit { documents: first, ..Commit::default() }).await?;
        }
        store.commit(commit).await
    }
}

/// Forgets the version of a document when it is deleted.
#[derive(Debug, Default)]
pub(crate) struct RestartsVersions(Mutex<HashMap<DocumentKey, u64>>);

#[async_trait]
impl Fault for RestartsVersions {
    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        let mut deleted = Vec::new();
        for write in commit.documents.iter().filter(|write| write.body.is_none()) {
            if let Some(document) = store.document(&write.key).await? {
                deleted.push((write.key.clone(), document.version + 1));
            }
        }
        let answer = store.commit(commit).await?;
        self.0.lock().expect("no panic").extend(deleted);
        Ok(answer)
    }

    async fn document(&self, store: &MemoryStore, key: &DocumentKey) -> Result<Option<Document>> {
        let start = self.0.lock().expect("no panic").get(key).copied().unwrap_or(0);
        let document = store.document(key).await?;
        Ok(document.map(|document| Document { version: document.version - start, ..document }))
    }
}

/// Gives the documents that are found in the order of nothing.
#[derive(Debug, Default)]
pub(crate) struct FindsInAnyOrder;

#[async_trait]
impl Fault for FindsInAnyOrder {
    async fn find(&self, store: &MemoryStore, find: FindDocuments) -> Result<Vec<Document>> {
        let mut found = store.find_documents(find).await?;
        found.sort_by_key(|document| document.id.to_lowercase());
        Ok(found)
    }
}

/// Passes no documents over.
#[derive(Debug, Default)]
pub(crate) struct SkipsNothing;

#[async_trait]
impl Fault for SkipsNothing {
    async fn find(&self, store: &MemoryStore, find: FindDocuments) -> Result<Vec<Document>> {
        store.find_documents(find.skip(0)).await
    }
}

/// Counts the page that is asked for, and not all there are.
#[derive(Debug, Default)]
pub(crate) struct CountsOnePage;

#[async_trait]
impl Fault for CountsOnePage {
    async fn count(&self, store: &MemoryStore, find: &FindDocuments) -> Result<u64> {
        Ok(store.find_documents(find.clone()).await?.len() as u64)
    }
}

/// Finds nothing by a field that nobody declared, instead of saying so.
#[derive(Debug, Default)]
pub(crate) struct FindsByAnything;

#[async_trait]
impl Fault for FindsByAnything {
    async fn find(&self, store: &MemoryStore, find: FindDocuments) -> Result<Vec<Document>> {
        Ok(store.find_documents(find).await.unwrap_or_default())
    }
}
