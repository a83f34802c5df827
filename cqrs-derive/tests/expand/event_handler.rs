async fn mail(event: CourseEvent) -> Result<(), HandlerError> {
    Ok(())
}
const _: () = {
    const __INPUT: bool = ::cqrs_core::check::events::<CourseEvent>();
    const __PARAMETERS: bool = true;
    const __ANSWER: bool = ::cqrs_core::check::nothing::<()>()
        & ::cqrs_core::check::cause::<HandlerError>();
    const __FUTURE: bool = {
        let _ = |__p0: CourseEvent| ::cqrs_core::check::future::<
            { __INPUT & __PARAMETERS & __ANSWER },
            _,
        >(mail(__p0));
        __INPUT & __PARAMETERS & __ANSWER
    };
    ::cqrs_core::discovered!(
        | __app | __app.event_handler:: < ::cqrs_core::check::Checked < CourseEvent, {
        __FUTURE } >, _ > ("learning.mailer", mail)
    );
};
