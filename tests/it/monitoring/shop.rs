//! Served instances of a shop, and a burst that touches everything that is measured.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{ONSALE, eventually, servers, suspend};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// One `onsale serve`.
pub struct Instance {
    child: Child,
    pub api: String,
    pub metrics: String,
    client: Client,
}

/// What is sold.
pub struct Sale {
    concert: String,
    schedule: i64,
}

/// The stores that its instances share.
pub struct Shop {
    pub database: String,
    pub redis: String,
}

impl Shop {
    pub async fn new() -> Self {
        Self { database: servers().await.seeded_database().await, redis: servers().await.redis_url() }
    }

    /// The program with these arguments, on the shop's stores.
    pub fn onsale(&self, args: &[&str]) -> Command {
        let mut command = Command::new(ONSALE);
        let prefix = self.database.rsplit('/').next().unwrap();
        command.args(args).env_clear().envs([
            ("DATABASE_URL", &*self.database),
            ("REDIS_URL", &*self.redis),
            ("ONSALE_KEY_PREFIX", prefix),
        ]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub async fn serve(&self) -> Instance {
        let mut command = self.onsale(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        command.args(["--postgres-connections", "4"]);
        command.envs([("ONSALE_TOKEN_KEY", KEY), ("ONSALE_ADMIN_TOKEN", KEY)]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (api, metrics) = loop {
            let line: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
            if let (Some(api), Some(metrics)) = (line["api"].as_str(), line["metrics"].as_str()) {
                break (api.to_owned(), metrics.to_owned());
            }
        };
        // It must not stop at a pipe that is full.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Instance { child, api, metrics, client }
    }
}

impl Instance {
    pub async fn metrics(&self) -> String {
        let asked = self.client.get(format!("http://{}/metrics", self.metrics)).send().await.unwrap();
        asked.text().await.unwrap()
    }

    /// Whether there is a metric of this name.
    pub async fn shows(&self, name: &str) -> bool {
        let begins = [format!("{name} "), format!("{name}{{")];
        self.metrics().await.lines().any(|line| begins.iter().any(|begin| line.starts_with(begin)))
    }

    /// A metric's value; none if it is not shown.
    pub async fn value(&self, metric: &str) -> Option<f64> {
        let metrics = self.metrics().await;
        metrics.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')?.parse().ok())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().unwrap().try_into().unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Stops it where it is, until it is sent `SIGCONT`.
    pub fn suspend(&self) {
        suspend(self.pid());
    }

    /// A call's data.
    pub async fn call(&self, method: Method, path: &str, header: (&str, &str), body: Value) -> Value {
        let call = self.client.request(method, format!("http://{}{path}", self.api)).header(header.0, header.1);
        let call = if body.is_null() { call } else { call.json(&body) };
        let answer: Value = call.send().await.unwrap().json().await.unwrap();
        answer["data"].clone()
    }

    /// An operator's act.
    pub async fn operate(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, ("authorization", &format!("Bearer {KEY}")), body).await
    }

    async fn enter(&self, user: &str, concert: &str) -> String {
        let call = self.client.post(format!("http://{}/api/v1/queues/token", self.api)).header("userId", user);
        let call =
            call.header("content-type", "application/x-www-form-urlencoded").body(format!("concertId={concert}"));
        let answer: Value = call.send().await.unwrap().json().await.unwrap();
        answer["data"]["token"].as_str().unwrap().to_owned()
    }

    /// A concert with a queue of its own, which lets in one at a time.
    pub async fn open_sale(&self) -> Sale {
        self.operate("/admin/v1/queues", json!({"name": "big", "maxActive": 1})).await;
        let date = chrono::Utc::now().date_naive() + chrono::Days::new(30);
        let sections = json!([{"section": "R", "price": 1000, "rows": ["A"], "seatsPerRow": 5}]);
        let concert = json!({"title": "Big", "queue": "big", "schedules": [{"date": date, "sections": sections}]});
        let made = self.operate("/admin/v1/concerts", concert).await;
        let schedule = made["schedules"][0]["concertScheduleId"].as_i64().unwrap();
        Sale { concert: made["concertId"].to_string(), schedule }
    }

    /// One is let in and one waits; then a ticket bought and given back, one that somebody else has, and one that nobody can
    /// pay.
    pub async fn burst(&self, Sale { concert, schedule }: &Sale) {
        let tokens = [self.enter("1", concert).await, self.enter("2", concert).await];
        let token = ("token", &*tokens[0]);
        let status = async |token: &str| {
            self.call(Method::GET, "/api/v1/queues/token/rank", ("token", token), Value::Null).await["status"].clone()
        };
        let active = async || status(&tokens[0]).await == "ACTIVE";
        eventually("active", Duration::from_secs(10), active).await;
        status(&tokens[1]).await;

        self.call(Method::GET, &format!("/api/v1/concerts/{concert}/schedules"), token, Value::Null).await;
        let seats = format!("/api/v1/concerts/schedules/{schedule}/seats");
        let seats = self.call(Method::GET, &seats, token, Value::Null).await;
        let seat =
            |at: usize| json!({"concertScheduleId": schedule, "concertSeatId": seats["seats"][at]["concertSeatId"]});
        let hold = async |token: (&str, &str), seat: Value| {
            self.call(Method::POST, "/api/v1/reservations/concert", token, seat).await["reservationId"].clone()
        };
        let (first, second) = (hold(token, seat(0)).await, hold(token, seat(1)).await);
        let pay = async |reservation: &Value| {
            let body = json!({"concertReservationId": reservation});
            self.call(Method::POST, "/api/v1/payment/concert", token, body).await["paymentHistoryId"].clone()
        };
        assert_eq!(pay(&first).await, Value::Null, "the wallet is empty");
        let user = ("userId", "1");
        self.call(Method::PATCH, "/api/v1/user-wallets/balance", user, json!({"amount": 5000})).await;
        let payment = pay(&first).await;
        assert!(payment.is_number(), "{payment}");
        pay(&second).await;
        self.call(Method::POST, &format!("/api/v1/payments/{payment}/refund"), user, Value::Null).await;
        let let_in = async || status(&tokens[1]).await == "ACTIVE";
        eventually("the next is let in", Duration::from_secs(10), let_in).await;
        let next = ("token", &*tokens[1]);
        assert_eq!(hold(next, seat(1)).await, Value::Null, "sold");
        hold(next, seat(2)).await;
        self.enter("3", concert).await;
        self.call(Method::GET, "/livez", user, Value::Null).await;
    }
}
