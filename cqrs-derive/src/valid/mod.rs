//! What is right: names, versions, placeholders, shapes.

pub(crate) mod name;
pub(crate) mod parameter;
pub(crate) mod shape;
pub(crate) mod tag;
pub(crate) mod upcast;
