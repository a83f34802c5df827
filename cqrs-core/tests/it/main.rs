//! Tests of the crate from outside, in one binary.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

mod app;
mod bank;
mod building;
mod cache;
mod deletions;
mod events;
mod fold;
mod hooked;
mod hot_documents;
mod keys;
mod layers;
mod listening;
mod logged;
mod misuse;
mod rebuilt;
mod refused;
mod relayed;
mod repeats;
mod sagas;
mod schemas;
mod sending;
mod shop;
mod snapshots;
mod stored;
mod subscriptions;
mod subscriptions_aside;
mod subscriptions_moved;
mod subscriptions_overtaken;
mod tally;
mod tower;
mod translating;
mod troubled;
mod turns;
mod tutor;
mod watched;
