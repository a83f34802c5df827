//! The learning platform: courses and enrolments as commands, queries and events, over HTTP.
//!
//! A library so that the program, its tests and its benchmark share one service. [`http`] knows
//! nothing of courses; [`learning`] and [`payments`] know nothing of HTTP. Learning knows of the
//! payments what can be asked of them, and sends it as messages; payments know nothing of learning.
//! [`notifications`] follow its events, [`sagas`] lists what was begun. [`service`] puts them together.

pub mod http;
pub mod learning;
pub mod log;
pub mod notifications;
pub mod page;
pub mod payments;
pub mod sagas;
pub mod service;
pub mod settings;
pub mod store;
