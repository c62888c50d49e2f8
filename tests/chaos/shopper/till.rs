//! What a shopper does with money: charging, paying in every way that people pay, and asking it back.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::json;

use super::{About, Mine, PATIENCE, Shopper};
use crate::call::{Answer, Call, Heard};
use crate::history::{Charge, Payment, Refund, Span, TRIED, Verdict, millis, now_ms};
use crate::programme::{HOLD_TTL, Programme};

/// Refusals that say that the hold is not valid.
const NO_HOLD: [&str; 6] = [
    "RESERVATION_NOT_FOUND",
    "RESERVATION_EXPIRED",
    "SEAT_TAKEN",
    "INVALID_TOKEN",
    "TOKEN_EXPIRED",
    "TOKEN_NOT_ACTIVE",
];

impl Shopper {
    /// Puts money into the wallet, a sum that this user has not put in before.
    pub(super) async fn charge(&mut self, about: i64) {
        let amount = about + self.next_number();
        let bare = |amount: i64| {
            let call = Call::new("charge", self.user, Method::PATCH, "/api/v1/user-wallets/balance")
                .header("userId", self.user);
            call.json(json!({ "amount": amount }))
        };
        let key = format!("charge-{}-{amount}", self.user);
        let (call, another) = (bare(amount).keyed(&key), bare(amount + 1_000_000).keyed(&key));
        // Without keys nobody can know what became of a charge, and charging again would charge again.
        let heard = self.insist(&call).await;
        let verdict = match &heard.answer {
            Some(answer) if answer.is_ok() => Verdict::Done(()),
            Some(answer) => Verdict::Refused(answer.code().to_owned()),
            None => Verdict::Unknown,
        };
        if verdict == Verdict::Done(()) {
            self.funds += amount;
        }
        let record = {
            let mut records = self.shop.history.records();
            records.charges.push(Charge { user: self.user, amount, verdict });
            records.charges.len() - 1
        };
        match heard.answer {
            None => self.shop.leave(call, About::Charge(record)),
            Some(answer) if answer.is_ok() => self.try_key_again(&call, &answer, &another).await,
            _ => {}
        }
    }

    /// Pays for a hold in one of many ways; None where the token is over.
    pub(super) async fn buy(&mut self, mine: &Mine) -> Option<()> {
        self.shop.history.count(TRIED);
        match self.lots_of_hundred() {
            0..4 => self.pay_too_late(mine).await,
            4..9 => self.pay_twice(mine).await,
            9..13 => self.pay_twice_with_one_key(mine).await,
            _ => self.pay_plainly(mine).await,
        }
    }

    /// Pays once, and again with money if it was for want of money.
    pub(super) async fn pay_plainly(&mut self, mine: &Mine) -> Option<()> {
        let (call, key) = self.payment(mine);
        let heard = self.insist(&call).await;
        if heard.answer.as_ref().is_some_and(|answer| answer.code() == "INSUFFICIENT_BALANCE") {
            self.conclude(mine, &key, &call, &heard);
            self.charge(100_000).await;
            let (call, key) = self.payment(mine);
            let heard = self.insist(&call).await;
            self.conclude(mine, &key, &call, &heard);
            return self.go_on(mine, &call, heard.answer?).await;
        }
        self.conclude(mine, &key, &call, &heard);
        self.go_on(mine, &call, heard.answer?).await
    }

    /// What comes after an answer: more of the same, or asking the money back.
    async fn go_on(&mut self, mine: &Mine, call: &Call, answer: Answer) -> Option<()> {
        if answer.token_is_over() {
            return None;
        }
        let payment = answer.number("paymentHistoryId")?;
        let another = call.clone().json(json!({ "concertReservationId": mine.reservation + 1 }));
        self.try_key_again(call, &answer, &another).await;
        if self.happens(5) {
            let (again, key) = self.payment(mine);
            let heard = self.insist(&again).await;
            self.conclude(mine, &key, &again, &heard);
            self.must_be_one(mine, Some(answer), heard.answer);
        }
        if self.happens(12) {
            self.refund(mine, payment).await;
        }
        Some(())
    }

