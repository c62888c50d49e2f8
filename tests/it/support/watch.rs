//! Streams of events, over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use onsale::http::Front;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::JoinHandle;

use super::{Proxy, SLACK, TestApp};

const EVENTS: &str = "/api/v1/queues/token/events";

/// Where an instance is served, until this is dropped.
pub struct Socket {
    address: SocketAddr,
    serve: JoinHandle<()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.serve.abort();
    }
}

/// A stream as its client sees it.
pub struct Events {
    pub head: String,
    body: BufReader<TcpStream>,
    /// The comments that came.
    pub comments: u32,
    /// What the server says of when to come again, in ms, each time that it does.
    pub retries: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Event {
    /// The id of an event whose ids count up.
    pub fn number(&self) -> u64 {
        self.id.parse().unwrap()
    }
}

impl TestApp {
    /// Serves the instance on a socket too.
    pub async fn serve(&self) -> Socket {
        Socket::serving(routed(self.app.front(Duration::from_secs(2), 20_000))).await
    }
}

/// All calls as one of axum's routers.
pub fn routed(front: Front) -> Router {
    Router::new().fallback_service(front)
}

impl Socket {
    /// One that is reached by way of a network that may fail.
    pub fn behind(network: &Proxy) -> Self {
        Self { address: network.address(), serve: tokio::spawn(async {}) }
    }

    /// Serves these calls on a free port.
    pub async fn serving(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, serve: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks for a token's events, with the token in the header.
    pub async fn watch(&self, token: &str) -> Events {
        self.ask(EVENTS, &format!("token: {token}\r\n")).await
    }

    /// Likewise, with the token in the query.
    pub async fn watch_by_query(&self, token: &str, headers: &str) -> Events {
        self.ask(&format!("{EVENTS}?a=b&token={token}"), headers).await
    }

    /// Asks for what changes in a schedule, with the token and whatever else in the headers.
    pub async fn watch_seats(&self, token: &str, schedule: i64, headers: &str) -> Events {
        let path = format!("/api/v1/concerts/schedules/{schedule}/events");
        self.ask(&path, &format!("token: {token}\r\n{headers}")).await
    }

    pub async fn ask(&self, path: &str, headers: &str) -> Events {
        Events::ask(self.address, path, headers).await
    }
}

impl Events {
    /// As HTTP/1.0, so that the body comes as it is and ends with the connection.
    pub async fn ask(address: impl ToSocketAddrs, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut body = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(body.read_line(&mut head).await.unwrap(), 0, "{head}");
        }
        Self { head, body, comments: 0, retries: Vec::new() }
    }

    /// The next event; none at the stream's end.
    pub async fn next(&mut self) -> Option<Event> {
        self.next_within(Duration::from_secs(10) + SLACK).await.unwrap()
    }

    /// Likewise, within that time; waits no longer.
    pub async fn next_within(&mut self, time: Duration) -> Result<Option<Event>, tokio::time::error::Elapsed> {
        tokio::time::timeout(time, self.read()).await
    }

    async fn read(&mut self) -> Option<Event> {
        let mut event = Event { name: String::new(), id: String::new(), data: Value::Null };
        loop {
            let mut line = String::new();
            if self.body.read_line(&mut line).await.unwrap_or(0) == 0 {
                return None;
            }
            match line.trim_end().split_once(':') {
                Some(("event", name)) => name.trim().clone_into(&mut event.name),
                Some(("id", id)) => id.trim().clone_into(&mut event.id),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                Some(("retry", ms)) => self.retries.push(ms.trim().parse().unwrap()),
                Some(("", _)) => self.comments += 1,
                None if event.name.is_empty() => {}
                None => return Some(event),
                Some(other) => panic!("{other:?}"),
            }
        }
    }

    /// The next event but for positions.
    pub async fn next_but_position(&mut self) -> Option<Event> {
        loop {
            let event = self.next().await;
            if event.as_ref().is_none_or(|event| event.name != "position") {
                return event;
            }
        }
    }

    /// The whole body of a stream that is none.
    pub async fn body(mut self) -> Value {
        let mut body = String::new();
        self.body.read_to_string(&mut body).await.unwrap();
        serde_json::from_str(&body).unwrap()
    }
}
