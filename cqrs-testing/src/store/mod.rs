//! The store suite: what any adapter of the store port must do, case by case.

pub(crate) mod case;
mod cases;
pub(crate) mod fixture;
pub(crate) mod handle;
pub(crate) mod make;
pub(crate) mod probe;
pub(crate) mod seen;
pub(crate) mod suite;
pub(crate) mod waiting;
