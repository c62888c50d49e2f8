//! The queue's scripts with settings, so that a test says only what it is about.

use std::ops::Deref;

use super::Bench;

/// Long enough for any test.
const MINUTE: u64 = 60_000;

/// As in lua/queue/token.lua: the bytes of a slot, and how many there are at most.
const SLOT: usize = 18;
pub const SLOTS: u64 = 2_097_152;

/// A queue and how it is asked.
pub struct QueueBench {
    bench: Bench,
    pub cap: u64,
    pub rate: u64,
    pub active_ttl: u64,
    pub waiting_ttl: u64,
    pub limit: u64,
    pub retention: u64,
    pub window: u64,
    pub calm: u64,
    pub paused: bool,
    /// How many may try who hold nothing; -1: any number.
    pub stock: i64,
    /// The draw under way, and when it is over.
    pub draw: (u64, i64),
    pub draining: bool,
    /// The most records.
    pub most: u64,
}

impl Deref for QueueBench {
    type Target = Bench;

    fn deref(&self) -> &Bench {
        &self.bench
    }
}

impl QueueBench {
    /// A queue that Redis does not know yet.
    pub async fn unopened() -> Self {
        let bench = Bench::new("queue").await;
        Self {
            bench,
            cap: 1,
            rate: 1_000_000,
            active_ttl: MINUTE,
            waiting_ttl: MINUTE,
            limit: 100,
            retention: MINUTE,
            window: MINUTE,
            calm: 0,
            paused: false,
            stock: -1,
            draw: (0, 0),
            draining: false,
            most: 1000,
        }
    }

    /// A queue whose first place is 101, opened in 1970.
    pub async fn opened() -> Self {
        let queue = Self::unopened().await;
        queue.open(100).await;
        queue.ask("HSET state opened 5").await;
        queue
    }

    pub async fn open(&self, before_first: u64) -> Vec<String> {
        let [before_first, window, calm] = [before_first, self.window, self.calm].map(|number| number.to_string());
        self.run("open", &[&before_first, &window, &calm]).await
    }

    /// Claims a lost place in its order.
    pub async fn restore(&self, user: u64, place: u64) -> Vec<String> {
        self.restore_as(user, place, place).await
    }

    /// Claims a lost place, in this order; 0 to be drawn, or behind all.
    pub async fn restore_as(&self, user: u64, place: u64, order: u64) -> Vec<String> {
        let first = [user, place, order].map(|number| number.to_string());
        self.admitting("restore", &first, &[]).await
    }

    pub async fn enter(&self, user: u64) -> Vec<String> {
        let mut reply = self.enter_saying_entry(user).await;
        if reply.len() > 3 {
            reply.remove(3);
        }
        reply
    }

    /// With its entry number after whether it was issued.
    pub async fn enter_saying_entry(&self, user: u64) -> Vec<String> {
        let [draining, most] = self.places();
        self.admitting("enter", &[], &[draining, most, user.to_string()]).await
    }

    /// Users who come one after another.
    pub async fn enter_all(&self, users: impl IntoIterator<Item = u64>) {
        for user in users {
            self.enter(user).await;
        }
    }

    /// Without what it says of the crowd, which is what the keys say.
    pub async fn promote(&self) -> Vec<String> {
        let mut reply = self.step(false).await;
        if reply[0] == "STEPPED" {
            assert_eq!(reply.remove(6), self.one("HGET state admitted").await);
            let crowd: Vec<String> = reply.drain(6..13).collect();
            assert_eq!(crowd[1..], self.counts().await);
        }
        reply
    }

    /// The place before the first, how many wait up to that, how many were let in, how many have left, and no crowd.
    async fn counts(&self) -> Vec<String> {
        let mut counts = self.ask("HMGET state before let_in left").await;
        let early = self.one(&format!("ZCOUNT waiting -inf {}", counts[0])).await;
        counts.insert(1, early);
        counts.extend(["0".to_owned(), String::new()]);
        counts
    }

