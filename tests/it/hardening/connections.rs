//! Connections: those that say nothing, too little or too much, those that are too many, and those that have done nothing
//! wrong.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Listening, beside, rest, status};
use crate::support::{TestApp, block_on, eventually};

const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
const LAST_LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// More than a test waits for on purpose.
const LONG: Duration = Duration::from_mins(1);

/// Asks over a connection that stays open.
async fn ask_livez(stream: &mut TcpStream) -> String {
    stream.write_all(LIVEZ).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed");
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn five_thousand_heads_that_never_end_are_closed_and_keep_nobody_waiting() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let server = Listening::start(&beside(&app, &["--header-timeout-ms", "3000"])).await;
        // Whoever this process may not have more files open than, half of them are ours and half the server's.
        let many = usize::try_from(onsale::serve::allow_open_files().unwrap() / 4).unwrap().min(5000);
        let mut half_open = Vec::new();
        for number in 0..many {
            let mut stream = server.connect().await;
            // Some say nothing at all.
            if number % 4 != 0 {
                stream.write_all(b"GET /livez HTTP/1.1\r\nx: ").await.unwrap();
            }
            half_open.push(stream);
        }
        let mut other = server.connect().await;
        for _ in 0..100 {
            assert_eq!(status(&ask_livez(&mut other).await), "200");
            // Drops keep no head alive.
            for stream in half_open.iter_mut().skip(1).step_by(many / 20).filter(|_| many > 20) {
                let _ = stream.write_all(b"y").await;
            }
        }
        for mut stream in half_open {
            assert_eq!(rest(&mut stream).await, "");
        }
        assert_eq!(status(&ask_livez(&mut other).await), "200");
        server.stop().await;
    });
}

#[test]
fn more_connections_than_may_be_are_closed_at_once_and_there_is_room_again() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let server = Listening::start(&beside(&app, &["--max-connections", "3"])).await;
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut stream = server.connect().await;
            assert_eq!(status(&ask_livez(&mut stream).await), "200");
            open.push(stream);
        }
        for _ in 0..5 {
            assert_eq!(rest(&mut server.connect().await).await, "");
        }
        for stream in &mut open {
            assert_eq!(status(&ask_livez(stream).await), "200", "those who are in stay");
        }
        open.pop();
        let room = async || status(&server.tell(LAST_LIVEZ).await) == "200";
        eventually("there is room", LONG, room).await;
        server.stop().await;
    });
}

#[test]
fn idle_connections_are_closed_and_those_that_are_used_are_not() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let mut settings = beside(&app, &["--header-timeout-ms", "200"]);
        settings.service.connections.idle_timeout_seconds = 2;
        let server = Listening::start(&settings).await;
        let (mut idle, mut used) = (server.connect().await, server.connect().await);
        ask_livez(&mut idle).await;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            ask_livez(&mut used).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert_eq!(rest(&mut idle).await, "");
        assert_eq!(status(&ask_livez(&mut used).await), "200");
        // A second head that does not end has no more time than a first.
        used.write_all(b"GET /livez HTTP/1.1\r\nx: ").await.unwrap();
        assert_eq!(rest(&mut used).await, "");
        server.stop().await;
    });
}

#[test]
fn a_stream_of_events_outlives_both_time_outs() {
    block_on(async {
        let app = TestApp::with(&[]).await;
        let token = app.enter(1).await;
        let mut settings = beside(&app, &["--header-timeout-ms", "200"]);
        settings.service.connections.idle_timeout_seconds = 20;
        let server = Listening::start(&settings).await;
        let mut stream = server.connect().await;
        let request = format!("GET /api/v1/queues/token/events?token={token} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (begun, mut heard) = (Instant::now(), Vec::new());
        // Two comments, of which there is one every 15 seconds, and no silence of 20.
        while begun.elapsed() < Duration::from_secs(25) {
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read_buf(&mut heard)).await;
            assert!(read.unwrap().unwrap() > 0, "closed after {:?}", String::from_utf8_lossy(&heard));
        }
        drop(stream);
        server.stop().await;
    });
}

