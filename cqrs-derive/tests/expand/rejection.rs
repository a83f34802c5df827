#[automatically_derived]
impl ::cqrs_core::Rejection for CourseError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotPublished { .. } => "learning.course_not_published",
            Self::Payment { 0: __inner } => {
                <PaymentError as ::cqrs_core::Rejection>::code(__inner)
            }
        }
    }
    fn field(&self) -> ::core::option::Option<&str> {
        match self {
            Self::NotPublished { .. } => ::core::option::Option::Some("course_id"),
            Self::Payment { 0: __inner } => {
                <PaymentError as ::cqrs_core::Rejection>::field(__inner)
            }
        }
    }
    fn codes() -> &'static [&'static str] {
        static CODES: ::std::sync::LazyLock<::std::vec::Vec<&'static str>> = ::std::sync::LazyLock::new(||
        {
            [
                &["learning.course_not_published"] as &[_],
                <PaymentError as ::cqrs_core::Rejection>::codes(),
            ]
                .concat()
        });
        &CODES
    }
}
