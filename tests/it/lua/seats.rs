//! The seats' scripts with settings, so that a test says only what it is about.

use std::ops::Deref;

use super::{Bench, number};

/// Stands for any age but none.
pub const AGE: &str = "an age";

/// How the token is named under which a user holds.
pub fn token(user: u64) -> String {
    format!("1-{user}")
}

/// A schedule's map and how it is asked.
pub struct SeatBench {
    bench: Bench,
    pub hold_ttl: u64,
    pub most: u64,
    pub limit: u64,
    pub suspicious: u64,
    pub retention: u64,
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
        Self { bench, hold_ttl: 60_000, most: 4, limit: 100, suspicious: 60_000, retention: 60_000 }
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
        self.run("open", &args).await
    }

    pub async fn look(&self, generation: &str, version: u64) -> Vec<String> {
        self.run("look", &[generation, &version.to_string(), &self.limit.to_string()]).await
    }

    pub async fn hold(&self, user: u64, reservation: u64, position: u64) -> Vec<String> {
        let numbers = [self.most, self.limit, user, reservation, position];
        let last = [token(user), self.hold_ttl.to_string()];
        let args: Vec<_> = numbers.iter().map(u64::to_string).chain(last).collect();
        self.run("hold", &args.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// Holds these positions, or, without any, the best in rows of these lengths; an id for each seat.
    pub async fn hold_many(&self, user: u64, ids: &str, positions: &str, rows: &str) -> Vec<String> {
        let numbers = [user, self.hold_ttl, self.most, self.limit].map(|number| number.to_string());
        let ([user, ttl, most, limit], token) = (&numbers, token(user));
        self.run("hold_many", &[user, ids, positions, rows, ttl, most, limit, &token]).await
    }

    /// The positions that are the best for somebody who asks for as many; what was held stays so.
    pub async fn best(&self, user: u64, ids: &str, rows: &str) -> Vec<String> {
        let reply = self.hold_many(user, ids, "", rows).await;
        reply.iter().skip(2).step_by(2).cloned().collect()
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

    /// The word and the reservations, without what they are and the times left.
    pub async fn held(&self, user: u64) -> Vec<String> {
        let reply = self.run("held", &[&user.to_string()]).await;
        let times: Vec<u64> = reply.iter().skip(3).step_by(3).map(|left| left.parse().unwrap()).collect();
        assert!(times.iter().all(|left| *left > 0), "{reply:?}");
        let rest = reply.iter().skip(1).step_by(3);
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
        self.run("finish_payment", &[user, reservation, position, attempt, outcome]).await
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
