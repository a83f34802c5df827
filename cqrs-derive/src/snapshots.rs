//! What the macros write, word for word, held against `tests/expand`. `TRYBUILD=overwrite` accepts
//! what is new.

use std::{env, fs};

use proc_macro2::TokenStream;
use quote::quote;

use crate::ast::handler::Role;
use crate::ast::request::Kind;
use crate::expand;

fn written(name: &str, tokens: TokenStream) {
    let text = prettyplease::unparse(&syn::parse2(tokens).unwrap());
    let path = format!("{}/tests/expand/{name}.rs", env!("CARGO_MANIFEST_DIR"));
    if env::var_os("TRYBUILD").is_some_and(|mode| mode == "overwrite") {
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{path} says otherwise than this:\n\n{text}");
}

fn derived(name: &str, item: TokenStream, expand: impl Fn(&syn::DeriveInput) -> TokenStream) {
    written(name, expand(&syn::parse2(item).unwrap()));
}

#[test]
fn a_command() {
    let item = quote! {
        #[command(name = "learning.create_course", output = CourseView, error = CourseError)]
        #[command(version = 2, internal, validate = check_it, schema)]
        struct CreateCourse {
            #[check(chars = 1..=200)]
            title: String,
            #[check(range = 0..=LIMIT)]
            price_cents: u64,
            #[check(items = ..=10)]
            tags: Option<Vec<String>>,
        }
    };
    derived("command", item, |item| expand::request(Kind::Command, item));
}

#[test]
fn a_small_query() {
    let item = quote! {
        #[query(name = "learning.courses", local, run_once, shared)]
        struct Courses;
    };
    derived("query", item, |item| expand::request(Kind::Query, item));
}

#[test]
fn a_query_that_says_where_the_crate_is() {
    let item = quote! {
        #[query(name = "learning.courses", run_once, crate = facade::events)]
        struct Courses;
    };
    derived("query_elsewhere", item, |item| expand::request(Kind::Query, item));
}

#[test]
fn an_event() {
    let item = quote! {
        #[event(schema)]
        enum CourseEvent {
            #[event(name = "learning.course_created", version = 2, upcast(1 = lift_v1))]
            #[event(tag = "tutor:{tutor_id}")]
            Created { tutor_id: u32 },
            #[event(name = "learning.course_published")]
            #[serde(rename = "live")]
            Published,
        }
    };
    derived("event", item, expand::event);
}

#[test]
fn a_set_of_events() {
    let item = quote!(
        enum Input {
            Course(CourseEvent),
            Enrollment(EnrollmentEvent),
        }
    );
    derived("event_set", item, expand::event_set);
}

#[test]
fn a_rejection() {
    let item = quote! {
        enum CourseError {
            #[rejection(code = "learning.course_not_published", field = "course_id")]
            NotPublished,
            #[rejection(transparent)]
            Payment(PaymentError),
        }
    };
    derived("rejection", item, expand::rejection);
}

#[test]
fn an_aggregate() {
    let item = quote! {
        #[aggregate(category = "course", id = Uuid, event = CourseEvent)]
        #[aggregate(snapshot(every = 100))]
        struct Course;
    };
    derived("aggregate", item, expand::aggregate);
}

#[test]
fn an_aggregate_that_is_a_document() {
    let item = quote! {
        #[aggregate(category = "tutor", id = String, event = TutorEvent, document)]
        struct Tutor;
    };
    derived("aggregate_document", item, expand::aggregate);
}

#[test]
fn an_aggregate_with_a_function_of_its_own() {
    let item = quote! {
        #[aggregate(category = "course", id = Uuid, event = CourseEvent, apply = Course::on_event)]
        struct Course;
    };
    derived("aggregate_apply", item, expand::aggregate);
}

#[test]
fn a_command_handler() {
    let item = quote! {
        #[cfg(unix)]
        async fn enroll(c: Enroll, work: Work) -> Result<(), Failure<EnrollError>> { Ok(()) }
    };
    written("command_handler", expand::handler::expand(Role::Command, quote!(), &item));
}

#[test]
fn an_aggregate_that_decides() {
    let item = quote!(impl Decide<CreateCourse> for Course {});
    written("decides", expand::handler::expand(Role::Command, quote!(), &item));
}

#[test]
fn an_event_handler() {
    let name = quote!(name = "learning.mailer");
    let item = quote!(
        async fn mail(event: CourseEvent) -> Result<(), HandlerError> {
            Ok(())
        }
    );
    written("event_handler", expand::handler::expand(Role::Event, name, &item));
}

#[test]
fn an_entity_with_a_schema() {
    let item = quote! {
        #[schema(collection = "tutors", version = 3)]
        struct Tutor {
            #[schema(id)]
            tutor_id: Uuid,
            #[schema(unique, name = "mail")]
            email: Option<String>,
            #[schema(indexed)]
            city: String,
            #[serde(rename = "since", default, with = "seconds")]
            #[schema(as = i64)]
            joined: Moment,
            subjects: Vec<Subject>,
            #[serde(skip)]
            hot: bool,
        }
    };
    derived("schema_entity", item, expand::schema);
}

#[test]
fn parts_of_entities() {
    let subject = quote! {
        #[serde(rename_all = "camelCase")]
        struct Subject {
            long_name: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            level: Option<Level>,
        }
    };
    derived("schema_struct", subject, expand::schema);
    let email = quote! {
        #[schema(indexable)]
        struct Email(String);
    };
    derived("schema_newtype", email, expand::schema);
    let level = quote! {
        #[schema(indexable)]
        enum Level { Junior, Senior }
    };
    derived("schema_enum", level, expand::schema);
}
