//! A port that is free.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// A port of 127.0.0.1 on which nobody listens. Another process may be faster to take it.
///
/// It lies below those that the system gives to outgoing connections: none of them takes the port
/// while its server is down.
pub(crate) fn free() -> io::Result<u16> {
    let mut last = None;
    for _ in 0..100 {
        let port = fastrand::u16(20_000..32_000);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(taken) => last = Some(taken),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}
