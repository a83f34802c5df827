//! Connections that are protected: by a certificate that is checked, or not at all.

use cqrs_core::{ErrorKind, Expected, Filter, Store};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use store_postgres::PostgresStore;
use test_servers::Postgres;

use crate::short::{Own, deposit, log_of, plain};

/// A host that is not this one, by its name.
const ELSEWHERE: &str = "db.elsewhere.test";

/// A server with a certificate for these names, and the certificate in DER.
async fn server(names: &[&str]) -> (Own, Vec<u8>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let der = cert.der().to_vec();
    let builder = Postgres::builder()
        .set("ssl", "on")
        .file("server.crt", cert.pem())
        .file("server.key", signing_key.serialize_pem());
    (tokio::task::spawn_blocking(|| Own::with(builder)).await.unwrap(), der)
}

/// The server by another name: its address is said beside it.
fn called(server: &Own, host: &str) -> String {
    format!("{}?hostaddr=127.0.0.1", server.url().replace("127.0.0.1", host))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_another_machine_every_connection_is_protected() {
    let (server, certificate) = server(&[ELSEWHERE]).await;
    let builder = PostgresStore::builder(called(&server, ELSEWHERE));
    let store = builder.root_certificate(certificate).connect().await.unwrap();
    store.commit(deposit("17", Expected::NoStream)).await.unwrap();
    assert_eq!(log_of(&store, Filter::default()).await[0].len(), 1);
    drop(store.pool().get().await.unwrap());
    let open = "SELECT count(*) FILTER (WHERE s.ssl), count(*) FILTER (WHERE NOT s.ssl)
      FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a USING (pid)
      WHERE a.client_port IS NOT NULL AND pid <> pg_backend_pid()";
    let row = plain(&server.url()).await.query_one(open, &[]).await.unwrap();
    let (protected, open): (i64, i64) = (row.get(0), row.get(1));
    // Those that write, load, read, listen, and are the user's.
    assert!(protected >= 5 && open == 0, "{protected} are protected, {open} are not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_nobody_known_or_for_another_name_is_refused() {
    let (server, certificate) = server(&[ELSEWHERE]).await;
    let unknown = PostgresStore::builder(called(&server, ELSEWHERE)).connect().await;
    let other = PostgresStore::builder(called(&server, "other.elsewhere.test"));
    let other = other.root_certificate(certificate).connect().await;
    for refused in [unknown, other] {
        let error = refused.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_protection_is_not_talked_to_in_the_open() {
    let own = tokio::task::spawn_blocking(Own::start).await.unwrap();
    let required = format!("{}?sslmode=require", own.url());
    for url in [called(&own, ELSEWHERE), required] {
        let error = PostgresStore::connect(&url).await.unwrap_err();
        assert!(error.to_string().contains("TLS"), "{error}");
    }
    // Unless that is what the URL says.
    let allowed = format!("{}&sslmode=disable", called(&own, ELSEWHERE));
    PostgresStore::connect(&allowed).await.unwrap().close().await;
}
