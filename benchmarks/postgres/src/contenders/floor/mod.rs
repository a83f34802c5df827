//! The floors: the least that the same work costs, by hand with tokio-postgres. Statements are
//! prepared and connections are held.

mod group;
mod grouped;
mod known_versions;
mod load_insert;
mod reader;
mod tables;

pub(crate) use grouped::Grouped;
pub(crate) use known_versions::KnownVersions;
pub(crate) use load_insert::LoadInsert;
pub(crate) use reader::Reader;
