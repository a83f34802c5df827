#[automatically_derived]
impl ::cqrs_core::Schema for Email {
    fn field_type() -> ::cqrs_core::FieldType {
        <String as ::cqrs_core::Schema>::field_type()
    }
}
#[automatically_derived]
impl ::cqrs_core::Indexable for Email
where
    String: ::cqrs_core::Indexable,
{}