    /// Pays for several holds at once, and again with money if it was for want of money; None where the token is over.
    pub(super) async fn buy_together(&mut self, held: &[Mine]) -> Option<()> {
        self.shop.history.count(TRIED);
        let reservations: Vec<i64> = held.iter().map(|mine| mine.reservation).collect();
        let batch = {
            let mut records = self.shop.history.records();
            records.batches.push(reservations.clone());
            records.batches.len() - 1
        };
        let mut answer = self.pay_together(held, batch, &reservations).await?;
        if answer.code() == "INSUFFICIENT_BALANCE" {
            self.charge(300_000).await;
            answer = self.pay_together(held, batch, &reservations).await?;
        }
        if answer.token_is_over() {
            return None;
        }
        if let Some(payment) = answer.payment(Some(0)).filter(|_| self.happens(12)) {
            self.refund(&held[0], payment).await;
        }
        Some(())
    }

    /// One batch under a key of its own.
    async fn pay_together(&mut self, held: &[Mine], batch: usize, reservations: &[i64]) -> Option<Answer> {
        let key = self.new_key();
        let call = Call::new("pay batch", self.user, Method::POST, "/api/v1/payment/concert/batch")
            .header("token", &self.token);
        let call = call.json(json!({ "concertReservationIds": reservations })).keyed(&key);
        let heard = self.insist(&call).await;
        let price = held.iter().map(|mine| Programme::price(mine.seat)).sum();
        self.must_be_poor(&heard, price, &format!("{held:?}, key {key}"));
        for (turn, mine) in held.iter().enumerate() {
            self.tried.insert(mine.reservation);
            // Which of them was to blame for a refusal is not said.
            if heard.answer.as_ref().is_some_and(|answer| NO_HOLD.contains(&answer.code())) {
                self.lets_go(mine);
            }
            self.write_down(mine, &key, &call, &heard, Some((batch, turn)));
        }
        let answer = heard.answer?;
        if answer.is_ok() {
            let another = call.clone().json(json!({ "concertReservationIds": reservations[..1] }));
            self.try_key_again(&call, &answer, &another).await;
        }
        Some(answer)
    }

    /// After the hold's time nothing is sold.
    async fn pay_too_late(&mut self, mine: &Mine) -> Option<()> {
        let is_first = self.tried.insert(mine.reservation);
        let lapsed = self.shop.history.records().holds[mine.record].acknowledged + millis(HOLD_TTL) + 500;
        tokio::time::sleep(Duration::from_millis(lapsed.saturating_sub(now_ms()))).await;
        let (call, key) = self.payment(mine);
        let heard = self.insist(&call).await;
        self.conclude(mine, &key, &call, &heard);
        if let Some(answer) = heard.answer.filter(|answer| answer.is_ok() && is_first) {
            let detail = format!("{mine:?}, user {}: paid by {} after {lapsed}", self.user, answer.request);
            self.shop.history.breach("a lapsed hold never pays", detail);
        }
        Some(())
    }

    /// Two payments for one hold at once, each with a key of its own.
    async fn pay_twice(&mut self, mine: &Mine) -> Option<()> {
        let ((first, first_key), (second, second_key)) = (self.payment(mine), self.payment(mine));
        let (one, other) = self.both(&first, &second).await;
        // Neither is known to be refused before the other is known.
        let doubt = |heard: &Heard, of: &Heard| Heard {
            was_unknown: heard.was_unknown || of.answer.is_none(),
            ..heard.clone()
        };
        self.conclude(mine, &first_key, &first, &doubt(&one, &other));
        self.conclude(mine, &second_key, &second, &doubt(&other, &one));
        let is_over = [&one, &other].iter().any(|heard| heard.answer.as_ref().is_some_and(Answer::token_is_over));
        self.must_be_one(mine, one.answer, other.answer);
        (!is_over).then_some(())
    }

