//! Servers that are connected to, or not.

use cqrs_core::ErrorKind;
use store_mongo::MongoStore;
use test_servers::Mongo;

use crate::own::folder;

#[tokio::test]
async fn a_standalone_server_is_refused_and_the_error_says_what_to_do() {
    let (_folder, path) = folder();
    let server = tokio::task::spawn_blocking(move || Mongo::start_standalone(&path));
    let server = server.await.unwrap().unwrap_or_else(|error| panic!("{error}"));
    let error = MongoStore::connect(&server.url()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("--replSet") && said.contains("rs.initiate()"), "{said}");
}
