//! A shop for one test, with a concert that has a queue of its own, and others in it.

use serde_json::{Value, json};

use crate::admin::OPERATED;
use crate::support::{Browser, Look, Socket, TestApp};

/// Browsers leave a small machine little time for anything else.
pub const PATIENT: [&str; 6] =
    ["--postgres-timeout-ms", "20000", "--redis-timeout-ms", "20000", "--request-timeout-ms", "20000"];

/// A shop with one more concert.
pub struct Hall {
    pub app: TestApp,
    pub socket: Socket,
    /// The page of the concert.
    pub page: String,
    /// Its id.
    pub concert: i64,
    /// Its only evening.
    pub schedule: i64,
}

impl Hall {
    /// A concert of 40 seats whose queue is set so.
    pub async fn open(settings: Value) -> Self {
        Self::with_seats(settings, 20).await
    }

    /// Likewise, with so many seats in each of two rows.
    pub async fn with_seats(mut settings: Value, seats: u32) -> Self {
        let app = TestApp::with(&[&OPERATED[..], &PATIENT, &["--demo"]].concat()).await;
        settings["name"] = json!("night");
        app.operate("POST", "/queues", settings).await.data();
        let plan = json!([{ "section": "R", "price": 50_000, "rows": ["A", "B"], "seatsPerRow": seats }]);
        let concert = json!({
            "title": "Winter <b>Strings</b>",
            "queue": "night",
            "schedules": [{ "date": "2031-12-24", "sections": plan }],
        });
        let made = app.operate("POST", "/concerts", concert).await.data().clone();
        let concert = made["concertId"].as_i64().unwrap();
        let schedule = made["schedules"][0]["concertScheduleId"].as_i64().unwrap();
        let known = async || app.call("GET", &format!("/api/v1/concerts/{concert}/queue"), &[], Value::Null).await;
        while known().await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let socket = app.serve().await;
        Self { app, socket, page: format!("/concerts/{concert}"), concert, schedule }
    }

    /// A browser at the concert's page.
    pub async fn browser(&self, look: Look) -> Browser {
        let browser = Browser::open(&self.socket, look).await;
        browser.goto(&self.page).await;
        browser
    }

    /// Takes a place in the concert's queue by a call.
    pub async fn enter(&self, user: i64) -> String {
        let form = format!("concertId={}", self.concert);
        let call = self.app.ask("POST", "/api/v1/queues/token").header("userId", user.to_string());
        let answer = call.header("content-type", "application/x-www-form-urlencoded").body(form).send().await;
        answer.data()["token"].as_str().unwrap().to_owned()
    }

    /// Likewise, one after the other.
    pub async fn enter_all(&self, users: std::ops::Range<i64>) -> Vec<String> {
        let mut tokens = Vec::new();
        for user in users {
            tokens.push(self.enter(user).await);
        }
        tokens
    }

    /// Changes how the queue is set.
    pub async fn set(&self, settings: Value) {
        self.app.operate("PATCH", "/queues/night", settings).await.data();
    }

    /// Buys every seat, for somebody else.
    pub async fn sell_all(&self) {
        let token = self.enter(900_000).await;
        let seats = self.app.free_seats(&token, self.schedule).await;
        self.app.charge(900_000, 50_000 * i64::try_from(seats.len()).unwrap()).await.data();
        let held = self.app.hold_many(&token, self.schedule, &seats).await.held_many();
        let held: Vec<i64> = held.into_iter().map(|(_, reservation)| reservation).collect();
        self.app.pay_many(&token, &held).await.payments();
    }
}
