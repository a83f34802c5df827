//! A proxy passes on what it is given, and cuts and keeps back what it is told to.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use test_servers::Proxy;

/// How long something may take that is to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that says what it hears, and a proxy to it.
fn echo() -> Proxy {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut answers = stream.try_clone().unwrap();
            // It ends with its connection, however that ends.
            thread::spawn(move || drop(std::io::copy(&mut stream, &mut answers)));
        }
    });
    Proxy::to(port).unwrap()
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn hears(stream: &mut TcpStream, said: &[u8]) {
    let mut heard = vec![0; said.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, said);
}

/// Everything until the end, however it ends.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).is_ok_and(|read| read > 0) {
        heard.push(byte[0]);
    }
    heard
}

fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let read = stream.read(&mut [0]);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn bytes_pass_in_both_directions() {
    let proxy = echo();
    let (mut one, mut other) = (connect(&proxy), connect(&proxy));
    one.write_all(b"one").unwrap();
    other.write_all(b"other").unwrap();
    hears(&mut one, b"one");
    hears(&mut other, b"other");
    assert_eq!(proxy.open(), 2);
    drop(one);
    wait_for("it is closed", || proxy.open() == 1);
}

#[test]
fn a_connection_is_cut_behind_the_byte_that_was_named() {
    let proxy = echo();
    let (mut one, mut other) = (connect(&proxy), connect(&proxy));
    other.write_all(b"x").unwrap();
    hears(&mut other, b"x");
    // Five there, and two of the way back.
    proxy.cut_after(7);
    one.write_all(b"12345").unwrap();
    assert_eq!(rest(&mut one), b"12");
    assert_eq!(proxy.cuts(), 1);
    other.write_all(b"goes on").unwrap();
    hears(&mut other, b"goes on");
    proxy.cut_after_answer(2);
    other.write_all(b"12345").unwrap();
    assert_eq!(rest(&mut other), b"12");
    connect(&proxy).write_all(b"goes on").unwrap();
}

#[test]
fn what_is_kept_back_is_passed_on_later() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    proxy.hold();
    stream.write_all(b"later").unwrap();
    let mut new = connect(&proxy);
    new.write_all(b"as well").unwrap();
    assert!(is_silent(&mut stream) && is_silent(&mut new));
    proxy.go_on();
    hears(&mut stream, b"later");
    hears(&mut new, b"as well");
}

#[test]
fn a_forgotten_connection_stays_open_and_says_nothing_while_new_ones_do() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    stream.write_all(b"x").unwrap();
    hears(&mut stream, b"x");
    proxy.forget();
    stream.write_all(b"lost").unwrap();
    assert!(is_silent(&mut stream));
    let mut new = connect(&proxy);
    new.write_all(b"heard").unwrap();
    hears(&mut new, b"heard");
}

#[test]
fn all_are_cut_at_once_and_when_it_is_dropped() {
    let proxy = echo();
    let mut streams = [connect(&proxy), connect(&proxy)];
    wait_for("both are passed on", || proxy.open() == 2);
    proxy.cut_all();
    assert!(streams.iter_mut().all(|stream| rest(stream).is_empty()));
    let mut stream = connect(&proxy);
    stream.write_all(b"x").unwrap();
    hears(&mut stream, b"x");
    drop(proxy);
    assert!(rest(&mut stream).is_empty());
}
