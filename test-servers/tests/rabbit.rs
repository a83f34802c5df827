//! RabbitMQ is started, answers, comes back after a death, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tempfile::TempDir;
use test_servers::{Rabbit, ServerError};

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The end of the answer to a client that signs in: `None` when it is cut off.
fn signs_in(server: &Rabbit, password: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"AMQP\0\0\x09\x01").unwrap();
    let _start = frame(&mut stream)?;
    let response = format!("\0tests\0{password}");
    let mut payload = vec![0, 10, 0, 11, 0, 0, 0, 0, 5];
    payload.extend(b"PLAIN");
    payload.extend(u32::try_from(response.len()).unwrap().to_be_bytes());
    payload.extend(response.as_bytes());
    payload.push(5);
    payload.extend(b"en_US");
    let mut start_ok = vec![1, 0, 0];
    start_ok.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    start_ok.extend(payload);
    start_ok.push(0xCE);
    stream.write_all(&start_ok).unwrap();
    frame(&mut stream)
}

fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    let mut payload = vec![0; usize::try_from(length).unwrap() + 1];
    stream.read_exact(&mut payload).ok()?;
    Some(payload)
}

/// The server goes on: it tells how it would like to be talked to (`connection.tune`).
const TUNE: [u8; 4] = [0, 10, 0, 30];

#[test]
fn it_answers_one_user_and_comes_back_after_kill_9() {
    let folder = folder();
    let mut server = Rabbit::start(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    let url = server.url();
    let password = url.split([':', '@']).nth(2).unwrap();
    assert!(password.len() >= 16);
    assert!(!format!("{server:?}").contains(password));
    assert!(signs_in(&server, password).unwrap().starts_with(&TUNE));
    let refused = signs_in(&server, "wrong");
    assert!(refused.is_none_or(|answer| !answer.starts_with(&TUNE)));
    let pid = server.pid().unwrap();
    assert!(matches!(server.start_again(), Err(ServerError::NotNow(_))));
    server.kill().unwrap();
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    server.start_again().unwrap();
    assert_eq!(server.url(), url);
    assert!(signs_in(&server, password).unwrap().starts_with(&TUNE));
    drop(server);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left behind");
}

#[test]
fn a_server_that_refuses_its_settings_says_so() {
    let folder = folder();
    let Err(error) = Rabbit::start_with(folder.path(), "no.such.setting = 1") else {
        panic!("it starts")
    };
    assert!(error.to_string().contains("failed_to_prepare_configuration"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left behind");
}
