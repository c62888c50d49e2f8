//! The clients of `docs/client`, which buy through a line that loses answers.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::lua::source;
use crate::support::{TestApp, block_on, python};

/// A way to an instance on which the first answer to every request under a key is lost.
struct Forgetful {
    address: SocketAddr,
    lost: Arc<Mutex<HashSet<String>>>,
    repeated: Arc<Mutex<u32>>,
    _connections: JoinSet<()>,
}

impl Forgetful {
    async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (lost, repeated) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(Mutex::new(0)));
        let (seen, again) = (Arc::clone(&lost), Arc::clone(&repeated));
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut each = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                each.spawn(one(client, target, Arc::clone(&seen), Arc::clone(&again)));
            }
        });
        Self { address, lost, repeated, _connections: connections }
    }
}

/// One request and its answer, which ends the connection.
async fn one(mut client: TcpStream, target: SocketAddr, lost: Arc<Mutex<HashSet<String>>>, repeated: Arc<Mutex<u32>>) {
    let Some((head, body)) = request(&mut client).await else { return };
    let mut lines: Vec<&str> = head.lines().filter(|line| !line.to_lowercase().starts_with("connection:")).collect();
    let first = lines.first().copied().unwrap_or_default().to_owned();
    let key = lines
        .iter()
        .find(|line| line.to_lowercase().starts_with("idempotency-key:"))
        .map(|key| format!("{first} {key}"));
    lines.push("connection: close");
    let mut server = TcpStream::connect(target).await.unwrap();
    server.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).await.unwrap();
    server.write_all(&body).await.unwrap();
    if key.is_none() {
        // As it comes: it may be a stream.
        let _ = tokio::io::copy(&mut server, &mut client).await;
        return;
    }
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.unwrap();
    // The service has done it; the client does not hear of it.
    if key.is_some_and(|key| lost.lock().unwrap().insert(key)) {
        return;
    }
    if String::from_utf8_lossy(&answer).contains("idempotent-replayed: true") {
        *repeated.lock().unwrap() += 1;
    }
    let _ = client.write_all(&answer).await;
}

/// A request's head, without its last line, and its body.
async fn request(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8(read.drain(..end + 4).collect()).ok()?;
        }
        if client.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    while read.len() < length.unwrap_or(0) {
        client.read_buf(&mut read).await.ok()?;
    }
    Some((head.trim_end().to_owned(), read))
}

/// Has a client buy a seat while somebody else is before it, and looks what came of it.
async fn buys(program: &OsStr, script: &str) {
    let app =
        TestApp::with(&["--max-active", "1", "--postgres-timeout-ms", "10000", "--redis-timeout-ms", "10000"]).await;
    let socket = app.serve().await;
    let line = Forgetful::before(socket.address()).await;
    let first = app.enter_active(1).await;
    let mut client = Command::new(program);
    client.arg(source::repository(script)).args([&*format!("http://{}", line.address), "2", "1"]);
    client
        .env_remove("http_proxy")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut client = client.spawn().unwrap();
    let mut told = BufReader::new(client.stderr.take().unwrap()).lines();
    let waits = told.next_line();
    assert_eq!(tokio::time::timeout(Duration::from_secs(30), waits).await.unwrap().unwrap().unwrap(), "WAITING 0");
    app.leave(&first).await.data();
    let ran = tokio::time::timeout(Duration::from_mins(1), client.wait_with_output()).await.unwrap().unwrap();
    let mut rest = String::new();
    told.into_inner().read_to_string(&mut rest).await.unwrap();
    assert!(ran.status.success() && rest.contains("ACTIVE 0"), "{script}: {rest}");
    let payment = serde_json::from_slice::<Value>(&ran.stdout).unwrap()["paymentHistoryId"].as_i64().unwrap();
    assert_eq!(app.number("SELECT id FROM payment_history").await, payment);
    assert_eq!(app.balance(2).await, 0, "charged once, paid once");
    assert_eq!(app.number("SELECT count(*) FROM wallet_ledger").await, 2);
    assert_eq!(line.lost.lock().unwrap().len(), 2, "the charge's answer and the payment's");
    assert_eq!(*line.repeated.lock().unwrap(), 2, "both asked again, and were answered again");
    app.audit().await;
}

#[test]
fn the_one_in_typescript_buys_once() {
    block_on(async {
        let node = python().await.node().await;
        buys(node.as_os_str(), "docs/client/client.ts").await;
    });
}

#[test]
fn the_one_in_python_buys_once() {
    block_on(async {
        let program = python().await.program("python");
        buys(program.as_os_str(), "docs/client/client.py").await;
    });
}

#[test]
fn their_types_are_right() {
    block_on(async {
        let python = python().await;
        let mut mypy = Command::new(python.program("mypy"));
        mypy.args(["--strict", "--cache-dir", "/dev/null"]).arg(source::repository("docs/client/client.py"));
        let mut tsc = Command::new(python.node().await);
        tsc.arg(python.tsc()).args(["--noEmit", "--strict", "--target", "es2024", "--module", "esnext"]);
        tsc.args(["--moduleResolution", "bundler", "--lib", "es2024,dom,dom.iterable"]);
        tsc.args(["--erasableSyntaxOnly", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"]);
        tsc.arg(source::repository("docs/client/client.ts"));
        for mut checker in [mypy, tsc] {
            let ran = checker.stdin(Stdio::null()).output().await.unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
        }
    });
}
