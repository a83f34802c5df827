//! The bus suite: what any adapter of the bus ports must do, case by case.

pub(crate) mod broker;
pub(crate) mod case;
mod cases;
pub(crate) mod fixture;
pub(crate) mod make;
pub(crate) mod member;
pub(crate) mod probe;
pub(crate) mod responder;
pub(crate) mod service;
pub(crate) mod suite;
