//! `serve`: up, on sockets; and down, with what is under way finished.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::task::JoinHandle;

use super::{KEY, PATIENT, onsale, run};
use crate::support::{OwnServers, SLACK, block_on, eventually, servers};

/// A running `onsale serve` on a database of its own.
pub struct Serving {
    pub child: Child,
    pub api: String,
    metrics: String,
    database: String,
    client: Client,
    /// What it logs before the line that says where it serves.
    pub before: Vec<String>,
    /// What it logs after the line that says where it serves.
    log: JoinHandle<Vec<String>>,
}

impl Serving {
    pub async fn start(args: &[&str]) -> Self {
        let (database, redis) = (servers().await.seeded_database().await, servers().await.redis_url());
        Self::start_at(database, &redis, args).await
    }

    async fn start_at(database: String, redis: &str, args: &[&str]) -> Self {
        let prefix = database.rsplit('/').next().unwrap();
        let variables = [
            ("DATABASE_URL", &*database),
            ("REDIS_URL", redis),
            ("ONSALE_KEY_PREFIX", prefix),
            ("ONSALE_TOKEN_KEY", KEY),
            ("ONSALE_LISTEN", "127.0.0.1:0"),
            ("ONSALE_METRICS_LISTEN", "127.0.0.1:0"),
        ];
        let mut child = onsale(&[&["serve"], args].concat(), &[&variables[..], &PATIENT].concat()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut before = Vec::new();
        let (api, metrics) = loop {
            let text = lines.next_line().await.unwrap().unwrap();
            let line: Value = serde_json::from_str(&text).unwrap();
            if let (Some(api), Some(metrics)) = (line["api"].as_str(), line["metrics"].as_str()) {
                break (api.to_owned(), metrics.to_owned());
            }
            before.push(text);
        };
        let log = tokio::spawn(async move {
            let mut log = Vec::new();
            while let Ok(Some(line)) = lines.next_line().await {
                log.push(line);
            }
            log
        });
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Self { child, api, metrics, database, client, before, log }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn database(&self) -> &str {
        &self.database
    }

    /// Where the metrics are.
    pub fn metrics(&self) -> &str {
        &self.metrics
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(format!("http://{}{path}", self.api)).send().await.unwrap()
    }

    /// Adds 1000 won to user 1's balance.
    fn charge(&self) -> impl Future<Output = reqwest::Result<Response>> + use<> {
        let charge = self.client.patch(format!("http://{}/api/v1/user-wallets/balance", self.api));
        charge.header("userId", "1").json(&json!({"amount": 1000})).send()
    }

    /// A charge that waits for the lock on the wallet that it returns too.
    async fn charge_that_waits(&self) -> (PgConnection, JoinHandle<reqwest::Result<Response>>) {
        assert_eq!(self.charge().await.unwrap().status(), 200);
        let mut lock = PgConnection::connect(&self.database).await.unwrap();
        lock.execute("BEGIN").await.unwrap();
        lock.execute("SELECT FROM user_wallet FOR UPDATE").await.unwrap();
        let charge = tokio::spawn(self.charge());
        let mut side = PgConnection::connect(&self.database).await.unwrap();
        let waits = async || {
            let waiting =
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut side).await.unwrap() == 1
        };
        eventually("the charge waits", Duration::from_secs(5), waits).await;
        (lock, charge)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().unwrap().try_into().unwrap()), signal).unwrap();
    }

    /// Its exit code, if it ends in time.
    async fn code_within(&mut self, limit: Duration) -> Option<i32> {
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        ended.unwrap().unwrap().code()
    }

    async fn says(&self, path: &str, status: u16, code: &Value) {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), status);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(&body["error"]["code"], code, "{path}: {body}");
    }
}

