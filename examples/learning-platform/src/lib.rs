//! The learning platform: courses and enrolments as commands, queries and events, over HTTP.
//!
//! A library so that the program, its tests and its benchmark share one service. [`http`] knows
//! nothing of courses; [`learning`] and [`payments`] know nothing of HTTP, nor of each other.

pub mod http;
pub mod learning;
pub mod payments;
