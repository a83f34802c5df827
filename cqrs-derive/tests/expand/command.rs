#[automatically_derived]
impl ::cqrs_core::Request for CreateCourse {
    const NAME: &'static str = "learning.create_course";
    const KIND: ::cqrs_core::RequestKind = ::cqrs_core::RequestKind::Command;
    const VERSION: u16 = 2u16;
    const VISIBILITY: ::cqrs_core::Visibility = ::cqrs_core::Visibility::Internal;
    type Output = CourseView;
    type Error = CourseError;
    fn wire() -> ::core::option::Option<::cqrs_core::Wire<Self>> {
        const __HELD: bool = ::cqrs_core::check::travels::<CreateCourse>()
            & ::cqrs_core::check::travels::<CourseView>()
            & ::cqrs_core::check::travels::<CourseError>();
        ::core::option::Option::Some(
            <::cqrs_core::check::Checked<
                ::cqrs_core::Wire<CreateCourse>,
                { __HELD },
            >>::json()
                .with_schema(),
        )
    }
    fn validate(&self) -> ::cqrs_core::Result<()> {
        {
            let __value = &self.title;
            let __count = __value.chars().count();
            if !(1..=200).contains(&__count) {
                return ::core::result::Result::Err(
                    ::cqrs_core::Error::invalid_field(
                        "title",
                        ::std::format!(
                            "`title` has 1 to 200 characters, not {}", __count
                        ),
                    ),
                );
            }
        }
        {
            let __value = &self.price_cents;
            if !(0..=LIMIT).contains(__value) {
                return ::core::result::Result::Err(
                    ::cqrs_core::Error::invalid_field(
                        "price_cents",
                        ::std::format!("`price_cents` is from 0 to {}", LIMIT),
                    ),
                );
            }
        }
        if let ::core::option::Option::Some(__value) = &self.tags {
            let __count = __value.len();
            if !(..=10).contains(&__count) {
                return ::core::result::Result::Err(
                    ::cqrs_core::Error::invalid_field(
                        "tags",
                        ::std::format!("`tags` has at most 10 items, not {}", __count),
                    ),
                );
            }
        }
        check_it(self)
    }
    fn again(&self) -> ::core::option::Option<Self> {
        const __HELD: bool = ::cqrs_core::check::copied::<CreateCourse>();
        ::core::option::Option::Some(
            <::cqrs_core::check::Checked<
                CreateCourse,
                { __HELD },
            > as ::core::clone::Clone>::clone(self),
        )
    }
}
#[automatically_derived]
impl ::cqrs_core::Command for CreateCourse {}
::cqrs_core::discovered!(| __app | __app.expects:: < CreateCourse > ());
