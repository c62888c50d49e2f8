//! Another's reservation, payment, money or place: to everybody but its owner it is as absent as what was never there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, TestApp, block_on};

const USERS: i64 = 5;

/// A user with one of everything: a token, a hold, a sale, a payment.
struct Owner {
    user: i64,
    token: String,
    held: i64,
    sold: i64,
    payment: i64,
}

impl Owner {
    async fn new(app: &TestApp, user: i64) -> Self {
        let token = app.enter(user).await;
        app.charge(user, 1_000_000 + user).await.data();
        let sold = app.hold(&token, 1, user).await.reservation();
        let held = app.hold(&token, 1, 20 + user).await.reservation();
        let payment = app.pay(&token, sold).await.payment();
        Self { user, token, held, sold, payment }
    }

    /// What this user is shown of itself.
    async fn sees(&self, app: &TestApp) -> [Value; 5] {
        let user = self.user.to_string();
        let of_token = async |path: &str| app.get(path, &self.token).await.body;
        let of_user = async |path: &str| app.call("GET", path, &[("userId", &user)], Value::Null).await.body;
        [
            of_token("/api/v1/queues/token/rank").await["data"]["status"].clone(),
            without_times(of_token("/api/v1/reservations").await),
            of_user("/api/v1/user-wallets/balance").await,
            of_user("/api/v1/user-wallets/transactions").await,
            of_user("/api/v1/payments").await,
        ]
    }
}

/// A hold's end is told to the millisecond, each time anew.
fn without_times(mut body: Value) -> Value {
    for reservation in body["data"]["reservations"].as_array_mut().into_iter().flatten() {
        reservation["expiresAt"] = Value::Null;
    }
    body
}

/// What somebody tries on a reservation, and on a payment.
async fn tried(app: &TestApp, who: &Owner, reservation: i64, payment: i64) -> [(&'static str, Answer); 6] {
    let one = format!("/api/v1/reservations/{reservation}");
    [
        ("look at it", app.get(&one, &who.token).await),
        ("give it up", app.give_up(&who.token, reservation).await),
        ("pay for it", app.pay(&who.token, reservation).await),
        ("pay for it with another", app.pay_many(&who.token, &[who.held, reservation]).await),
        ("pay under a key", app.pay_under(&format!("mine-{reservation}"), &who.token, reservation).await),
        ("refund it", app.refund(who.user, payment).await),
    ]
}

#[test]
fn every_user_against_every_resource() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let mut owners = Vec::new();
        for user in 1..=USERS {
            owners.push(Owner::new(&app, user).await);
        }
        let mut before = Vec::new();
        for owner in &owners {
            before.push(owner.sees(&app).await);
        }
        // What was never there: of a schedule's own block, and of no block at all.
        let (absent, no_payment) = (owners.iter().map(|owner| owner.held).max().unwrap() + 500, 1_000_000);
        for who in &owners {
            let nothing = tried(&app, who, absent, no_payment).await;
            for owner in owners.iter().filter(|owner| owner.user != who.user) {
                for reservation in [owner.held, owner.sold] {
                    let tries = tried(&app, who, reservation, owner.payment).await;
                    for ((what, answer), (_, of_nothing)) in tries.iter().zip(&nothing) {
                        answer.assert_error(404, "RESERVATION_NOT_FOUND");
                        assert_eq!(answer.bytes, of_nothing.bytes, "{what}: as if it were not there");
                        let names = |answer: &Answer| -> BTreeSet<String> {
                            answer.headers.keys().map(ToString::to_string).collect()
                        };
                        assert_eq!(names(answer), names(of_nothing), "{what}: nor do the headers tell");
                    }
                }
                // Its seats are taken, and nothing says by whom.
                let refused = app.hold(&who.token, 1, owner.user).await;
                refused.assert_error(409, "SEAT_TAKEN");
                assert!(!refused.body.to_string().contains(&owner.user.to_string()));
            }
        }
        for (owner, before) in owners.iter().zip(&before) {
            assert_eq!(&owner.sees(&app).await, before, "user {} is as before", owner.user);
        }
        // To its owner each is there, and after all that still does what it did.
        for owner in &owners {
            app.pay(&owner.token, owner.held).await.payment();
            app.refund(owner.user, owner.payment).await.data();
        }
        app.audit().await;
    });
}

#[test]
fn nothing_that_is_read_is_anothers() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (one, two) = (Owner::new(&app, 1).await, Owner::new(&app, 2).await);
        let pages = ["", "?size=100", "?size=1"];
        for (path, list, key) in [
            ("/api/v1/user-wallets/transactions", "transactions", "transactionId"),
            ("/api/v1/payments", "payments", "paymentHistoryId"),
        ] {
            let mut ids = [Vec::new(), Vec::new()];
            for (owner, ids) in [&one, &two].into_iter().zip(&mut ids) {
                for page in pages {
                    let path = format!("{path}{page}");
                    let answer = app.call("GET", &path, &[("userId", &owner.user.to_string())], Value::Null).await;
                    let listed = answer.data()[list].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone();
                    ids.extend(listed.iter().map(|entry| entry[key].as_i64().unwrap_or_else(|| panic!("{entry}"))));
                }
            }
            assert!(!ids[0].is_empty() && ids[0].iter().all(|id| !ids[1].contains(id)), "{path}: {ids:?}");
        }
        // A cursor of another's list opens nothing of it.
        for list in ["/api/v1/user-wallets/transactions", "/api/v1/payments"] {
            for user in ["1", "2"] {
                app.charge(user.parse().unwrap(), 1).await.data();
            }
            let page = async |user: &str, rest: &str| {
                app.call("GET", &format!("{list}?size=1{rest}"), &[("userId", user)], Value::Null).await
            };
            let theirs = page("2", "").await;
            let Some(cursor) = theirs.data()["nextCursor"].as_str().map(str::to_owned) else { continue };
            let (next, with_it) =
                (page("2", &format!("&cursor={cursor}")).await, page("1", &format!("&cursor={cursor}")).await);
            assert_ne!(next.bytes, with_it.bytes, "{list}");
        }
        // The header userId is nothing to calls that take a token.
        let as_two = [("token", &*one.token), ("userId", "2")];
        let theirs = json!({ "concertReservationId": two.held });
        let answer = app.call("POST", "/api/v1/payment/concert", &as_two, theirs).await;
        answer.assert_error(404, "RESERVATION_NOT_FOUND");
    });
}
