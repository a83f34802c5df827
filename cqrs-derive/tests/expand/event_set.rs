#[automatically_derived]
impl ::cqrs_core::EventSet for Input {
    fn types() -> ::std::vec::Vec<::cqrs_core::EventType> {
        [
            <CourseEvent as ::cqrs_core::EventSet>::types(),
            <EnrollmentEvent as ::cqrs_core::EventSet>::types(),
        ]
            .concat()
    }
    fn problems() -> ::std::vec::Vec<::cqrs_core::Problem> {
        [
            <CourseEvent as ::cqrs_core::EventSet>::problems(),
            <EnrollmentEvent as ::cqrs_core::EventSet>::problems(),
        ]
            .concat()
    }
    fn schema(__event_type: &str) -> ::core::option::Option<::cqrs_core::check::Value> {
        ::core::option::Option::None
            .or_else(|| <CourseEvent as ::cqrs_core::EventSet>::schema(__event_type))
            .or_else(|| <EnrollmentEvent as ::cqrs_core::EventSet>::schema(__event_type))
    }
    fn from_raw(
        __raw: ::cqrs_core::Raw<'_>,
    ) -> ::core::option::Option<::core::result::Result<Self, ::cqrs_core::BoxError>> {
        if let ::core::option::Option::Some(__event) = <CourseEvent as ::cqrs_core::EventSet>::from_raw(
            __raw,
        ) {
            return ::core::option::Option::Some(__event.map(Self::Course));
        }
        if let ::core::option::Option::Some(__event) = <EnrollmentEvent as ::cqrs_core::EventSet>::from_raw(
            __raw,
        ) {
            return ::core::option::Option::Some(__event.map(Self::Enrollment));
        }
        ::core::option::Option::None
    }
}
