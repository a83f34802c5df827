//! Connections that are protected: by a certificate that is checked, or not at all.

use std::io::Write;
use std::time::Duration;

use cqrs_core::{ErrorKind, Expected, Store};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use store_mongo::bson::doc;
use store_mongo::mongodb::Client;
use store_mongo::{MongoBuilder, MongoStore};
use tempfile::NamedTempFile;

use crate::own::Own;
use crate::short::{deposit, versions};

/// A server with a certificate for a name.
struct Protected {
    own: Own,
    certificate: NamedTempFile,
}

impl Protected {
    async fn start(name: &str) -> Self {
        let made = generate_simple_self_signed([name.to_owned()]).unwrap();
        let CertifiedKey { cert, signing_key } = made;
        let mut certificate = NamedTempFile::new().unwrap();
        certificate.write_all(cert.pem().as_bytes()).unwrap();
        let pem = cert.pem() + &signing_key.serialize_pem();
        Self { own: Own::with_certificate(pem).await, certificate }
    }

    /// With TLS, and a certificate that is trusted.
    fn url(&self) -> String {
        format!("{}&tls=true&tlsCAFile={}", self.own.url(), self.certificate.path().display())
    }

    /// Who does not protect the connection is not let in any more.
    async fn require(&self) {
        let admin = Client::with_uri_str(self.url()).await.unwrap().database("admin");
        for mode in ["preferTLS", "requireTLS"] {
            admin.run_command(doc! { "setParameter": 1, "tlsMode": mode }).await.unwrap();
        }
    }
}

fn short(url: String) -> MongoBuilder {
    MongoStore::builder(url).connect_timeout(Duration::from_millis(1_500))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_is_protected_where_the_url_says_so() {
    let server = Protected::start("127.0.0.1").await;
    server.require().await;
    let store = MongoStore::connect(&server.url()).await.unwrap();
    store.commit(deposit("17", Expected::NoStream)).await.unwrap();
    assert_eq!(versions(&store, "17").await, [1]);
    let status = store.database().run_command(doc! { "serverStatus": 1 }).await.unwrap();
    let protected = status.get_document("transportSecurity").unwrap();
    let protected: i64 = ["1.2", "1.3"].iter().map(|v| protected.get_i64(v).unwrap()).sum();
    // Those that write, read, watch, and ask how it is.
    assert!(protected >= 4, "{status}");
    store.close().await;
    let open = short(server.own.url()).connect().await.unwrap_err();
    assert_eq!(*open.kind(), ErrorKind::Unavailable, "{open}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_nobody_known_or_for_another_name_is_refused() {
    let server = Protected::start("db.elsewhere.test").await;
    let unknown = format!("{}&tls=true", server.own.url());
    for url in [unknown, server.url()] {
        let error = short(url).connect().await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    // Nothing else is in the way.
    let unchecked = format!("{}&tls=true&tlsAllowInvalidCertificates=true", server.own.url());
    short(unchecked).connect().await.unwrap().close().await;
}
