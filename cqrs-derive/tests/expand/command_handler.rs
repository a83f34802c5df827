#[cfg(unix)]
async fn enroll(c: Enroll, work: Work) -> Result<(), Failure<EnrollError>> {
    Ok(())
}
#[cfg(unix)]
const _: () = {
    const __INPUT: bool = ::cqrs_core::check::command::<Enroll>();
    const __PARAMETERS: bool = true & ::cqrs_core::check::parameter::<Work>();
    const __ANSWER: bool = ::cqrs_core::check::output::<
        ::cqrs_core::check::Checked<Enroll, { __INPUT }>,
        (),
    >()
        & ::cqrs_core::check::error::<
            ::cqrs_core::check::Checked<Enroll, { __INPUT }>,
            Failure<EnrollError>,
        >();
    const __FUTURE: bool = {
        let _ = |__p0: Enroll, __p1: Work| ::cqrs_core::check::future::<
            { __INPUT & __PARAMETERS & __ANSWER },
            _,
        >(enroll(__p0, __p1));
        __INPUT & __PARAMETERS & __ANSWER
    };
    ::cqrs_core::discovered!(
        | __app | __app.handler:: < ::cqrs_core::check::Checked < Enroll, { __FUTURE } >,
        _ > (enroll)
    );
};
