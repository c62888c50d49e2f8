//! Who asks: over plain HTTP/1, with as little work of its own as can be, since it takes its time from what is measured.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::stage::Outcome;

/// More than any answer or line of a stream has.
const BUFFER: usize = 1024;

/// A connection that is kept.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(api: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(api).await?;
        stream.set_nodelay(true)?;
        let stream = BufReader::with_capacity(BUFFER, stream);
        Ok(Self { stream, line: String::new(), body: Vec::new() })
    }

    /// Takes a place in the default queue.
    pub(super) async fn enter(&mut self, user: i64) -> Outcome<String> {
        let request = format!("POST /api/v1/queues/token HTTP/1.1\r\nhost: onsale\r\nuserId: {user}\r\n\r\n");
        let answer: Value = serde_json::from_slice(self.call(&request).await?)?;
        let token = answer["data"]["token"].as_str().ok_or("an answer without a token")?;
        Ok(token.to_owned())
    }

    /// Asks for the rank of one that waits.
    pub(super) async fn rank(&mut self, token: &str) -> Outcome {
        let request = format!("GET /api/v1/queues/token/rank HTTP/1.1\r\nhost: onsale\r\ntoken: {token}\r\n\r\n");
        let answer = self.call(&request).await?;
        let waits = answer.windows(9).any(|part| part == b"\"WAITING\"");
        if waits { Ok(()) } else { Err(format!("not waiting: {}", String::from_utf8_lossy(answer)).into()) }
    }

    async fn call(&mut self, request: &str) -> Outcome<&[u8]> {
        self.stream.write_all(request.as_bytes()).await?;
        let (mut length, mut is_well) = (0, false);
        loop {
            self.line.clear();
            if self.stream.read_line(&mut self.line).await? == 0 {
                return Err("the service has closed a connection".into());
            }
            is_well |= self.line.starts_with("HTTP/1.1 200");
            if let Some(bytes) = self.line.strip_prefix("content-length:") {
                length = bytes.trim().parse()?;
            }
            if self.line == "\r\n" {
                break;
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await?;
        if is_well { Ok(&self.body) } else { Err(String::from_utf8_lossy(&self.body).into()) }
    }
}

/// All who watch, and what they were told.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    pub(super) positions: AtomicU64,
    pub(super) comments: AtomicU64,
    /// Streams that have ended, which none should.
    pub(super) ended: AtomicU64,
    /// Of each activation, when the token ends, and when that was heard.
    active: Mutex<Vec<(String, Duration)>>,
}

impl Watchers {
    /// Opens a stream, and reads on once it has told where the token stands.
    pub(super) async fn open(self: Arc<Self>, api: SocketAddr, token: String) -> Outcome {
        let mut stream = TcpStream::connect(api).await?;
        // As HTTP/1.0, so that the body comes as it is.
        let request = format!("GET /api/v1/queues/token/events HTTP/1.0\r\ntoken: {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut events = BufReader::with_capacity(BUFFER, stream);
        let mut line = String::new();
        while !line.starts_with("data:") {
            line.clear();
            if events.read_line(&mut line).await? == 0 {
                return Err("a stream has ended before its first event".into());
            }
            if line.starts_with("HTTP/") && !line.contains(" 200 ") {
                return Err(format!("a stream was refused: {line}").into());
            }
        }
        tokio::spawn(async move {
            let _ = self.read(events, line).await;
            self.ended.fetch_add(1, Ordering::Relaxed);
        });
        Ok(())
    }

    async fn read(&self, mut events: BufReader<TcpStream>, mut line: String) -> std::io::Result<()> {
        let mut is_active = false;
        loop {
            line.clear();
            if events.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(": ") {
                Some(("event", name)) => {
                    is_active = name == "active";
                    self.positions.fetch_add(u64::from(name == "position"), Ordering::Relaxed);
                }
                Some(("data", data)) if is_active => {
                    let heard = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    self.active.lock().unwrap_or_else(PoisonError::into_inner).push((data.to_owned(), heard));
                }
                None if line.starts_with(':') => _ = self.comments.fetch_add(1, Ordering::Relaxed),
                _ => {}
            }
        }
    }

    /// How many have heard that it is their turn.
    pub(super) fn active(&self) -> usize {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How long each took to hear of it, if a turn lasts so long.
    pub(super) fn delays(&self, active_ttl: Duration) -> Vec<Duration> {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let delay = |(data, heard): &(String, Duration)| {
            let data: Value = serde_json::from_str(data).ok()?;
            let expires = DateTime::parse_from_rfc3339(data["expiresAt"].as_str()?).ok()?;
            let expires = Duration::from_millis(expires.timestamp_millis().try_into().ok()?);
            Some(heard.saturating_sub(expires.saturating_sub(active_ttl)))
        };
        active.iter().filter_map(delay).collect()
    }
}
