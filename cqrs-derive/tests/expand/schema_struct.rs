#[automatically_derived]
impl ::cqrs_core::Schema for Subject {
    fn field_type() -> ::cqrs_core::FieldType {
        ::cqrs_core::FieldType::structure(
            ::core::any::type_name::<Self>(),
            || {
                ::std::vec![
                    ::cqrs_core::Field::new("longName", < String as ::cqrs_core::Schema >
                    ::field_type()), ::cqrs_core::Field::new("level", < Option < Level >
                    as ::cqrs_core::Schema > ::field_type()).may_miss()
                ]
            },
        )
    }
}
