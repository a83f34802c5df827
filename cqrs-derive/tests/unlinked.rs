//! A crate that nothing refers to is not there: the other half of `link!`.

use cqrs_core::{App, ErrorKind, Problem};

#[test]
fn nothing_is_found_in_a_crate_that_is_not_linked() {
    let Err(error) = App::builder().discover_in("derive_fixture_plugin").build() else {
        panic!("it is linked");
    };
    let nothing = Problem::NothingDiscovered { module: "derive_fixture_plugin" };
    assert_eq!(*error.kind(), ErrorKind::Build(vec![nothing]));
}
