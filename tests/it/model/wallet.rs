//! The wallets: charges and payments, won by won, by the calls of the API; and the ledger that explains them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_oneof};
use proptest::sample::select;
use serde_json::{Value, json};

use super::try_courses;
use crate::support::{Answer, TestApp, block_on};

const SCHEDULES: i64 = 30;
const SEATS: usize = 6;
const COURSES_A_SCHEDULE: i64 = 8;
const MOST_HOLDS: usize = 4;
const GREATEST_BALANCE: i64 = 1_000_000_000_000;

/// Users and seats are counted within the course.
#[derive(Debug, Clone)]
enum Event {
    Charge(usize, Value),
    /// Charges what the wallet still takes, and so much more.
    Fill(usize, i64),
    /// Enters, holds the seat and pays for it, as far as that goes.
    Buy(usize, usize),
    /// Pays again for what was bought first, second… in the course, by anyone.
    PayAgain(usize, usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let user = 0_usize..3;
    let odd = vec![json!(0), json!(-1), json!(100_000_001), json!(1e300), json!(1.5), json!("1000"), Value::Null];
    let amount = prop_oneof![
        4 => (1_i64..=200_000).prop_map(Value::from),
        1 => select(vec![json!(1), json!(100_000_000)]),
        3 => select(odd),
    ];
    let event = prop_oneof![
        4 => (user.clone(), amount).prop_map(|(user, amount)| Event::Charge(user, amount)),
        1 => (user.clone(), 0_i64..=1).prop_map(|(user, beyond)| Event::Fill(user, beyond)),
        5 => (user.clone(), 0..SEATS).prop_map(|(user, seat)| Event::Buy(user, seat)),
        1 => (user, 0_usize..4).prop_map(|(user, bought)| Event::PayAgain(user, bought)),
    ];
    vec(event, 1..=30)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    Free,
    Held { by: usize, reservation: i64 },
    Sold,
}

struct Bought {
    by: usize,
    reservation: i64,
    payment: i64,
    price: i64,
}

/// Kind, amount, balance after.
type Entry = (String, i64, i64);

/// A course of events with users and seats of its own, and what they must have come to.
struct Course<'a> {
    app: &'a TestApp,
    first_user: i64,
    schedule: i64,
    /// Ids and prices.
    seats: Vec<(i64, i64)>,
    states: [Seat; SEATS],
    ledgers: [Vec<Entry>; 3],
    bought: Vec<Bought>,
}

impl<'a> Course<'a> {
    /// The third user is almost as rich as one can be.
    async fn new(app: &'a TestApp) -> Self {
        static NEXT: AtomicI64 = AtomicI64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let schedule = number / COURSES_A_SCHEDULE % SCHEDULES + 1;
        let select =
            "SELECT id, price FROM concert_seat WHERE concert_schedule_id = $1 ORDER BY position OFFSET $2 LIMIT $3";
        let offset = number % COURSES_A_SCHEDULE * i64::try_from(SEATS).unwrap();
        let seats = sqlx::query_as(select).bind(schedule).bind(offset).bind(i64::try_from(SEATS).unwrap());
        let seats = seats.fetch_all(app.pool()).await.unwrap();
        let states = [Seat::Free; SEATS];
        let mut course = Self {
            app,
            first_user: 100 + number * 3,
            schedule,
            seats,
            states,
            ledgers: Default::default(),
            bought: vec![],
        };
        course.enrich(2, GREATEST_BALANCE - 150_000).await;
        course
    }

    async fn enrich(&mut self, user: usize, won: i64) {
        let wallet = "INSERT INTO user_wallet (user_id, balance) VALUES ($1, $2)";
        let entry = "INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES ($1, 'CHARGE', $2, $2)";
        for insert in [wallet, entry] {
            sqlx::query(insert).bind(self.user(user)).bind(won).execute(self.app.pool()).await.unwrap();
        }
        self.enter_in_ledger(user, "CHARGE", won);
    }

    fn user(&self, user: usize) -> i64 {
        self.first_user + i64::try_from(user).unwrap()
    }

    fn balance(&self, user: usize) -> i64 {
        self.ledgers[user].last().map_or(0, |(_, _, balance)| *balance)
    }

    fn enter_in_ledger(&mut self, user: usize, kind: &str, amount: i64) {
        let balance = self.balance(user) + amount;
        self.ledgers[user].push((kind.to_owned(), amount, balance));
    }

    async fn happen(&mut self, event: &Event) {
        match event {
            Event::Charge(user, amount) => self.charge(*user, amount).await,
            Event::Fill(user, beyond) => {
                let room = GREATEST_BALANCE - self.balance(*user);
                self.charge(*user, &json!(room + beyond)).await;
            }
            Event::Buy(user, seat) => self.buy(*user, *seat).await,
            Event::PayAgain(user, bought) => self.pay_again(*user, *bought).await,
        }
    }

