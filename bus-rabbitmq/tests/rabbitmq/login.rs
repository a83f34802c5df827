//! Who connects, to which virtual host, and how the connection is protected.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bus_rabbitmq::{RabbitBuilder, RabbitBus};
use cqrs_core::{Bus, BusState, Publisher};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use test_servers::Rabbit;

use crate::{PATIENCE, connect, named, prefix, url};

/// What nothing may show.
const SECRET: &str = "open-sesame";

fn builder(url: impl Into<String>) -> RabbitBuilder {
    RabbitBus::builder(url).prefix(prefix()).patience(Duration::from_secs(1))
}

/// It is let in: a message is stored.
async fn is_let_in(builder: RabbitBuilder) {
    let bus = connect(builder.patience(PATIENCE)).await;
    bus.publish(vec![named("bank.opened", 1)]).await.unwrap();
    assert_eq!(bus.health().await.state, BusState::Up);
}

/// It is not, and is told so, without what it has tried.
async fn is_kept_out(builder: RabbitBuilder, why: &str) {
    let bus = connect(builder).await;
    let unpublished = bus.publish(vec![named("bank.opened", 1)]).await.unwrap_err();
    assert_eq!(unpublished.failed[0].1.kind().name(), "unavailable");
    let told = async {
        loop {
            let BusState::Down(told) = bus.health().await.state else { panic!("it was let in") };
            if told.contains(why) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.expect("nobody says why");
    let shown = format!("{told} {bus:?} {unpublished:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_asked_for() {
    is_let_in(builder(url())).await;
    let (_, host) = url().rsplit_once('@').map(|(u, h)| (u.to_owned(), h.to_owned())).unwrap();
    is_kept_out(builder(format!("amqp://tests:{SECRET}@{host}")), "ACCESS_REFUSED").await;
    is_kept_out(builder(format!("amqp://bob:{SECRET}@{host}")), "ACCESS_REFUSED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_virtual_host_is_named() {
    // That of the default, in full.
    is_let_in(builder(format!("{}/%2f", url()))).await;
    is_kept_out(builder(format!("{}/nowhere", url())), "nowhere").await;
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_its_password() {
    for url in [format!("amqp://me:{SECRET}@:port"), format!("http://me:{SECRET}@host")] {
        let error = RabbitBus::connect(url).await.unwrap_err();
        assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    }
}

/// A file that the server can read, too.
fn file(folder: &Path, name: &str, content: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_shows_the_certificate_of_the_server() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = file(folder.path(), "server.crt", &cert.pem());
    let key = file(folder.path(), "server.key", &signing_key.serialize_pem());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        "listeners.ssl.1 = 127.0.0.1:{port}\n\
         ssl_options.certfile = {certificate}\n\
         ssl_options.keyfile = {key}\n\
         ssl_options.verify = verify_none\n\
         ssl_options.fail_if_no_peer_cert = false\n"
    );
    let server = Rabbit::start_with(env!("CARGO_TARGET_TMPDIR").as_ref(), &settings);
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    let signed = server.url();
    let user = signed.strip_prefix("amqp://").and_then(|rest| rest.split('@').next()).unwrap();
    let to = |host: &str| builder(format!("amqps://{user}@{host}:{port}"));
    is_let_in(to("localhost").root_certificates(&certificate)).await;
    is_kept_out(to("localhost"), "out of reach (").await;
    // It is that of another name.
    is_kept_out(to("127.0.0.1").root_certificates(&certificate), "out of reach (").await;
}
