#[automatically_derived]
impl facade::events::Request for Courses {
    const NAME: &'static str = "learning.courses";
    const KIND: facade::events::RequestKind = facade::events::RequestKind::Query;
    type Output = ();
    type Error = facade::events::Never;
    fn wire() -> ::core::option::Option<facade::events::Wire<Self>> {
        const __HELD: bool = facade::events::check::travels::<Courses>()
            & facade::events::check::travels::<()>()
            & facade::events::check::travels::<facade::events::Never>();
        ::core::option::Option::Some(
            <facade::events::check::Checked<
                facade::events::Wire<Courses>,
                { __HELD },
            >>::json(),
        )
    }
}
#[automatically_derived]
impl facade::events::Query for Courses {}
facade::events::discovered!(| __app | __app.expects:: < Courses > ());
