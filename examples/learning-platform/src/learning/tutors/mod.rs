//! Tutors: a profile each, which is stored as it is shown, and who of them teaches what.
//!
//! [`requests`] and [`error`] are the contract, [`profile`] the rules. A profile is an entity with a schema: a
//! table with columns, or a collection with fields, which [`by_subject`] asks in the words of its database.

pub mod by_subject;
pub mod error;
pub mod profile;
pub mod requests;

mod queries;