#[test]
fn it_measures_how_far_waits_were_from_what_was_told() {
    block_on(async {
        let mut serving = Serving::start(&["--max-active", "1"]).await;
        let error = async || {
            let metrics = serving.client.get(format!("http://{}/metrics", serving.metrics)).send().await.unwrap();
            let metrics = metrics.text().await.unwrap();
            let value = |name: &str| {
                let name = format!("queue_estimate_error_seconds_{name}{{queue=\"default\"}} ");
                metrics.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
            };
            value("count").zip(value("sum"))
        };
        let mut tokens = Vec::new();
        for user in ["1", "2"] {
            let entered = serving.client.post(format!("http://{}/api/v1/queues/token", serving.api));
            let answer: Value = entered.header("userId", user).send().await.unwrap().json().await.unwrap();
            tokens.push(answer["data"]["token"].as_str().unwrap().to_owned());
        }
        let rank = async |token: &str| {
            let rank = serving.client.get(format!("http://{}/api/v1/queues/token/rank", serving.api));
            let answer: Value = rank.header("token", token).send().await.unwrap().json().await.unwrap();
            answer["data"].clone()
        };
        rank(&tokens[0]).await;
        assert_eq!(error().await, Some(("0".to_owned(), "0".to_owned())), "who is active at once was told nothing");
        let told = rank(&tokens[1]).await;
        assert_eq!(told["estimatedWaitSeconds"], json!({"low": 0, "high": 300}), "{told}");
        let leave = serving.client.delete(format!("http://{}/api/v1/queues/token", serving.api));
        leave.header("token", &tokens[0]).send().await.unwrap().error_for_status().unwrap();
        for _ in 0..2 {
            let active = async || rank(&tokens[1]).await["status"] == "ACTIVE";
            eventually("its turn", Duration::from_secs(5), active).await;
            let (count, seconds) = error().await.unwrap();
            assert_eq!((count, seconds), ("1".to_owned(), "0".to_owned()), "once, and within what was told");
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        serving.signal(Signal::SIGINT);
        assert_eq!(serving.code_within(Duration::from_secs(5)).await, Some(0));
    });
}

#[test]
fn it_serves_and_is_measured() {
    block_on(async {
        let mut serving = Serving::start(&[]).await;
        serving.says("/livez", 200, &Value::Null).await;
        serving.says("/readyz", 200, &Value::Null).await;
        serving.says("/api/v1/concerts", 200, &Value::Null).await;
        serving.says("/api/v1/concerts/4711/schedules", 401, &json!("INVALID_TOKEN")).await;
        serving.says("/nowhere/4711", 404, &json!("NOT_FOUND")).await;

        let metrics = serving.client.get(format!("http://{}/metrics", serving.metrics)).send().await.unwrap();
        assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
        let metrics = metrics.text().await.unwrap();
        assert!(metrics.lines().any(|line| line.starts_with("build_info{") && line.ends_with(" 1")), "{metrics}");
        for labels in [
            r#"method="GET",route="/livez",status="200""#,
            r#"method="GET",route="/api/v1/concerts/{concertId}/schedules",status="401""#,
            r#"method="GET",route="none",status="404""#,
        ] {
            assert!(metrics.contains(&format!("http_requests_total{{{labels}}} 1\n")), "{labels}: {metrics}");
        }
        assert!(!metrics.contains("4711"), "no id is a label");

        serving.signal(Signal::SIGINT);
        assert_eq!(serving.code_within(Duration::from_secs(5)).await, Some(0));
        for line in serving.log.await.unwrap() {
            serde_json::from_str::<Value>(&line).expect("every line is JSON");
        }
    });
}

#[test]
fn a_shutdown_finishes_what_is_under_way() {
    block_on(async {
        let patience = ["--request-timeout-ms", "20000", "--shutdown-grace-ms", "3000"];
        let mut serving = Serving::start(&patience).await;
        let (mut lock, charge) = serving.charge_that_waits().await;

        serving.signal(Signal::SIGTERM);
        let not_ready = async || serving.get("/readyz").await.status() == 503;
        eventually("not ready", Duration::from_secs(2), not_ready).await;
        serving.says("/readyz", 503, &json!("UNAVAILABLE")).await;
        serving.says("/livez", 200, &Value::Null).await;
        let goodbye = serving.get("/livez").await;
        assert_eq!(goodbye.headers().get("connection").unwrap(), "close", "to be gone before the connection is");
        let closed = async || TcpStream::connect(&serving.api).await.is_err();
        eventually("no new connections", Duration::from_secs(3) + SLACK, closed).await;

        lock.execute("ROLLBACK").await.unwrap();
        assert_eq!(charge.await.unwrap().unwrap().status(), 200, "what was under way is finished");
        assert_eq!(serving.code_within(Duration::from_secs(5)).await, Some(0));
        let balance =
            sqlx::query_scalar::<_, i64>("SELECT balance FROM user_wallet").fetch_one(&mut lock).await.unwrap();
        assert_eq!(balance, 2000);
    });
}

#[test]
fn a_shutdown_waits_no_longer_than_it_may() {
    block_on(async {
        let limits = ["--shutdown-grace-ms", "0", "--shutdown-timeout-seconds", "1"];
        let mut serving = Serving::start(&[&["--request-timeout-ms", "20000"], &limits[..]].concat()).await;
        let (_lock, charge) = serving.charge_that_waits().await;
        serving.signal(Signal::SIGTERM);
        assert_eq!(serving.code_within(Duration::from_secs(3) + SLACK).await, Some(0));
        assert!(charge.await.unwrap().is_err(), "it was cut off");
    });
}

#[test]
fn a_shutdown_does_not_wait_for_stores_that_have_stopped() {
    block_on(async {
        let servers = OwnServers::start().await;
        let (database, redis) = (servers.servers.postgres.url(), servers.servers.redis.url());
        let limits =
            ["--postgres-timeout-ms", "20000", "--redis-timeout-ms", "20000", "--shutdown-timeout-seconds", "2"];
        let patience = ["--request-timeout-ms", "20000", "--shutdown-grace-ms", "0"];
        let mut serving = Serving::start_at(database, &redis, &[&limits[..], &patience].concat()).await;
        assert_eq!(serving.charge().await.unwrap().status(), 200);
        let app = servers.app().await;
        let paused = (servers.pause_redis(), servers.pause_postgres(&app).await);
        let charge = tokio::spawn(serving.charge());
        let (client, ready) = (serving.client.clone(), format!("http://{}/readyz", serving.api));
        let ready = tokio::spawn(async move { client.get(ready).send().await });
        serving.signal(Signal::SIGTERM);
        assert_eq!(serving.code_within(Duration::from_secs(2 + 3) + SLACK).await, Some(0));
        charge.await.unwrap().unwrap_err();
        let _ = ready.await;
        drop(paused);
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn an_address_that_is_taken_is_named() {
    block_on(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let (database, redis) = (servers().await.seeded_database().await, servers().await.redis_url());
        for variable in ["ONSALE_LISTEN", "ONSALE_METRICS_LISTEN"] {
            let other = if variable == "ONSALE_LISTEN" { "ONSALE_METRICS_LISTEN" } else { "ONSALE_LISTEN" };
            let stores = [("DATABASE_URL", &*database), ("REDIS_URL", &*redis), ("ONSALE_TOKEN_KEY", KEY)];
            let addresses = [(variable, &*address), (other, "127.0.0.1:0")];
            let ran = run(&["serve"], &[&stores[..], &addresses, &PATIENT].concat()).await;
            assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
            assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
            assert!(ran.stderr.contains(variable), "{ran:?}");
        }
    });
}

#[test]
fn a_refused_call_leaves_the_connection_in_order() {
    block_on(async {
        let serving = Serving::start(&[]).await;
        let mut connection = TcpStream::connect(&serving.api).await.unwrap();
        let body = r#"{"concertScheduleId":1,"concertSeatId":1}"#;
        let head = format!(
            "POST /api/v1/reservations/concert HTTP/1.1\r\nhost: onsale\r\ntoken: none\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        for _ in 0..3 {
            // Many clients send a request's head and its body one after the other.
            connection.write_all(head.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            connection.write_all(body.as_bytes()).await.unwrap();
            let mut answer = vec![0; 4096];
            let length = connection.read(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer[..length]);
            assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("INVALID_TOKEN"), "{answer:?}");
            assert!(!answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
        }
    });
}
