#[automatically_derived]
impl ::cqrs_core::Request for Courses {
    const NAME: &'static str = "learning.courses";
    const KIND: ::cqrs_core::RequestKind = ::cqrs_core::RequestKind::Query;
    type Output = ();
    type Error = ::cqrs_core::Never;
}
#[automatically_derived]
impl ::cqrs_core::Query for Courses {}
