//! Who connects, and how the connection is protected.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bus_nats::{NatsBuilder, NatsBus};
use cqrs_core::{Bus, BusState, Publisher};
use nkeys::KeyPair;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_servers::Nats;

use crate::{PATIENCE, connect, opened, prefix};

/// What nothing may show.
const SECRET: &str = "open-sesame";

fn server(settings: &str) -> Nats {
    let folder = env!("CARGO_TARGET_TMPDIR").as_ref();
    Nats::start_with(folder, settings).unwrap_or_else(|error| panic!("{error}"))
}

fn builder(scheme: &str, host: &str, server: &Nats) -> NatsBuilder {
    let url = format!("{scheme}://{host}:{}", server.port());
    NatsBus::builder(url).prefix(prefix()).patience(Duration::from_secs(1))
}

/// It is let in: a message is stored.
async fn is_let_in(builder: NatsBuilder) {
    let bus = connect(builder.patience(PATIENCE)).await;
    bus.publish(vec![opened(1, 1)]).await.unwrap();
    assert_eq!(bus.health().await.state, BusState::Up);
}

/// It is not, and is told so, without what it has tried.
async fn is_kept_out(builder: NatsBuilder, why: &str) {
    let bus = connect(builder).await;
    let unpublished = bus.publish(vec![opened(1, 1)]).await.unwrap_err();
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
    let server = server(&format!("authorization {{ user: ada, password: \"{SECRET}\" }}"));
    is_let_in(builder("nats", &format!("ada:{SECRET}@127.0.0.1"), &server)).await;
    is_kept_out(builder("nats", "ada:wrong@127.0.0.1", &server), "authorization").await;
    is_kept_out(builder("nats", &format!("bob:{SECRET}@127.0.0.1"), &server), "authorization")
        .await;
    is_kept_out(builder("nats", "127.0.0.1", &server), "authorization").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_asked_for() {
    let server = server(&format!("authorization {{ token: \"{SECRET}\" }}"));
    is_let_in(builder("nats", "127.0.0.1", &server).token(SECRET)).await;
    is_let_in(builder("nats", &format!("{SECRET}@127.0.0.1"), &server)).await;
    is_kept_out(builder("nats", "127.0.0.1", &server).token("wrong"), "authorization").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nkey_is_asked_for() {
    let (known, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let server =
        server(&format!("authorization {{ users = [ {{ nkey: {} }} ] }}", known.public_key()));
    is_let_in(builder("nats", "127.0.0.1", &server).nkey(known.seed().unwrap())).await;
    let seed = stranger.seed().unwrap();
    is_kept_out(builder("nats", "127.0.0.1", &server).nkey(seed), "authorization").await;
}

/// Who signs whom, in a server that trusts an operator: he the account, and that the user.
struct Signed {
    operator: String,
    /// The account of the user, and that of the server itself: names and tokens.
    accounts: [(String, String); 2],
    /// What the user connects with: a token that the account has signed, and the seed of his key.
    credentials: String,
}

fn signed(operator: &KeyPair) -> Signed {
    let token = |by: &KeyPair, of: &KeyPair, kind: &str, mut nats: Value| {
        nats["type"] = kind.into();
        nats["version"] = 2.into();
        let claims = json!({
            "jti": kind, "iat": 1, "iss": by.public_key(), "sub": of.public_key(), "name": kind, "nats": nats,
        });
        let parts = [json!({"typ": "JWT", "alg": "ed25519-nkey"}), claims];
        let [header, claims] = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let said = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(by.sign(said.as_bytes()).unwrap());
        format!("{said}.{signature}")
    };
    let (account, own) = (KeyPair::new_account(), KeyPair::new_account());
    let user = KeyPair::new_user();
    // The account of the server itself stores nothing.
    let of_account = |account: &KeyPair, stored: i64| {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1,
            "wildcards": true, "mem_storage": stored, "disk_storage": stored, "streams": stored, "consumer": stored,
        });
        (account.public_key(), token(operator, account, "account", json!({ "limits": limits })))
    };
    let of_user = token(&account, &user, "user", json!({"subs": -1, "data": -1, "payload": -1}));
    Signed {
        operator: token(operator, operator, "operator", json!({})),
        accounts: [of_account(&account, -1), of_account(&own, 0)],
        credentials: format!(
            "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed().unwrap()
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_read_from_a_file() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (known, stranger) = (signed(&KeyPair::new_operator()), signed(&KeyPair::new_operator()));
    let operator = file(folder.path(), "operator.jwt", &known.operator);
    let [(account, token), (own, token_of_own)] = known.accounts;
    let server = server(&format!(
        "operator: \"{operator}\"\nresolver: MEMORY\nsystem_account: {own}\n\
         resolver_preload: {{ {account}: {token}, {own}: {token_of_own} }}"
    ));
    let with = |name: &str, credentials: &str| {
        let credentials = file(folder.path(), name, credentials);
        builder("nats", "127.0.0.1", &server).credentials_file(credentials)
    };
    is_let_in(with("known.creds", &known.credentials)).await;
    is_kept_out(with("stranger.creds", &stranger.credentials), "authorization").await;
    is_kept_out(builder("nats", "127.0.0.1", &server), "authorization").await;
    let lost = builder("nats", "127.0.0.1", &server).credentials_file(folder.path().join("lost"));
    let error = lost.connect().await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("/lost: ") && told.contains("No such file"), "{told}");
}

/// A file that the server can read as well, whoever that runs as.
fn file(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_checked() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = file(folder.path(), "server.crt", &cert.pem());
    let key = file(folder.path(), "server.key", &signing_key.serialize_pem());
    let server = server(&format!(
        "tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}\n\
         authorization {{ token: \"{SECRET}\" }}"
    ));
    let to = |host: &str| builder("tls", host, &server).token(SECRET);
    is_let_in(to("localhost").root_certificates(&certificate)).await;
    is_let_in(
        builder("nats", "localhost", &server)
            .token(SECRET)
            .root_certificates(&certificate)
            .require_tls(),
    )
    .await;
    is_kept_out(to("localhost"), "out of reach (").await;
    // It is that of another name.
    is_kept_out(to("127.0.0.1").root_certificates(&certificate), "out of reach (").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_requires_tls_talks_to_no_server_without_it() {
    let server = server(&format!("authorization {{ token: \"{SECRET}\" }}"));
    let open = builder("nats", "127.0.0.1", &server).token(SECRET);
    is_kept_out(open.require_tls(), "out of reach (").await;
}
