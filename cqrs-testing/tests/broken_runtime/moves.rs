//! Stores that change what is known of a subscription while it moves to other partitions.

use cqrs_core::{
    Commit, Committed, DocumentBody, DocumentKey, DocumentWrite, Expected, Json, Store,
};
