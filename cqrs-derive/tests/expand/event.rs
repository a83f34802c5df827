const _: () = {
    const __TYPES: &[::cqrs_core::EventType] = &[
        ::cqrs_core::EventType::new("learning.course_created", "Created")
            .at_version(2u16),
        ::cqrs_core::EventType::new("learning.course_published", "live"),
    ];
    #[automatically_derived]
    impl ::cqrs_core::Event for CourseEvent {
        const TYPES: &'static [::cqrs_core::EventType] = __TYPES;
        const UPCASTERS: &'static [::cqrs_core::Upcaster] = &[
            ::cqrs_core::Upcaster {
                event_type: "learning.course_created",
                from: 1u16,
                lift: lift_v1,
            },
        ];
        fn event_type(&self) -> &'static ::cqrs_core::EventType {
            match self {
                Self::Created { .. } => &__TYPES[0],
                Self::Published { .. } => &__TYPES[1],
            }
        }
        fn tags(&self) -> ::std::vec::Vec<::std::string::String> {
            match self {
                Self::Created { tutor_id: field_tutor_id, .. } => {
                    ::std::vec![::std::format!("tutor:{}", field_tutor_id)]
                }
                _ => ::std::vec::Vec::new(),
            }
        }
        fn schema(
            __event_type: &::cqrs_core::EventType,
        ) -> ::core::option::Option<::cqrs_core::check::Value> {
            ::cqrs_core::event_schema::<Self>(__event_type)
        }
    }
};
