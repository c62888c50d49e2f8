//! Those who mean harm, or send nonsense: floods, connections that say nothing, inputs of every shape.

mod connections;
mod limits;
mod parsers;

use std::net::SocketAddr;
use std::time::Duration;

use onsale::serve::{Addresses, Server};
use onsale::settings::ServeSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{TestApp, serve_settings};

/// An instance on real sockets, in this process.
struct Listening {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), onsale::serve::ServeError>>,
}

/// The settings of an instance on the stores of an app, with other options.
fn beside(app: &TestApp, args: &[&str]) -> ServeSettings {
    let stores = &app.settings.stores;
    let stores =
        ["--database-url", &stores.database_url, "--redis-url", &stores.redis_url, "--key-prefix", &stores.key_prefix];
    let anywhere = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--shutdown-grace-ms", "0"];
    let few = ["--postgres-connections", "2", "--postgres-timeout-ms", "20000"];
    serve_settings(&[&stores[..], &anywhere, &few, args].concat())
}

impl Listening {
    async fn start(settings: &ServeSettings) -> Self {
        let server = Server::bind(settings, Addresses::take(&settings.service).unwrap()).await.unwrap();
        let (address, stop) = (server.api_address().unwrap(), CancellationToken::new());
        let serving = tokio::spawn(server.run(stop.clone()));
        Self { address, stop, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends this over a connection of its own; all that is answered until the other side closes.
    async fn tell(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        // Who is refused half-way hears so before all is sent.
        let _ = stream.write_all(request).await;
        rest(&mut stream).await
    }

    async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

/// What comes yet, until the other side closes. Fails if it does not within half a minute.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await;
    // A connection that is closed with something unread is reset, after what was said before.
    let _ = closed.unwrap_or_else(|_| panic!("still open after {:?}", String::from_utf8_lossy(&bytes)));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}
