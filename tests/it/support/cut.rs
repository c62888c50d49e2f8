//! A way to PostgreSQL that can be cut at a commit: before the server hears of it, or after it has answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::TestApp;

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    BeforeCommit,
    AfterCommit,
}

/// What the client sends to commit.
const COMMIT: &[u8] = b"COMMIT\0";

/// The end of what the server sends after a statement outside of a transaction.
const READY: &[u8] = b"Z\0\0\0\x05I";

pub struct CutProxy {
    at: Cut,
    armed: AtomicBool,
    cuts: AtomicU32,
}

impl CutProxy {
    /// An instance on the same stores, with PostgreSQL behind a proxy that cuts there once it is armed.
    pub async fn before(app: &TestApp, at: Cut) -> (Arc<Self>, TestApp) {
        let mut settings = app.settings.clone();
        let (credentials, rest) = settings.stores.database_url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{credentials}@{}/{database}", listener.local_addr().unwrap());
        let proxy = Arc::new(Self { at, armed: false.into(), cuts: 0.into() });
        tokio::spawn(Arc::clone(&proxy).serve(listener, server.to_owned()));
        settings.stores.database_url = url;
        (proxy, TestApp::from_settings(settings).await)
    }

    /// The next commit is cut, and none after it.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// How many were cut.
    pub fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::SeqCst)
    }

    async fn serve(self: Arc<Self>, listener: TcpListener, server: String) {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(Arc::clone(&self).join(client, server));
        }
    }

    /// Carries bytes both ways until one side ends, or the connection is cut.
    async fn join(self: Arc<Self>, client: TcpStream, server: TcpStream) {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let doomed = Arc::new(AtomicBool::new(false));
        let cut = Notify::new();
        let there = carry(from_client, to_server, |bytes| {
            if !contains(bytes, COMMIT) || !self.armed.swap(false, Ordering::SeqCst) {
                return true;
            }
            self.cuts.fetch_add(1, Ordering::SeqCst);
            doomed.store(true, Ordering::SeqCst);
            if self.at == Cut::BeforeCommit {
                cut.notify_one();
            }
            self.at == Cut::AfterCommit
        });
        let back = carry(from_server, to_client, |bytes| {
            let is_doomed = doomed.load(Ordering::SeqCst);
            if is_doomed && contains(bytes, READY) {
                cut.notify_one();
            }
            !is_doomed
        });
        tokio::select! {
            () = there => {}
            () = back => {}
            () = cut.notified() => {}
        }
    }
}

/// Passes on what `passes`; without it nothing more, but goes on reading.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, passes: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if passes(&buffer[..read]) && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
