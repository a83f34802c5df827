#[automatically_derived]
impl ::cqrs_core::Aggregate for Tutor {
    const CATEGORY: &'static str = "tutor";
    type Id = String;
    type Event = TutorEvent;
    fn apply(&mut self, __event: &Self::Event) {
        #[allow(unused_imports, reason = "it says what to write where `on` is missing")]
        use ::cqrs_core::check::NeedsOn as _;
        self.on(__event)
    }
    fn storage() -> ::cqrs_core::Storage<Self> {
        ::cqrs_core::Storage::document()
    }
}
