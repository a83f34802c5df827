//! Each mistake is one error that says what to write. `TRYBUILD=overwrite` accepts what is new.

#[test]
fn mistakes_are_explained() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