#[test]
fn heads_have_limits() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let server = Listening::start(&beside(&app, &[])).await;
        let head = |headers: String| format!("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        for (name, headers, answer) in [
            ("large enough", format!("x: {}\r\n", "y".repeat(15 * 1024)), "200"),
            ("one large header", format!("x: {}\r\n", "y".repeat(17 * 1024)), "431"),
            ("many small ones", "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(600), "431"),
            ("too many", "x: y\r\n".repeat(101), "431"),
            ("no name", ": y\r\n".to_owned(), "400"),
            ("two lengths", "content-length: 1\r\ncontent-length: 2\r\n".to_owned(), "400"),
            ("chunks of an unknown coding", "transfer-encoding: gzip\r\n".to_owned(), "400"),
        ] {
            let told = server.tell(head(headers).as_bytes()).await;
            assert_eq!(status(&told), answer, "{name}: {told}");
        }
        for (name, line, answers) in [
            ("a long path", format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(20 * 1024)), ["414", "431"]),
            ("no HTTP", "hello\r\n\r\n".to_owned(), ["400", "400"]),
            ("another version", "GET / HTTP/3.0\r\n\r\n".to_owned(), ["400", "505"]),
        ] {
            let told = server.tell(line.as_bytes()).await;
            assert!(answers.contains(&status(&told)), "{name}: {told}");
        }
        assert_eq!(status(&server.tell(LAST_LIVEZ).await), "200");
        server.stop().await;
    });
}

#[test]
fn bodies_have_limits_of_size_depth_and_time() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let server = Listening::start(&beside(&app, &["--header-timeout-ms", "500"])).await;
        let charge = |headers: &str, body: &str| {
            let fields = "host: x\r\nuserId: 1\r\ncontent-type: application/json\r\nconnection: close\r\n";
            format!("PATCH /api/v1/user-wallets/balance HTTP/1.1\r\n{fields}{headers}\r\n\r\n{body}").into_bytes()
        };
        let large = "x".repeat(17 * 1024);
        let deep = format!("{{\"amount\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        for (name, headers, body, answer, code) in [
            ("said to be large", format!("content-length: {}", large.len()), large.clone(), "413", "PAYLOAD_TOO_LARGE"),
            (
                "large, and not said to be",
                "transfer-encoding: chunked".to_owned(),
                format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len()),
                "413",
                "PAYLOAD_TOO_LARGE",
            ),
            ("deep", format!("content-length: {}", deep.len()), deep.clone(), "400", "INVALID_REQUEST"),
            // Longer than a head may take, and it is not taken for one.
            ("slow", "content-length: 20".to_owned(), "{\"amount\"".to_owned(), "400", "INVALID_REQUEST"),
        ] {
            let told = server.tell(&charge(&headers, &body)).await;
            assert_eq!(status(&told), answer, "{name}: {told}");
            assert!(told.contains(code) && told.contains("x-request-id"), "{name}: {told}");
        }
        assert_eq!(app.balance(1).await, 0);
        server.stop().await;
    });
}

#[test]
fn a_shutdown_closes_what_idles_and_finishes_what_is_under_way() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let server = Listening::start(&beside(&app, &["--shutdown-timeout-seconds", "30"])).await;
        let mut idle = server.connect().await;
        ask_livez(&mut idle).await;
        let mut slow = server.connect().await;
        let head = "PATCH /api/v1/user-wallets/balance HTTP/1.1\r\nhost: x\r\nuserId: 1\r\n";
        let rest_of_head = "content-type: application/json\r\ncontent-length: 15\r\n\r\n{\"amount\"";
        slow.write_all(format!("{head}{rest_of_head}").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.stop.cancel();
        assert_eq!(rest(&mut idle).await, "");
        slow.write_all(b":1000}").await.unwrap();
        let told = rest(&mut slow).await;
        assert_eq!(status(&told), "200", "{told}");
        server.stop().await;
        assert_eq!(app.balance(1).await, 1000);
    });
}
