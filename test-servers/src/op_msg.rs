//! One command to a MongoDB server, in its
//! [wire protocol](https://github.com/mongodb/docs/blob/master/source/reference/mongodb-wire-protocol.txt).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bson::Document;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes of the largest answer.
const LARGEST: i32 = 48_000_000;
/// The kind of all messages.
const OP_MSG: i32 = 2013;
/// Bytes before the document of a message: length, number, number of what it answers and kind; flags, and that one
/// document follows.
const HEAD: usize = 4 * 4 + 4 + 1;

/// What the server on a port of 127.0.0.1 answers.
pub(crate) fn command(port: u16, what: &Document) -> io::Result<Document> {
    let mut body = Vec::new();
    what.to_writer(&mut body).map_err(io::Error::other)?;
    let length = i32::try_from(HEAD + body.len()).map_err(io::Error::other)?;
    let mut message = Vec::with_capacity(HEAD + body.len());
    for word in [length, 1, 0, OP_MSG, 0] {
        message.extend_from_slice(&word.to_le_bytes());
    }
    message.push(0);
    message.append(&mut body);

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut connection = TcpStream::connect_timeout(&address, ANSWER)?;
    connection.set_read_timeout(Some(ANSWER))?;
    connection.write_all(&message)?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let length = i32::from_le_bytes(length);
    let body = usize::try_from(length.min(LARGEST)).unwrap_or_default().checked_sub(HEAD);
    let mut body = vec![0; body.ok_or(io::ErrorKind::InvalidData)?];
    connection.read_exact(&mut [0; HEAD - 4])?;
    connection.read_exact(&mut body)?;
    Document::from_reader(&body[..]).map_err(io::Error::other)
}

/// Whether an answer is that it was done.
pub(crate) fn is_done(answer: &Document) -> bool {
    answer.get_f64("ok").is_ok_and(|ok| ok == 1.0)
}
