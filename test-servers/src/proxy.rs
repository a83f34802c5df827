//! A way to a server that can be cut in the middle, or go silent.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::ServerError;

/// How long a connection to the server may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// Passes connections on to a server on this machine, as they are, until it is told otherwise.
///
/// Dropped, it cuts them all.
///
/// ```no_run
/// use test_servers::{Postgres, Proxy};
///
/// let server = Postgres::start("target/servers".as_ref())?;
/// let proxy = Proxy::to(server.port())?;
/// let url = server.url_on(proxy.port());
/// // … a client on that URL …
/// proxy.cut_after(1_000);
/// // … is cut in the middle of a message.
/// # drop(url);
/// # Ok::<(), test_servers::ServerError>(())
/// ```
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Those that are open, with both of their ends.
    open: Vec<Arc<Connection>>,
    /// Bytes that still pass before the one is cut that carries the next; `None`: any number.
    left: Option<usize>,
    /// Only those from the server count.
    is_of_answers: bool,
    cuts: usize,
    is_held: bool,
    is_over: bool,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// It never carries a byte again, and stays open.
    is_dead: AtomicBool,
}

impl Connection {
    fn cut(&self) {
        // Closed already, by an end or by both.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, for connections to that one.
    ///
    /// # Errors
    ///
    /// No port can be had.
    pub fn to(port: u16) -> Result<Self, ServerError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.map_err(ServerError::io("listen"))?;
        let address = listener.local_addr().map_err(ServerError::io("listen"))?;
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        thread::spawn(move || accepting.accept(&listener, server));
        Ok(Self { port: address.port(), shared })
    }

    /// The port of 127.0.0.1 that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the connection that carries the last of so many bytes from now on, in whichever
    /// direction, right behind it. One cut: [`cuts`](Self::cuts) tells when it was made.
    pub fn cut_after(&self, bytes: usize) {
        let mut state = self.shared.lock();
        (state.left, state.is_of_answers) = (Some(bytes), false);
    }

    /// The same, where only the bytes count that come from the server.
    pub fn cut_after_answer(&self, bytes: usize) {
        let mut state = self.shared.lock();
        (state.left, state.is_of_answers) = (Some(bytes), true);
    }

    /// How many cuts were made that were asked for.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.shared.lock().cuts
    }

    /// Cuts all connections.
    pub fn cut_all(&self) {
        self.shared.lock().open.iter().for_each(|connection| connection.cut());
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Keeps every byte back until [`go_on`](Self::go_on), also of new connections. None is closed,
    /// and nothing is lost.
    pub fn hold(&self) {
        self.shared.lock().is_held = true;
    }

    /// Passes on what was kept back.
    pub fn go_on(&self) {
        self.shared.lock().is_held = false;
        self.shared.changed.notify_all();
    }

    /// Those connections that are open now never carry a byte again, and stay open: as when a
    /// machine on the way forgets them. New ones are as usual.
    pub fn forget(&self) {
        for connection in &self.shared.lock().open {
            connection.is_dead.store(true, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener, server: SocketAddr) {
        for client in listener.incoming() {
            if self.lock().is_over {
                return;
            }
            let begun = client.and_then(|client| self.begin(client, server));
            // The server is not there: its client sees the connection end.
            drop(begun);
        }
    }

    fn begin(self: &Arc<Self>, client: TcpStream, server: SocketAddr) -> io::Result<()> {
        let server = TcpStream::connect_timeout(&server, CONNECT)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        let (back, again) = (server.try_clone()?, client.try_clone()?);
        let connection = Arc::new(Connection { client, server, is_dead: AtomicBool::new(false) });
        self.lock().open.push(Arc::clone(&connection));
        let (up, other) = (Arc::clone(self), Arc::clone(&connection));
        thread::spawn(move || up.pass(&other, from, to, false));
        let down = Arc::clone(self);
        thread::spawn(move || down.pass(&connection, back, again, true));
        Ok(())
    }

    /// Passes bytes on in one direction until an end is closed.
    fn pass(
        &self,
        connection: &Arc<Connection>,
        mut from: TcpStream,
        mut to: TcpStream,
        is_answer: bool,
    ) {
        let mut buffer = [0; 16 << 10];
        while let Ok(read) = from.read(&mut buffer) {
            let (allowed, goes_on) = self.allowed(connection, read, is_answer);
            if to.write_all(&buffer[..allowed]).is_err() || !goes_on {
                break;
            }
        }
        connection.cut();
        self.lock().open.retain(|open| !Arc::ptr_eq(open, connection));
    }

    /// How many of these bytes pass, once any may, and whether it goes on behind them.
    fn allowed(&self, connection: &Connection, bytes: usize, is_answer: bool) -> (usize, bool) {
        let is_kept = |state: &mut State| {
            !state.is_over && (state.is_held || connection.is_dead.load(Ordering::Relaxed))
        };
        let state = self.changed.wait_while(self.lock(), is_kept);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        match state.left {
            // An end was closed.
            _ if bytes == 0 || state.is_over => (0, false),
            _ if state.is_of_answers && !is_answer => (bytes, true),
            Some(left) if left <= bytes => {
                state.left = None;
                state.cuts += 1;
                (left, false)
            }
            left => {
                state.left = left.map(|left| left - bytes);
                (bytes, true)
            }
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.cut_all();
        self.shared.changed.notify_all();
        // It waits for one more.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}
