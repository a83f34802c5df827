#[automatically_derived]
impl ::cqrs_core::Schema for Level {
    fn field_type() -> ::cqrs_core::FieldType {
        ::cqrs_core::FieldType::Text
    }
}
#[automatically_derived]
impl ::cqrs_core::Indexable for Level {}
