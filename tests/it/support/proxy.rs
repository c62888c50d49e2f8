//! A network, between a service and a store or before a service, that can swallow what is sent: connections stay open, and
//! nothing arrives. It can be slow to let new connections through.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards connections, until told to swallow what goes over those that there are. Those made later pass.
pub struct Proxy {
    address: SocketAddr,
    /// Counts the times that it was told to.
    swallowed: Arc<watch::Sender<u32>>,
    /// Before anything goes over a new connection.
    delay: Arc<Mutex<Duration>>,
    accept: JoinHandle<()>,
}

impl Proxy {
    /// To the host and port of this address.
    pub async fn before(store: &str) -> Self {
        let to = host_and_port(store).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let swallowed = Arc::new(watch::Sender::new(0));
        let times = swallowed.clone();
        let delay = Arc::new(Mutex::new(Duration::ZERO));
        let before = delay.clone();
        let accept = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (to, times, before) = (to.clone(), times.clone(), *before.lock().unwrap());
                tokio::spawn(async move {
                    tokio::time::sleep(before).await;
                    let Ok(server) = TcpStream::connect(&to).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::spawn(forward(from_client, to_server, times.subscribe()));
                    tokio::spawn(forward(from_server, to_client, times.subscribe()));
                });
            }
        });
        Self { address, swallowed, delay, accept }
    }

    /// The store's address, by way of this proxy.
    pub fn url(&self, store: &str) -> String {
        store.replacen(host_and_port(store), &self.address.to_string(), 1)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it takes so long until anything goes over a new connection.
    pub fn delay_new(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    /// From now on nothing arrives over the connections that there are.
    pub fn swallow(&self) {
        self.swallowed.send_modify(|times| *times += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

fn host_and_port(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1.split('/').next().unwrap();
    rest.rsplit('@').next().unwrap()
}

/// Carries bytes one way; once they are swallowed, it reads on and sends nothing.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallowed: watch::Receiver<u32>) {
    let before = *swallowed.borrow();
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if *swallowed.borrow() == before && to.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
}