    /// All that a step says; with the crowd only if its bytes are no more than 127.
    pub async fn step(&self, with_crowd: bool) -> Vec<String> {
        self.admitting("promote", &[], &[self.retention.to_string(), u8::from(with_crowd).to_string()]).await
    }

    /// Tokens that were seen, as user, place and so many ms ago.
    pub async fn see(&self, seen: &[(u64, u64, u64)]) -> Vec<String> {
        let seen: Vec<String> = seen.iter().map(|(user, place, age)| format!("{user}:{place}:{age}")).collect();
        let waiting_ttl = self.waiting_ttl.to_string();
        let args: Vec<&str> = std::iter::once(&waiting_ttl).chain(&seen).map(String::as_str).collect();
        self.run("see", &args).await
    }

    /// The orders that have their bit set, all of them.
    pub async fn crowd(&self) -> Vec<u64> {
        let before: u64 = self.one("HGET state before").await.parse().unwrap();
        let mut orders = Vec::new();
        let bits: u64 = self.one("STRLEN crowd").await.parse::<u64>().unwrap() * 8;
        for bit in 0..bits {
            if self.one(&format!("GETBIT crowd {bit}")).await == "1" {
                orders.push(before + 1 + bit);
            }
        }
        orders
    }

    pub async fn rank(&self, user: u64, place: u64) -> Vec<String> {
        self.run("rank", &[&user.to_string(), &place.to_string(), &self.waiting_ttl.to_string()]).await
    }

    pub async fn check(&self, user: u64, place: u64) -> Vec<String> {
        self.run("check", &[&self.waiting_ttl.to_string(), &user.to_string(), &place.to_string()]).await
    }

    /// Seats are held by an active user in these schedules, as `seat.hold` says it.
    pub async fn hold_in(&self, user: u64, schedules: &[u64]) {
        let list: Vec<String> = schedules.iter().map(u64::to_string).collect();
        let key = self.key("holding").to_owned();
        let set = redis::cmd("HSET").arg(key).arg(user).arg(list.join(" ")).clone();
        self.execute(&set).await;
    }

    pub async fn leave(&self, user: u64, place: u64) -> Vec<String> {
        self.run("leave", &[&user.to_string(), &place.to_string(), &self.waiting_ttl.to_string()]).await
    }

    pub async fn complete(&self, user: u64, place: u64) -> Vec<String> {
        self.run("complete", &[&user.to_string(), &place.to_string(), "", "0"]).await
    }

    /// A page of the audit.
    pub async fn audit_page(&self, part: &str, from: &str) -> Vec<String> {
        self.run("audit", &[&self.waiting_ttl.to_string(), part, from, &self.limit.to_string()]).await
    }

    /// All pages together: the word, how many are active, the last active place and the first waiting one, how many are
    /// torn.
    pub async fn audit(&self) -> Vec<String> {
        let (mut active, mut places, mut torn) = (String::new(), [Vec::new(), Vec::new(), Vec::new()], 0);
        for (part, places) in ["ACTIVE", "WAITING", "TOKENS"].into_iter().zip(&mut places) {
            let mut from = "0".to_owned();
            while !from.is_empty() {
                let page = self.audit_page(part, &from).await;
                let users: usize = page[3].parse().unwrap();
                torn += users;
                (active, from) = (page[1].clone(), page[2].clone());
                places.extend(page[4 + users..].iter().step_by(2).map(|place| place.parse::<u64>().unwrap()));
            }
        }
        let (latest, first) = (places[0].iter().max().unwrap_or(&0), places[1].iter().min().unwrap_or(&0));
        vec!["AUDITED".to_owned(), active, latest.to_string(), first.to_string(), torn.to_string()]
    }

    /// Who waits, in order.
    pub async fn waiting(&self) -> Vec<String> {
        self.ask("ZRANGE waiting 0 -1").await
    }

