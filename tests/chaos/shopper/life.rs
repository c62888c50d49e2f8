//! A shopper's way: into the queue, to its turn, to the seats, to the till; or away before.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::Rng;
use reqwest::Method;
use serde_json::json;

use super::{Mine, Shopper};
use crate::call::{Answer, Call};
use crate::history::{Hold, Span, millis, now_ms};
use crate::instance::claim;
use crate::programme::{HOLD_TTL, Programme, SEATS};

/// How long anybody waits in the queue.
const QUEUEING: Duration = Duration::from_secs(20);
/// How many of the first free seats everybody wants.
const HOT: usize = 8;
/// How often, and how soon again, one looks for a seat when nothing is wrong any more.
const LOOKS: u32 = 5;
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Shopper {
    /// From the door to the door. None where it ended early.
    pub(super) async fn live(&mut self) -> Option<()> {
        self.enter().await?;
        self.wait_for_turn().await?;
        let is_poor = self.happens(6);
        self.charge(if is_poor { 100 } else { 100_000 }).await;
        let mut held = Vec::new();
        for seat in self.choose_seats().await? {
            held.extend(self.hold(seat).await?);
        }
        if self.happens(4) {
            self.leave().await;
            return None;
        }
        if held.len() > 1 && self.happens(40) {
            self.buy_together(&held).await?;
            held.clear();
        }
        for mine in held {
            // Some only look, and let their hold lapse.
            if !self.happens(5) {
                self.buy(&mine).await?;
            }
        }
        if self.happens(10) {
            self.leave().await;
        }
        Some(())
    }

    /// The shortest way to a ticket.
    pub(super) async fn buy_plainly(&mut self) -> Option<()> {
        self.enter().await?;
        self.wait_for_turn().await?;
        self.charge(100_000).await;
        let mine = self.hold_the_last().await?;
        self.pay_plainly(&mine).await
    }

    /// The list of seats may be a moment old, and the last one just sold through another instance: whoever is told so looks
    /// again, a few times.
    async fn hold_the_last(&mut self) -> Option<Mine> {
        for _ in 0..LOOKS {
            let seat = *self.free_seats(self.shop.programme.reserve()).await?.last()?;
            if let Some(mine) = self.hold(seat).await? {
                return Some(mine);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        None
    }

    async fn enter(&mut self) -> Option<()> {
        let concert = self.shop.programme.queues[self.queue].concert;
        let call = Call::new("enter", self.user, Method::POST, "/api/v1/queues/token").header("userId", self.user);
        let answer = self.insist(&call.form(format!("concertId={concert}"))).await.answer?;
        answer.json["data"]["token"].as_str()?.clone_into(&mut self.token);
        match claim(&self.token) {
            Some(claim) => self.shop.history.placed(claim.queue.0, claim.place, self.user),
            None => self.shop.history.breach("a token is authentic", self.token.clone()),
        }
        Some(())
    }

    /// None if it does not come, or is not waited for.
    async fn wait_for_turn(&mut self) -> Option<()> {
        let late = Instant::now() + QUEUEING;
        let shop = self.shop.clone();
        while Instant::now() < late {
            let call =
                Call::new("rank", self.user, Method::GET, "/api/v1/queues/token/rank").header("token", &self.token);
            let answer = self.insist(&call).await.answer?;
            match answer.json["data"]["status"].as_str() {
                Some("ACTIVE") => return Some(()),
                Some("WAITING") => {}
                // Redis has lost the place, or somebody else has used it up.
                _ => self.enter().await?,
            }
            if self.only.is_none() && self.happens(2) {
                let leaves = self.happens(50);
                shop.history.count(if leaves { "left the queue" } else { "vanished from the queue" });
                if leaves {
                    self.leave().await;
                }
                return None;
            }
            tokio::time::sleep(Duration::from_millis(self.lots.random_range(80..250))).await;
        }
        None
    }

    /// Whatever is held under the token is given up, also what an earlier life of the same user left.
    async fn leave(&mut self) {
        for mine in &self.held {
            self.lets_go(mine);
        }
        let call = Call::new("leave", self.user, Method::DELETE, "/api/v1/queues/token").header("token", &self.token);
        self.insist(&call).await;
    }

    fn any_schedule(&mut self) -> i64 {
        let schedules = &self.shop.programme.queues[self.queue].schedules;
        self.lots.random_range(schedules.start..schedules.end.min(self.shop.programme.reserve()))
    }

    /// One to three: among the first that are free, which everybody sees, or anywhere.
    async fn choose_seats(&mut self) -> Option<BTreeSet<i64>> {
        let schedule = self.any_schedule();
        let many = self.lots.random_range(1..=3);
        if self.happens(60) {
            let seats = Programme::seats(schedule);
            return Some((0..many).map(|_| self.lots.random_range(seats.clone())).collect());
        }
        let free = self.free_seats(schedule).await?;
        let hot = &free[..free.len().min(HOT)];
        let seats = (0..many).filter_map(|_| Some(*hot.get(self.lots.random_range(0..HOT))?));
        Some(seats.collect())
    }

    async fn free_seats(&mut self, schedule: i64) -> Option<Vec<i64>> {
        let path = format!("/api/v1/concerts/schedules/{schedule}/seats");
        let call = Call::new("seats", self.user, Method::GET, path).header("token", &self.token);
        let answer = self.insist(&call).await.answer?;
        let seats = answer.json["data"]["seats"].as_array()?.iter();
        Some(seats.filter_map(|seat| seat["concertSeatId"].as_i64()).collect())
    }

    /// None where the token is over; nothing where the seat is another's.
    async fn hold(&mut self, seat: i64) -> Option<Option<Mine>> {
        let asked = *self.asked.entry(seat).or_insert_with(now_ms);
        let body = json!({ "concertScheduleId": (seat - 1) / SEATS + 1, "concertSeatId": seat });
        let call = Call::new("hold", self.user, Method::POST, "/api/v1/reservations/concert")
            .header("token", &self.token)
            .json(body);
        let is_keyed = self.happens(50);
        let call = if is_keyed { call.keyed(&self.new_key()) } else { call };
        let answer = self.insist(&call).await.answer;
        let Some(answer) = answer else { return Some(None) };
        if matches!(answer.status, 401 | 403) {
            return None;
        }
        let Some(reservation) = answer.number("reservationId") else { return Some(None) };
        let until = asked + millis(HOLD_TTL);
        let hold = Hold { user: self.user, seat, reservation, asked, acknowledged: answer.span.to, until };
        let record = {
            let mut records = self.shop.history.records();
            records.holds.push(hold);
            records.holds.len() - 1
        };
        let mine = Mine { seat, reservation, record, asked, until };
        self.held.push(mine);
        if self.happens(10) {
            self.hold_again(&mine, &answer, &call, is_keyed).await;
        }
        Some(Some(mine))
    }

    /// Asked again, the answer is the same.
    async fn hold_again(&mut self, mine: &Mine, first: &Answer, call: &Call, is_keyed: bool) {
        let Some(again) = self.insist(call).await.answer else { return };
        let span = Span { from: mine.asked, to: again.span.to };
        let is_same = again.body == first.body && (!is_keyed || again.replayed);
        // After its time the seat may be another's; a stored answer is a stored answer.
        if !is_same && !again.token_is_over() && (is_keyed || again.span.to < mine.until) {
            let (user, first, code) = (self.user, &first.request, again.code());
            let detail = format!("{mine:?} of user {user}: {first} and {} differ ({code})", again.request);
            self.shop.history.suspect(mine.seat, span, "the same hold asked for again is the same hold", detail);
        }
    }
}