    /// One payment sent twice at once: one answer.
    async fn pay_twice_with_one_key(&mut self, mine: &Mine) -> Option<()> {
        let (call, key) = self.payment(mine);
        let (one, other) = self.both(&call, &call).await;
        self.conclude(mine, &key, &call, &one);
        self.conclude(mine, &key, &call, &other);
        if let (Some(one), Some(other)) = (&one.answer, &other.answer) {
            let told_by_the_token = one.token_is_over() || other.token_is_over();
            if one.body != other.body && !told_by_the_token {
                let detail = format!("{mine:?}: {} and {}, key {key}", one.request, other.request);
                self.shop.history.breach("one key, one answer", detail);
            }
        }
        Some(())
    }

    async fn both(&mut self, first: &Call, second: &Call) -> (Heard, Heard) {
        let late = Instant::now() + PATIENCE;
        let (mut lots, mut others) = (StdRng::from_rng(&mut self.lots), StdRng::from_rng(&mut self.lots));
        let caller = &self.shop.caller;
        tokio::join!(caller.insist(first, None, late, &mut lots), caller.insist(second, None, late, &mut others))
    }

    /// Asks the money back, and sometimes again.
    async fn refund(&mut self, mine: &Mine, payment: i64) {
        self.lets_go(mine);
        let path = format!("/api/v1/payments/{payment}/refund");
        let call = Call::new("refund", self.user, Method::POST, path).header("userId", self.user);
        let heard = self.insist(&call).await;
        let verdict = match &heard.answer {
            Some(answer) if answer.is_ok() => Verdict::Done(()),
            Some(answer) => Verdict::Refused(answer.code().to_owned()),
            None => Verdict::Unknown,
        };
        let record = {
            let mut records = self.shop.history.records();
            records.refunds.push(Refund { user: self.user, payment, verdict: verdict.clone() });
            records.refunds.len() - 1
        };
        match verdict {
            Verdict::Unknown => self.shop.leave(call, About::Refund(record)),
            Verdict::Refused(code) => {
                let detail = format!("payment {payment} of user {}: {code}", self.user);
                self.shop.history.breach("a payment can be refunded", detail);
            }
            Verdict::Done(()) if self.happens(40) => {
                let again = self.insist(&call).await.answer;
                if let Some(again) = again.filter(|again| !again.is_ok()) {
                    let detail = format!("payment {payment} of user {}: {} then", self.user, again.code());
                    self.shop.history.breach("a refund asked for again is answered the same", detail);
                }
            }
            Verdict::Done(()) => {}
        }
    }

    /// The same key again, sometimes: the same answer, and said to be so. And for something else: refused.
    async fn try_key_again(&mut self, call: &Call, first: &Answer, another: &Call) {
        if self.happens(12)
            && let Some(again) = self.insist(call).await.answer
        {
            self.shop.history.count("answered requests sent again");
            if again.body != first.body || !again.replayed {
                let (code, marked) = (again.code(), again.replayed);
                let detail = format!("{call:?}: {} then {}, {code}, marked: {marked}", first.request, again.request);
                self.shop.history.breach("an answered request sent again is answered the same", detail);
            }
        }
        if self.happens(4)
            && let Some(refusal) = self.insist(another).await.answer
            && refusal.code() != "IDEMPOTENCY_KEY_REUSED"
        {
            let detail = format!("{another:?}: {} ({})", refusal.code(), refusal.request);
            self.shop.history.breach("a key is good for one request", detail);
        }
    }

    /// A payment under a key of its own.
    fn payment(&mut self, mine: &Mine) -> (Call, String) {
        let key = self.new_key();
        let call = Call::new("pay", self.user, Method::POST, "/api/v1/payment/concert").header("token", &self.token);
        (call.json(json!({ "concertReservationId": mine.reservation })).keyed(&key), key)
    }

