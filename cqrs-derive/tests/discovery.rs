//! What the macros announce is found, once its crate is linked.

use cqrs_core::{App, BoxError, ErrorKind, Problem};
use derive_fixture_contracts::Greet;

cqrs_core::link!(derive_fixture_plugin);

fn names(app: &App) -> Vec<&'static str> {
    app.manifest().requests.iter().map(|request| request.name).collect()
}

#[tokio::test]
async fn a_linked_crate_brings_its_handlers() -> Result<(), BoxError> {
    let builder = App::builder().resource("Hello".to_owned());
    let Err(error) = builder.discover().build() else { panic!("the forgotten one was handled") };
    let missing = Problem::MissingHandler { message: "fixture.forgotten" };
    assert_eq!(*error.kind(), ErrorKind::Build(vec![missing]));
    Ok(())
}

#[tokio::test]
async fn a_role_takes_only_its_module() -> Result<(), BoxError> {
    let app = App::builder().discover_in("numbers").build()?;
    assert_eq!(names(&app), ["fixture.double"]);
    Ok(())
}

#[tokio::test]
async fn a_contract_without_a_handler_here_is_no_problem() -> Result<(), BoxError> {
    let builder = App::builder().resource("Hello".to_owned());
    let builder = builder.handler(forgotten).discover();
    let app = builder.build()?;
    assert_eq!(names(&app), ["fixture.double", "fixture.forgotten", "fixture.greet"]);
    assert_eq!(app.send(Greet { name: "Ada".into() }).await?, "Hello, Ada");
    Ok(())
}

async fn forgotten(_: derive_fixture_plugin::forgotten::Forgotten) -> Result<(), cqrs_core::Never> {
    Ok(())
}