    /// Who may try, by when that ends.
    pub async fn active(&self) -> Vec<String> {
        self.ask("ZRANGE active 0 -1").await
    }

    /// Status, place, entered, seen, as it is written.
    pub async fn record(&self, user: u64) -> (String, [u64; 3]) {
        let record = self.one(&format!("HGET tokens {user}")).await;
        let (status, numbers) = record.split_once(':').unwrap_or_else(|| panic!("no record: {record}"));
        let numbers: Vec<u64> = numbers.split(':').map(|number| number.parse().unwrap()).collect();
        (status.to_owned(), numbers.try_into().unwrap())
    }

    /// Entered, and seen or since when it is let in, of the slot of an order, if that has one.
    pub async fn slot(&self, order: u64) -> Option<[u64; 2]> {
        let at = self.slot_at(order).await?;
        let slot = self.bytes("times", at, SLOT).await;
        let number = |from: usize| slot[from..from + 6].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        (slot.len() == SLOT && number(0) == order).then(|| [number(6), number(12)])
    }

    /// Where the slot of an order is, if it can have one.
    async fn slot_at(&self, order: u64) -> Option<usize> {
        let origin: u64 = self.one("HGET state origin").await.parse().unwrap();
        let index = order.checked_sub(origin + 1)? % SLOTS;
        Some(usize::try_from(index).unwrap() * SLOT)
    }

    /// Users of whom nobody has seen anything since 1970.
    pub async fn vanish(&self, users: impl IntoIterator<Item = u64>) {
        for user in users {
            self.last_seen(user, 0).await;
        }
    }

    /// A user who was last seen at this time, as its record and its slot have it.
    pub async fn last_seen(&self, user: u64, ms: i64) {
        let (status, [place, entered, _]) = self.record(user).await;
        self.ask(&format!("HSET tokens {user} {status}:{place}:{entered}:{ms}")).await;
        if self.slot(place).await.is_some() {
            let at = self.slot_at(place).await.unwrap() + 12;
            let set = redis::cmd("SETRANGE").arg(self.key("times")).arg(at).arg(&ms.to_be_bytes()[2..]).clone();
            self.execute(&set).await;
        }
    }

    /// Active tokens whose time was over in 1970, and nobody has noticed.
    pub async fn outlive(&self, users: impl IntoIterator<Item = u64>) {
        for user in users {
            self.ask(&format!("ZADD active XX 5 {user}")).await;
        }
    }

    /// Users who come in one call of the script.
    pub async fn enter_together(&self, users: &[u64]) -> Vec<Vec<String>> {
        let shared: Vec<String> = self.terms().into_iter().chain(self.places()).collect();
        let shared: Vec<&str> = shared.iter().map(String::as_str).collect();
        let users: Vec<String> = users.iter().map(u64::to_string).collect();
        let own: Vec<[&str; 1]> = users.iter().map(|user| [user.as_str()]).collect();
        let own: Vec<&[&str]> = own.iter().map(<[&str; 1]>::as_slice).collect();
        self.run_each("enter", &shared, &own).await
    }

    fn terms(&self) -> Vec<String> {
        let numbers = [self.cap, self.rate, self.active_ttl, self.waiting_ttl, self.limit, u64::from(self.paused)];
        let terms = numbers.iter().map(ToString::to_string);
        terms.chain([self.stock.to_string(), self.draw.0.to_string(), self.draw.1.to_string()]).collect()
    }

    /// Whether anybody is given a new place, and how many records there may be.
    fn places(&self) -> [String; 2] {
        [u64::from(self.draining), self.most].map(|number| number.to_string())
    }

    /// A script that lets in whom it may.
    async fn admitting(&self, script: &str, before: &[String], after: &[String]) -> Vec<String> {
        let args: Vec<String> = before.iter().cloned().chain(self.terms()).chain(after.iter().cloned()).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.run(script, &args).await
    }
}
