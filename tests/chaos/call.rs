//! How clients ask: one request, what is heard of it, and asking again until something definite is heard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::Value;

use crate::Outcome;
use crate::history::{History, Slow, Span, now_ms};

/// When a client gives up waiting; longer than any answer may take, so that a slow one is seen.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(7);
/// From here on a request is written down as slow.
const SLOW_MS: u64 = 2500;

const KEY: &str = "Idempotency-Key";

/// A request that can be made again.
#[derive(Debug, Clone)]
pub struct Call {
    what: &'static str,
    /// Who asks, for the journal.
    user: i64,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    json: Option<Value>,
    form: Option<String>,
}

impl Call {
    /// A call by its name in the report.
    pub fn new(what: &'static str, user: i64, method: Method, path: impl Into<String>) -> Self {
        Self { what, user, method, path: path.into(), headers: Vec::new(), json: None, form: None }
    }

    pub fn header(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// With an `Idempotency-Key`.
    pub fn keyed(self, key: &str) -> Self {
        self.header(KEY, key)
    }

    /// Who asks for what, for the journal.
    fn told(&self) -> String {
        let json = self.json.as_ref().map(Value::to_string).unwrap_or_default();
        let key = self.headers.iter().find(|(name, _)| *name == KEY).map_or("-", |(_, key)| key);
        format!("user {} {} {} {json} key {key}", self.user, self.what, self.path)
    }

    pub fn json(mut self, body: Value) -> Self {
        self.json = Some(body);
        self
    }

    pub fn form(mut self, body: String) -> Self {
        self.form = Some(body);
        self
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// The envelope.
    pub json: Value,
    /// Whether it says that it was given before.
    pub replayed: bool,
    /// When the request was sent and the answer was there.
    pub span: Span,
    /// The request's id, to be found in the logs.
    pub request: String,
}

impl Answer {
    /// The error's code, or `OK`.
    pub fn code(&self) -> &str {
        if self.status == 200 { "OK" } else { self.json["error"]["code"].as_str().unwrap_or("?") }
    }

    pub fn is_ok(&self) -> bool {
        self.status == 200
    }

    /// A number of a success.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.json["data"][name].as_i64()
    }

    /// The payment that was made: the only one, or this one of a batch.
    pub fn payment(&self, turn: Option<usize>) -> Option<i64> {
        turn.map_or_else(
            || self.number("paymentHistoryId"),
            |turn| self.json["data"]["payments"][turn]["paymentHistoryId"].as_i64(),
        )
    }

    /// The token is good for nothing any more.
    pub fn token_is_over(&self) -> bool {
        self.status == 401
    }

    /// Whether asking again may tell something else: what was asked for may have happened or not, or happen yet.
    fn is_passing(&self) -> bool {
        self.status >= 500 || matches!(self.code(), "PAYMENT_IN_PROGRESS" | "IDEMPOTENCY_KEY_IN_USE" | "RATE_LIMITED")
    }
}

/// What was heard in the end.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The definite answer; none if there was none in time.
    pub answer: Option<Answer>,
    /// Whether an earlier request may have had an effect that its answer would have told.
    pub was_unknown: bool,
    /// When the first request was sent.
    pub asked: u64,
}

/// Where to ask.
#[derive(Debug)]
pub struct Caller {
    http: reqwest::Client,
    fronts: Vec<SocketAddr>,
    history: Arc<History>,
    requests: AtomicU64,
}

impl Caller {
    /// Asks at these addresses.
    pub fn new(fronts: Vec<SocketAddr>, history: Arc<History>) -> Outcome<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(CLIENT_TIMEOUT).build()?;
        Ok(Self { http, fronts, history, requests: AtomicU64::new(1) })
    }

    /// Asks one instance once. None if there is no answer.
    pub async fn ask(&self, call: &Call, instance: usize) -> Option<Answer> {
        let request = format!("chaos-{}", self.requests.fetch_add(1, Ordering::Relaxed));
        let sent = now_ms();
        let answer = self.exchange(call, instance, &request, sent).await;
        let span = Span::since(sent);
        let (answer, code) = match answer {
            Ok(answer) => {
                let code = answer.code().to_owned();
                (Some(answer), code)
            }
            Err(error) if error.is_timeout() => (None, "no answer in time".to_owned()),
            Err(_) => (None, "connection lost".to_owned()),
        };
        let mut records = self.history.records();
        if code == "INTERNAL" || code == "?" {
            records
                .breach("every answer is one of the contract's", format!("{}: {code}, request {request}", call.what));
        }
        let (from, ms, asked) = (span.from, span.ms(), call.told());
        records.journal.push(format!("{from} {asked}: {code} from {} in {ms} ms, {request}", instance + 1));
        *records.answers.entry((call.what, code)).or_default() += 1;
        if answer.is_some() {
            records.slowest_ms = records.slowest_ms.max(span.ms());
        }
        if span.ms() >= SLOW_MS {
            records.slow.push(Slow { what: call.what, request, instance, span });
        }
        answer
    }

    async fn exchange(&self, call: &Call, instance: usize, id: &str, sent: u64) -> reqwest::Result<Answer> {
        let url = format!("http://{}{}", self.fronts[instance], call.path);
        let mut request = self.http.request(call.method.clone(), url).header("x-request-id", id);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(json) = &call.json {
            request = request.json(json);
        }
        if let Some(form) = &call.form {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(form.clone());
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let replayed = response.headers().get("idempotent-replayed").is_some_and(|value| value == "true");
        let body = response.bytes().await?.to_vec();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Answer { status, body, json, replayed, span: Span::since(sent), request: id.to_owned() })
    }

    /// Asks again, any instance or one alone, until something definite is heard or it is late.
    pub async fn insist(&self, call: &Call, only: Option<usize>, late: Instant, lots: &mut StdRng) -> Heard {
        let asked = now_ms();
        let mut was_unknown = false;
        let mut pause_ms = 20;
        loop {
            let instance = only.unwrap_or_else(|| lots.random_range(0..self.fronts.len()));
            let answer = self.ask(call, instance).await;
            match answer {
                Some(answer) if !answer.is_passing() => return Heard { answer: Some(answer), was_unknown, asked },
                Some(answer) if answer.status < 500 => {}
                _ => was_unknown = true,
            }
            if Instant::now() >= late {
                return Heard { answer: None, was_unknown, asked };
            }
            tokio::time::sleep(Duration::from_millis(lots.random_range(pause_ms / 2..=pause_ms))).await;
            pause_ms = (pause_ms * 2).min(500);
        }
    }
}
