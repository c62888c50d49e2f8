//! The program itself, with all that it says.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::support::{ONSALE, eventually};

/// A key that authenticates tokens.
pub const KEY: &str = "cafe0001cafe0001cafe0001cafe0001cafe0001cafe0001cafe0001cafe0001";

/// A running `onsale serve`.
pub struct Running {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
    api: String,
    client: Client,
}

/// How it ended, and all that it said, on either stream.
pub struct Ended {
    pub code: Option<i32>,
    pub said: Vec<String>,
}

impl Running {
    /// On these stores, with these variables besides what it needs.
    pub async fn start(database: &str, redis: &str, variables: &[(&str, &str)]) -> Self {
        let prefix = database.rsplit('/').next().unwrap();
        let mut command = Command::new(ONSALE);
        command.arg("serve").env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.envs([
            ("DATABASE_URL", database),
            ("REDIS_URL", redis),
            ("ONSALE_KEY_PREFIX", prefix),
            ("ONSALE_TOKEN_KEY", KEY),
            ("ONSALE_LISTEN", "127.0.0.1:0"),
            ("ONSALE_METRICS_LISTEN", "127.0.0.1:0"),
            ("ONSALE_POSTGRES_CONNECTIONS", "4"),
            ("ONSALE_SHUTDOWN_GRACE_MS", "0"),
            // What is looked at here is what is said, however long a busy machine takes over it.
            ("ONSALE_POSTGRES_TIMEOUT_MS", "10000"),
            ("ONSALE_REDIS_TIMEOUT_MS", "10000"),
            ("ONSALE_REQUEST_TIMEOUT_MS", "20000"),
        ]);
        command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::default();
        let readers = vec![keep(child.stdout.take().unwrap(), &said), keep(child.stderr.take().unwrap(), &said)];
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let mut running = Self { child, said, readers, api: String::new(), client };
        let mut api = None;
        eventually("it serves", Duration::from_mins(2), async || {
            api = running.lines().iter().find_map(|line| Some(line["api"].as_str()?.to_owned()));
            api.is_some()
        })
        .await;
        running.api = api.unwrap();
        running
    }

    /// What it has said so far, on either stream.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Its log lines so far.
    pub fn lines(&self) -> Vec<Value> {
        self.said().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// A call; a null body sends none.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("http://{}{path}", self.api));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = if body.is_null() { request } else { request.json(&body) };
        request.send().await.unwrap()
    }

    /// What a call that must succeed answers with.
    pub async fn data(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Value {
        let answer = self.call(method, path, headers, body).await;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{method} {path}: {body}");
        body["data"].clone()
    }

    /// Enters the default queue.
    pub async fn enter(&self, user: &str) -> String {
        let data = self.data("POST", "/api/v1/queues/token", &[("userId", user)], Value::Null).await;
        data["token"].as_str().unwrap().to_owned()
    }

    /// Asks it to end, and waits for that.
    pub async fn end(mut self) -> Ended {
        kill(Pid::from_raw(self.child.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        let code = ended.unwrap().unwrap().code();
        for reader in std::mem::take(&mut self.readers) {
            reader.await.unwrap();
        }
        Ended { code, said: self.said() }
    }
}

fn keep(stream: impl AsyncRead + Unpin + Send + 'static, said: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.lock().unwrap().push(line);
        }
    })
}
