#[automatically_derived]
impl ::cqrs_core::Schema for Tutor {
    fn field_type() -> ::cqrs_core::FieldType {
        ::cqrs_core::FieldType::structure(
            ::core::any::type_name::<Self>(),
            || {
                ::std::vec![
                    ::cqrs_core::Field::new("tutor_id", < Uuid as ::cqrs_core::Schema >
                    ::field_type()), ::cqrs_core::Field::new("email",
                    ::cqrs_core::check::indexed:: < Option < String > > ())
                    .column("mail").unique(), ::cqrs_core::Field::new("city",
                    ::cqrs_core::check::indexed:: < String > ()).indexed(),
                    ::cqrs_core::Field::new("since", < i64 as ::cqrs_core::Schema >
                    ::field_type()).may_miss(), ::cqrs_core::Field::new("subjects", < Vec
                    < Subject > as ::cqrs_core::Schema > ::field_type())
                ]
            },
        )
    }
}
#[automatically_derived]
impl ::cqrs_core::Entity for Tutor {
    const COLLECTION: &'static str = "tutors";
    const INDEXED: &'static [&'static str] = &["city"];
    const UNIQUE: &'static [&'static str] = &["email"];
    fn id(&self) -> ::std::string::String {
        ::cqrs_core::AggregateId::key(&self.tutor_id)
    }
    fn mapping() -> ::core::option::Option<::cqrs_core::Mapping> {
        ::core::option::Option::Some(
            ::cqrs_core::Mapping::new(
                    3u32,
                    <Self as ::cqrs_core::Schema>::field_type().into_fields(),
                )
                .id("tutor_id"),
        )
    }
}