    /// Writes down how a payment ended, and what must not have been said of it.
    fn conclude(&mut self, mine: &Mine, key: &str, call: &Call, heard: &Heard) {
        self.tried.insert(mine.reservation);
        self.must_be_poor(heard, Programme::price(mine.seat), &format!("{mine:?}, key {key}"));
        if let Some(answer) = heard.answer.as_ref().filter(|answer| !answer.is_ok()) {
            let code = answer.code();
            if code == "SEAT_TAKEN" {
                self.shop.history.count("seats that Redis would have sold again, refused at the till");
            }
            if NO_HOLD.contains(&code) && answer.span.to < mine.until {
                let span = Span { from: mine.asked, to: answer.span.to };
                let detail = format!("{mine:?}, user {}: {code} to {}, key {key}", self.user, answer.request);
                self.shop.history.suspect(mine.seat, span, "a hold within its time can be paid", detail);
                self.lets_go(mine);
            }
        }
        self.write_down(mine, key, call, heard, None);
    }

    /// That who is told to have too little for this price has.
    fn must_be_poor(&self, heard: &Heard, price: i64, what: &str) {
        let refused = heard.answer.as_ref().filter(|answer| answer.code() == "INSUFFICIENT_BALANCE");
        if let Some(answer) = refused.filter(|_| self.funds >= price) {
            let detail = format!("{what}, user {} has {}: {}", self.user, self.funds, answer.request);
            self.shop.history.breach("nobody who can pay is told otherwise", detail);
        }
    }

    /// Writes down how a payment ended: the only one, or one of a batch.
    fn write_down(&mut self, mine: &Mine, key: &str, call: &Call, heard: &Heard, of: Option<(usize, usize)>) {
        let price = Programme::price(mine.seat);
        let (batch, turn) = (of.map(|(batch, _)| batch), of.map(|(_, turn)| turn));
        let verdict = match &heard.answer {
            None => Verdict::Unknown,
            Some(answer) => {
                answer.payment(turn).map_or_else(|| Verdict::Refused(answer.code().to_owned()), Verdict::Done)
            }
        };
        if !matches!(verdict, Verdict::Refused(_)) {
            // Taken, or perhaps taken; once only, but less is certain then, and that is all that is counted on.
            self.funds -= price;
        }
        let is_open = verdict == Verdict::Unknown || matches!(verdict, Verdict::Refused(_)) && heard.was_unknown;
        let mut records = self.shop.history.records();
        if let Verdict::Done(_) = verdict {
            records.holds[mine.record].until = u64::MAX;
            if heard.was_unknown {
                *records.counts.entry("payments unknown at first, then paid").or_default() += 1;
            }
        }
        records.payments.push(Payment {
            batch,
            user: self.user,
            seat: mine.seat,
            reservation: mine.reservation,
            key: key.to_owned(),
            asked: heard.asked,
            verdict,
            was_unknown: heard.was_unknown,
        });
        let record = records.payments.len() - 1;
        drop(records);
        if is_open {
            self.shop.leave(call.clone(), About::Payment(record, turn));
        }
    }

    /// Two answers to one purchase must not be two purchases.
    fn must_be_one(&self, mine: &Mine, one: Option<Answer>, other: Option<Answer>) {
        if let (Some(one), Some(other)) = (one, other)
            && let (Some(first), Some(second)) = (one.number("paymentHistoryId"), other.number("paymentHistoryId"))
            && first != second
        {
            let detail = format!("{mine:?}: {first} to {}, {second} to {}", one.request, other.request);
            self.shop.history.breach("a reservation is paid once", detail);
        }
    }

    fn lots_of_hundred(&mut self) -> u32 {
        rand::Rng::random_range(&mut self.lots, 0..100)
    }
}
