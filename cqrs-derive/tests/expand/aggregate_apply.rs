#[automatically_derived]
impl ::cqrs_core::Aggregate for Course {
    const CATEGORY: &'static str = "course";
    type Id = Uuid;
    type Event = CourseEvent;
    fn apply(&mut self, event: &Self::Event) {
        Course::on_event(self, event)
    }
}
