//! A path to `cqrs-core` that leads nowhere.

use cqrs_derive::{Query, query_handler};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Query)]
#[query(name = "test.elsewhere", crate = nowhere::cqrs_core)]
struct Elsewhere;

#[query_handler(crate = nowhere::cqrs_core)]
async fn elsewhere(_: Elsewhere) -> Result<(), cqrs_core::Never> {
    Ok(())
}

fn main() {}
