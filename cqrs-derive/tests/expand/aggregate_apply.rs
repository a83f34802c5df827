#[automatically_derived]
impl ::cqrs_core::Aggregate for Course {
    const CATEGORY: &'static str = "course";
    type Id = Uuid;
    type Event = CourseEvent;
    fn apply(&mut self, __event: &Self::Event) {
        Course::on_event(self, __event)
    }
}
