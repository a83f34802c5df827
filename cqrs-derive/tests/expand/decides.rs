impl Decide<CreateCourse> for Course {}
const _: () = {
    #[allow(unused_imports, reason = "for an `impl` that does not compile")]
    use ::cqrs_core::check::DecidesNot as _;
    ::cqrs_core::discovered!(
        | __app | ::cqrs_core::check::Decides:: < Course, CreateCourse >
        ::announce(__app)
    );
};
