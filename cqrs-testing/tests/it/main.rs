//! Tests of the tools themselves: what a suite says, and where a scenario fails.

mod outcomes;
mod scenario;