    async fn charge(&mut self, user: usize, amount: &Value) {
        let headers = [("userId", &*self.user(user).to_string())];
        let answer =
            self.app.call("PATCH", "/api/v1/user-wallets/balance", &headers, json!({ "amount": amount })).await;
        let whole = amount.as_i64().or_else(|| (amount == &json!(1e300)).then_some(i64::MAX));
        match whole {
            None => answer.assert_error(400, "INVALID_REQUEST"),
            Some(won) if (1..=100_000_000).contains(&won) && self.balance(user) + won <= GREATEST_BALANCE => {
                assert_eq!(answer.data(), &Value::Null);
                self.enter_in_ledger(user, "CHARGE", won);
            }
            Some(_) => answer.assert_error(400, "INVALID_AMOUNT"),
        }
    }

    async fn buy(&mut self, user: usize, seat: usize) {
        let token = self.app.enter(self.user(user)).await;
        let (id, price) = self.seats[seat];
        let answer = self.app.hold(&token, self.schedule, id).await;
        let Some(reservation) = self.held(user, seat, &answer) else { return };
        self.states[seat] = Seat::Held { by: user, reservation };
        let answer = self.app.pay(&token, reservation).await;
        if self.balance(user) < price {
            answer.assert_error(400, "INSUFFICIENT_BALANCE");
            return;
        }
        self.bought.push(Bought { by: user, reservation, payment: answer.payment(), price });
        self.states[seat] = Seat::Sold;
        self.enter_in_ledger(user, "PAYMENT", -price);
        let status = if self.holds(user) == 0 { "COMPLETED" } else { "ACTIVE" };
        assert_eq!(self.app.rank(&token).await.data()["status"], status, "a token ends with the last of its seats");
    }

    /// The reservation, if the seat was to be had.
    fn held(&self, user: usize, seat: usize, answer: &Answer) -> Option<i64> {
        match self.states[seat] {
            Seat::Held { by, reservation } if by == user => {
                assert_eq!(answer.reservation(), reservation, "the same seat again, the same reservation");
                Some(reservation)
            }
            Seat::Held { .. } | Seat::Sold => {
                answer.assert_error(409, "SEAT_TAKEN");
                None
            }
            Seat::Free if self.holds(user) == MOST_HOLDS => {
                answer.assert_error(409, "HOLD_LIMIT");
                None
            }
            Seat::Free => Some(answer.reservation()),
        }
    }

    fn holds(&self, user: usize) -> usize {
        self.states.iter().filter(|state| matches!(state, Seat::Held { by, .. } if *by == user)).count()
    }

    async fn pay_again(&self, user: usize, bought: usize) {
        let Some(bought) = self.bought.get(bought) else { return };
        let token = self.app.enter(self.user(user)).await;
        let answer = self.app.pay(&token, bought.reservation).await;
        if bought.by == user {
            assert_eq!(answer.payment(), bought.payment, "paid once");
        } else {
            answer.assert_error(404, "RESERVATION_NOT_FOUND");
        }
    }

    async fn compare(&self) {
        for (user, ledger) in self.ledgers.iter().enumerate() {
            let select = "SELECT kind, amount, balance_after FROM wallet_ledger WHERE user_id = $1 ORDER BY id";
            let rows: Vec<Entry> =
                sqlx::query_as(select).bind(self.user(user)).fetch_all(self.app.pool()).await.unwrap();
            assert_eq!(&rows, ledger, "the ledger of user {user}");
            assert_eq!(self.app.balance(self.user(user)).await, self.balance(user), "the balance of user {user}");
        }
    }

    async fn compare_payments(&self) {
        let select = "SELECT id, reservation_id, user_id, amount FROM payment_history WHERE user_id BETWEEN $1 AND $2";
        let users = [self.user(0), self.user(2)];
        let rows: Vec<(i64, i64, i64, i64)> =
            sqlx::query_as(select).bind(users[0]).bind(users[1]).fetch_all(self.app.pool()).await.unwrap();
        let rows: BTreeMap<_, _> =
            rows.into_iter().map(|(id, reservation, user, won)| (id, (reservation, user, won))).collect();
        let expected: BTreeMap<_, _> =
            self.bought.iter().map(|it| (it.payment, (it.reservation, self.user(it.by), it.price))).collect();
        assert_eq!(rows, expected, "the payments");
    }
}

#[test]
fn the_wallets_do_what_the_model_does() {
    let app = block_on(TestApp::without_jobs(&["--admit-per-second", "1000000", "--user-writes-per-second", "0"]));
    try_courses(24, &events(), app, async |app, events| {
        let mut course = Course::new(app).await;
        for event in &events {
            course.happen(event).await;
            course.compare().await;
        }
        course.compare_payments().await;
    });
}
