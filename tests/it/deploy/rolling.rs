//! A rolling restart under load: people buy through nginx while one instance after the other is ended and started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::shop::Shop;
use crate::support::block_on;

/// People who buy at a time, and how long each looks around between two steps.
const BUYERS: i64 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// The demo programme's seats, 50 a schedule, all below this price.
const SEATS: i64 = 1500;
const CHARGE: i64 = 200_000;

/// Nobody is left to try for longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts of a crowd.
#[derive(Default)]
struct Crowd {
    next: AtomicI64,
    bought: AtomicI64,
    retried: AtomicU32,
}

/// A visitor, who asks again as the contract says: after 429 and 503, and where it says `Retry-After`.
struct Buyer {
    client: Client,
    base: String,
    crowd: Arc<Crowd>,
}

impl Buyer {
    /// What is answered in the end, or why that is a failure.
    async fn ask(&self, request: RequestBuilder) -> Result<Value, String> {
        let begun = Instant::now();
        loop {
            let again = request.try_clone().ok_or("cannot be sent again")?;
            let answer = again.send().await.map_err(|error| format!("{error:?}"))?;
            let (status, after) = (answer.status().as_u16(), answer.headers().get("retry-after").cloned());
            let body: Value = answer.json().await.map_err(|error| format!("{status} without the envelope: {error}"))?;
            if status == 200 {
                return Ok(body["data"].clone());
            }
            let after = after.and_then(|after| after.to_str().ok()?.parse().ok()).ok_or(format!("{status} {body}"))?;
            if begun.elapsed() > PATIENCE {
                return Err(format!("still {status} {body}"));
            }
            self.crowd.retried.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(after)).await;
        }
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(method.parse().unwrap(), format!("{}{path}", self.base))
    }

    /// One purchase, by one person, of one seat.
    async fn buy(&self, number: i64) -> Result<(), String> {
        let (user, seat) = (number.to_string(), number);
        let schedule = (seat - 1) / 50 + 1;
        let entered = self.ask(self.request("POST", "/api/v1/queues/token").header("userId", &user)).await?;
        let token = entered["token"].as_str().ok_or("no token")?;
        let begun = Instant::now();
        while self.ask(self.request("GET", "/api/v1/queues/token/rank").header("token", token)).await?["status"]
            != "ACTIVE"
        {
            if begun.elapsed() > PATIENCE {
                return Err("never its turn".to_owned());
            }
            tokio::time::sleep(PAUSE).await;
        }
        let seats = format!("/api/v1/concerts/schedules/{schedule}/seats");
        self.ask(self.request("GET", &seats).header("token", token)).await?;
        tokio::time::sleep(PAUSE).await;
        let hold = self.request("POST", "/api/v1/reservations/concert").header("token", token);
        let hold = hold.json(&json!({"concertScheduleId": schedule, "concertSeatId": seat}));
        let reservation = self.ask(hold.header("idempotency-key", "hold")).await?["reservationId"].clone();
        let charge = self.request("PATCH", "/api/v1/user-wallets/balance").header("userId", &user);
        self.ask(charge.json(&json!({"amount": CHARGE})).header("idempotency-key", "charge")).await?;
        tokio::time::sleep(PAUSE).await;
        let pay = self.request("POST", "/api/v1/payment/concert").header("token", token);
        let pay = pay.json(&json!({"concertReservationId": reservation})).header("idempotency-key", "pay");
        self.ask(pay).await?["paymentHistoryId"].as_i64().ok_or("no payment")?;
        Ok(())
    }

    /// One purchase after the other, until that is enough.
    async fn go_on(self, enough: CancellationToken) -> Result<(), String> {
        while !enough.is_cancelled() {
            let number = self.crowd.next.fetch_add(1, Ordering::SeqCst) + 1;
            if number > SEATS {
                return Err("all is sold: the test buys too fast".to_owned());
            }
            self.buy(number).await.map_err(|why| format!("purchase {number}: {why}"))?;
            self.crowd.bought.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[test]
fn a_rolling_restart_fails_no_purchase() {
    block_on(async {
        let mut shop = Shop::open().await;
        let (crowd, enough) = (Arc::new(Crowd::default()), CancellationToken::new());
        let mut buyers = JoinSet::new();
        for _ in 0..BUYERS {
            let (client, base) = (shop.client.clone(), format!("http://{}", shop.address));
            buyers.spawn(Buyer { client, base, crowd: crowd.clone() }.go_on(enough.clone()));
        }
        for instance in &mut shop.instances {
            let before = crowd.bought.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(instance.stop().await, Some(0), "what was under way was finished");
            let down = crowd.bought.load(Ordering::SeqCst);
            // For a moment the other one is alone.
            tokio::time::sleep(Duration::from_secs(1)).await;
            instance.start_again().await;
            let after = crowd.bought.load(Ordering::SeqCst);
            assert!(down > before && after > down, "nobody was buying: {before}, {down}, {after}");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        enough.cancel();
        for outcome in buyers.join_all().await {
            assert_eq!(outcome, Ok(()));
        }
        let bought = crowd.bought.load(Ordering::SeqCst);
        let retried = crowd.retried.load(Ordering::SeqCst);
        eprintln!("{bought} purchases through two restarts, {retried} requests were asked again");

        let mut postgres = PgConnection::connect(&shop.database).await.unwrap();
        let mut number =
            async |query: &'static str| sqlx::query_scalar::<_, i64>(query).fetch_one(&mut postgres).await.unwrap();
        assert_eq!(number("SELECT count(*) FROM payment_history").await, bought);
        assert_eq!(number("SELECT count(DISTINCT user_id) FROM payment_history").await, bought);
        let money =
            "SELECT ((SELECT sum(balance) FROM user_wallet) + (SELECT sum(amount) FROM payment_history))::bigint";
        assert_eq!(number(money).await, bought * CHARGE, "nobody was charged twice");
        let (code, said) = shop.instances[0].run(&["audit"]).await;
        assert_eq!(code, Some(0), "{said}");
    });
}
