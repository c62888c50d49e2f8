//! The seats' scripts with settings, so that a test says only what it is about.

use std::ops::Deref;

use super::{Bench, number};

/// Stands for any age but none.
pub const AGE: &str = "an age";

/// How the token is named under which a user holds; its place is the user's number.
pub fn token(user: u64) -> String {
    format!("1-{user}")
}

/// Which schedule it is.
pub const SCHEDULE: &str = "7";

/// A schedule's map and how it is asked. Whoever holds has an active token, unless it has one that is not.
pub struct SeatBench {
    bench: Bench,
    pub hold_ttl: u64,
    pub most: u64,
    pub limit: u64,
    pub suspicious: u64,
    pub retention: u64,
    /// The place of the token that pays, which ends with the payment.
    pub pays: Option<u64>,
}

impl Deref for SeatBench {
    type Target = Bench;

    fn deref(&self) -> &Bench {
        &self.bench
    }
}

impl SeatBench {
    /// A schedule whose map Redis has not got.
    pub async fn missing() -> Self {
        let bench = Bench::new("seat").await;
        Self { bench, hold_ttl: 60_000, most: 4, limit: 100, suspicious: 60_000, retention: 60_000, pays: None }
    }

    /// A schedule with these seats, one letter each.
    pub async fn of(states: &str) -> Self {
        let seats = Self::missing().await;
        seats.rebuild(states, &[]).await;
        seats
    }

    /// Loads and opens the map; what is sold, by position and reservation.
    pub async fn rebuild(&self, states: &str, sold: &[(u64, u64)]) {
        assert_eq!(self.load("nonce", states).await, ["LOADING"]);
        assert_eq!(self.open("nonce", sold).await, ["OPENED"]);
    }

    pub async fn load(&self, nonce: &str, states: &str) -> Vec<String> {
        self.run("load", &[nonce, states]).await
    }

    pub async fn open(&self, nonce: &str, sold: &[(u64, u64)]) -> Vec<String> {
        self.open_in_doubt(nonce, 0, sold).await
    }

    pub async fn open_in_doubt(&self, nonce: &str, doubt: u64, sold: &[(u64, u64)]) -> Vec<String> {
        let sold: Vec<String> =
            sold.iter().map(|(position, reservation)| format!("{position}:{reservation}")).collect();
        let doubt = doubt.to_string();
        let args: Vec<&str> = [nonce, &doubt].into_iter().chain(sold.iter().map(String::as_str)).collect();
        self.open_queue().await;
        self.run("open", &args).await
    }

    /// Opens the queue that serves the schedule, as if long ago, with places up to 1000 given.
    pub async fn open_queue(&self) {
        self.run_of("queue", "open", &["1000", "60000", "0"]).await;
        self.ask("HSET state opened 5 window 0").await;
    }

    /// Gives a user an active token for as long, unless it has one of any kind.
    pub async fn let_in(&self, user: u64, ttl: i64) {
        let now = self.now_us().await / 1000;
        if self.one(&format!("HSETNX tokens {user} A:{user}:{now}:{now}")).await == "1" {
            self.ask(&format!("ZADD active {} {user}", now + ttl)).await;
        }
    }

    pub async fn look(&self, generation: &str, version: u64) -> Vec<String> {
        self.run("look", &[generation, &version.to_string(), &self.limit.to_string()]).await
    }

