//! The program of the guide's tutorial, with the tests that it shows.

#[expect(dead_code, reason = "its `main` is a program of its own")]
#[path = "../src/guide/library.rs"]
mod library;
