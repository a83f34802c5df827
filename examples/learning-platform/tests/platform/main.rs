//! The service as a stranger meets it: a process, an address, HTTP.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

mod admin;
mod bridges;
mod client;
mod courses;
mod enrolling;
mod enrollments;
mod events;
mod hostile;
mod idempotency;
mod kill;
mod overload;
mod page;
mod problems;
mod service;
mod starting;
mod steps;
mod steps_child;
mod steps_stage;
mod storm;
mod storm_clients;
mod storm_mongo;
mod storm_postgres;
mod storm_services;
mod storm_sums;
mod tutors;
mod webdriver;
