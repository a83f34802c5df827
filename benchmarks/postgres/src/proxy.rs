//! Counts round trips where they happen: on the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::contender::Result;

/// Stands between a client and the server and hands on what they say. A round trip begins where the
/// client speaks after the server did.
pub(crate) struct Proxy {
    address: SocketAddr,
    round_trips: Arc<AtomicU64>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(host: &str, port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let round_trips = Arc::<AtomicU64>::default();
        let server = (host.to_owned(), port);
        let counter = Arc::clone(&round_trips);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, counter) = (server.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    // An end of the connection ends it on the other side too.
                    let _ = pass_on(client, server, &counter).await;
                });
            }
        });
        Ok(Self { address, round_trips, accepting })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The round trips so far, once nobody has spoken for a while: a pool may still be testing the
    /// connection that it was given back.
    pub(crate) async fn round_trips(&self) -> u64 {
        let mut before = self.round_trips.load(Ordering::SeqCst);
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = self.round_trips.load(Ordering::SeqCst);
            if now == before {
                return now;
            }
            before = now;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(PartialEq)]
enum Speaker {
    Client,
    Server,
}

/// One task for both directions, so that their order is the one on the wire.
async fn pass_on(
    mut client: TcpStream,
    server: (String, u16),
    round_trips: &AtomicU64,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut last = Speaker::Server;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                if last == Speaker::Server {
                    round_trips.fetch_add(1, Ordering::SeqCst);
                    last = Speaker::Client;
                }
                server.write_all(&from_client[..read]).await?;
            }
            read = server.read(&mut from_server) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                last = Speaker::Server;
                client.write_all(&from_server[..read]).await?;
            }
        }
    }
}
