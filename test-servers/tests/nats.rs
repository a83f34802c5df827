//! NATS is started, answers, comes back after a death with what it stored, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use tempfile::TempDir;
use test_servers::{Nats, ServerError};

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A connection as the protocol has it: lines of text.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(server: &Nats, password: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = Self(BufReader::new(stream));
        assert!(client.line().starts_with("INFO "));
        client.say(&format!(
            "CONNECT {{\"user\":\"tests\",\"pass\":\"{password}\",\"verbose\":false}}"
        ));
        client.say("SUB answers 1");
        client
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// What JetStream answers.
    fn ask(&mut self, subject: &str, text: &str) -> String {
        self.say(&format!("PUB {subject} answers {}\r\n{text}", text.len()));
        while !self.line().starts_with("MSG answers") {}
        self.line()
    }
}

fn password(server: &Nats) -> String {
    server.url().split([':', '@']).nth(2).unwrap().to_owned()
}

#[test]
fn what_was_stored_outlives_kill_9() {
    let folder = folder();
    let mut server = Nats::start(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    let password = password(&server);
    assert!(password.len() >= 16);
    let mut client = Client::connect(&server, &password);
    let made = client.ask("$JS.API.STREAM.CREATE.kept", r#"{"name":"kept","subjects":["kept"]}"#);
    assert!(made.contains("\"did_create\":true"), "{made}");
    assert!(client.ask("kept", "42").contains("\"seq\":1"));
    let (url, pid) = (server.url(), server.pid().unwrap());
    server.kill().unwrap();
    assert!(matches!(server.kill(), Err(ServerError::NotNow(_))));
    server.start_again().unwrap();
    assert!(matches!(server.start_again(), Err(ServerError::NotNow(_))));
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), Some(pid));
    let mut client = Client::connect(&server, &password);
    let info = client.ask("$JS.API.STREAM.INFO.kept", "");
    assert!(info.contains("\"messages\":1"), "{info}");
    server.stop().unwrap();
    assert_eq!(server.pid(), None);
    drop(server);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn nobody_gets_in_without_the_password() {
    let folder = folder();
    let server = Nats::start(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    let mut client = Client::connect(&server, "guessed");
    assert_eq!(client.line(), "-ERR 'Authorization Violation'");
    let shown = format!("{server:?}");
    assert!(!shown.contains(&password(&server)), "{shown}");
}

#[test]
fn a_server_that_refuses_its_settings_says_why() {
    let folder = folder();
    let refused = Nats::start_with(folder.path(), "no_such_setting: true").unwrap_err();
    assert!(refused.to_string().contains("no_such_setting"), "{refused}");
}
