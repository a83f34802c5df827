//! What the docs show is what is there.

const FRONT_PAGE: &str = include_str!("../src/lib.rs");
const HELLO: &str = include_str!("../../examples/hello/src/main.rs");

#[test]
fn the_front_page_shows_the_program_of_hello() {
    let fence = |line: &&str| *line != "//! ```";
    let shown = FRONT_PAGE.lines().skip_while(fence).skip(1).take_while(fence);
    let shown = shown.map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or(""));
    let program = HELLO.lines().skip_while(|line| line.starts_with("//!") || line.is_empty());
    assert_eq!(shown.collect::<Vec<_>>(), program.collect::<Vec<_>>());
}