    /// Gives users tokens that may not try: which, and what is said of them.
    pub async fn let_in_otherwise(&self) -> [(u64, &'static str); 5] {
        let now = self.now_us().await / 1000;
        for (user, status) in [(501, "W"), (502, "E"), (503, "C")] {
            self.ask(&format!("HSET tokens {user} {status}:{user}:{now}:{now}")).await;
        }
        // A former Redis may have given this place, and no Redis that one.
        self.ask("HSET tokens 504 E:1:5:5").await;
        self.ask(&format!("HSET state opened {now} window 60000")).await;
        self.ask("HSET tokens 2000 E:1:5:5").await;
        [(501, "WAITING"), (502, "EXPIRED"), (503, "COMPLETED"), (504, "LOST"), (2000, "UNKNOWN")]
    }

    /// The queue was opened in another Redis, the map in this one.
    pub async fn queue_is_lost(&self) {
        self.ask("HSET state incarnation other").await;
    }

    pub async fn hold(&self, user: u64, reservation: u64, position: u64) -> Vec<String> {
        self.let_in(user, 60_000).await;
        let shared = self.shared();
        let own = [user.to_string(), user.to_string(), token(user), reservation.to_string(), position.to_string()];
        let last = self.hold_ttl.to_string();
        let args: Vec<&str> = shared.iter().chain(&own).chain([&last]).map(String::as_str).collect();
        self.run("hold", &args).await
    }

    /// What all calls of a batch of holds have in common.
    pub fn shared(&self) -> [String; 4] {
        [self.most.to_string(), self.limit.to_string(), "60000".to_owned(), SCHEDULE.to_owned()]
    }

    /// Holds these positions, or, without any, the best in rows of these lengths; an id for each seat.
    pub async fn hold_many(&self, user: u64, ids: &str, positions: &str, rows: &str) -> Vec<String> {
        self.let_in(user, 60_000).await;
        let numbers = [user, self.hold_ttl, self.most, self.limit].map(|number| number.to_string());
        let ([user, ttl, most, limit], token) = (&numbers, token(user));
        let last = [&*token, user, "60000", SCHEDULE];
        let args = [&[user, ids, positions, rows, ttl, most, limit], &last[..]].concat();
        self.run("hold_many", &args).await
    }

    /// The positions that are the best for somebody who asks for as many; what was held stays so.
    pub async fn best(&self, user: u64, ids: &str, rows: &str) -> Vec<String> {
        let reply = self.hold_many(user, ids, "", rows).await;
        reply.iter().skip(3).step_by(2).cloned().collect()
    }

    /// One reservation of a user's, or all that it holds.
    pub async fn find(&self, user: u64, reservation: &str) -> Vec<String> {
        self.run("find", &[&user.to_string(), reservation]).await
    }

    pub async fn release(&self, user: u64, reservation: u64) -> Vec<String> {
        self.release_under("", user, reservation).await
    }

    /// For the token of this name.
    pub async fn release_under(&self, token: &str, user: u64, reservation: u64) -> Vec<String> {
        self.run("release", &[&user.to_string(), &reservation.to_string(), token]).await
    }

    /// The word and the reservations, without what they are.
    pub async fn held(&self, user: u64) -> Vec<String> {
        let reply = self.run("held", &[&user.to_string()]).await;
        let rest = reply.iter().skip(1).step_by(2);
        reply.iter().take(1).chain(rest).cloned().collect()
    }

    pub async fn begin(&self, user: u64, reservation: u64) -> Vec<String> {
        self.begin_under("", user, reservation).await
    }

    /// Under the token of this name.
    pub async fn begin_under(&self, token: &str, user: u64, reservation: u64) -> Vec<String> {
        self.run("begin_payment", &[&user.to_string(), &reservation.to_string(), token]).await
    }

    /// Ends the first attempt to pay.
    pub async fn finish(&self, user: u64, reservation: u64, position: u64, outcome: &str) -> Vec<String> {
        self.finish_attempt(1, user, reservation, position, outcome).await
    }

    pub async fn finish_attempt(
        &self,
        attempt: u64,
        user: u64,
        reservation: u64,
        position: u64,
        outcome: &str,
    ) -> Vec<String> {
        let numbers = [user, reservation, position, attempt].map(|number| number.to_string());
        let [user, reservation, position, attempt] = &numbers;
        let place = self.pays.map(|place| place.to_string()).unwrap_or_default();
        self.run("finish_payment", &[SCHEDULE, user, reservation, position, attempt, outcome, &place]).await
    }

    pub async fn refund(&self, reservation: u64, position: u64) -> Vec<String> {
        self.run("refund", &[&reservation.to_string(), &position.to_string()]).await
    }

    /// Frees a seat that is sold to nobody whom the map knows.
    pub async fn refund_nobody(&self, position: u64) -> Vec<String> {
        self.run("refund", &["", &position.to_string()]).await
    }

    pub async fn whose(&self, positions: &[u64]) -> Vec<String> {
        let positions: Vec<String> = positions.iter().map(u64::to_string).collect();
        self.run("whose", &positions.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    pub async fn sweep(&self) -> Vec<String> {
        let args = [self.limit, self.suspicious, self.retention].map(|number| number.to_string());
        self.run("sweep", &args.each_ref().map(String::as_str)).await
    }

    /// Likewise, with the age of the oldest payment under way, if there is one, made known.
    pub async fn sweep_but_age(&self) -> Vec<String> {
        let mut swept = self.sweep().await;
        if number(&swept, 3) > 0 {
            AGE.clone_into(&mut swept[3]);
        }
        swept
    }

    /// A range of the audit: the word, the states, what is wrong, with that many ms for what is late.
    pub async fn audit_range(&self, late: u64, first: u64, many: u64) -> Vec<String> {
        let args = [late, first, many].map(|number| number.to_string());
        let mut reply = self.run("audit", &args.each_ref().map(String::as_str)).await;
        if reply.len() > 1 {
            assert_eq!(reply.remove(1), "nonce", "the generation");
        }
        reply
    }

    /// The whole map's audit.
    pub async fn audit(&self, late: u64) -> Vec<String> {
        self.audit_range(late, 0, 100).await
    }

    /// The map, one letter a seat.
    pub async fn states(&self) -> String {
        self.one("GET seats").await
    }

    /// A reservation's status; `nil` without a record.
    pub async fn status(&self, reservation: u64) -> String {
        let record = self.one(&format!("HGET holds {reservation}")).await;
        record.split(':').next().unwrap().to_owned()
    }

    /// Moves a hold's deadline to 1970.
    pub async fn outlive(&self, reservation: u64) {
        let record = self.one(&format!("HGET holds {reservation}")).await;
        let mut fields: Vec<_> = record.split(':').collect();
        fields[3] = "5";
        self.ask(&format!("HSET holds {reservation} {}", fields.join(":"))).await;
        self.ask(&format!("ZADD lapses XX 5 {reservation}")).await;
    }

    /// Asserts that nothing holds the reservation any more: only its record is left, and its seat if that is sold.
    pub async fn assert_ended(&self, user: u64, reservation: u64, status: &str) {
        assert_eq!(self.status(reservation).await, status);
        for ends in ["lapses", "paying"] {
            assert_eq!(self.one(&format!("ZSCORE {ends} {reservation}")).await, "nil", "{ends}");
        }
        assert_eq!(self.ask("HVALS by_seat").await.contains(&reservation.to_string()), status == "S");
        let list = self.one(&format!("HGET by_user {user}")).await;
        assert!(!list.split(' ').any(|held| held == reservation.to_string()), "{list}");
        let forgettable = self.one(&format!("ZSCORE past {reservation}")).await;
        assert_eq!(forgettable == "nil", status == "S", "only what is sold is remembered for good");
    }
}
