//! The audit of a shop that sells meanwhile: it finds nothing, and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use onsale::store_error::StoreError;

use super::sale;
use crate::support::{TestApp, at_once, block_on, schedule, user};

/// What a seat of `add_schedule` costs.
const PRICE: i64 = 50_000;

/// What is looked for is a finding, not how long a busy machine takes.
const PATIENT: [&str; 6] =
    ["--postgres-timeout-ms", "20000", "--redis-timeout-ms", "20000", "--request-timeout-ms", "30000"];

/// Charges, enters, holds and pays; some leave instead.
async fn buy(app: &TestApp, user: i64, schedule: i64, seat: i64) {
    app.charge(user, PRICE).await.data();
    let mut token = app.enter(user).await;
    while app.rank(&token).await.data()["status"] == "WAITING" {
        token = app.enter(user).await;
    }
    let held = app.hold(&token, schedule, seat).await;
    if held.status != 200 || user % 5 == 0 {
        app.leave(&token).await;
        return;
    }
    app.pay(&token, held.reservation()).await.payment();
}

#[test]
fn a_shop_that_sells_is_sound_all_the_while() {
    block_on(async {
        let narrow = ["--max-active", "8", "--admit-per-second", "1000000", "--user-writes-per-second", "0"];
        let app = Arc::new(TestApp::with(&[&narrow[..], &PATIENT].concat()).await);
        let (large, seats) = app.add_schedule(1, 9, 2000).await;
        let selling = {
            let app = app.clone();
            tokio::spawn(async move {
                // Two for each seat.
                let mut wanted = (1..).zip(seats.iter().flat_map(|seat| [*seat, *seat]));
                for _ in 0..10 {
                    let buyers = wanted.by_ref().take(20).map(|(user, seat)| {
                        let app = app.clone();
                        async move { buy(&app, user, large, seat).await }
                    });
                    at_once(buyers.collect::<Vec<_>>()).await;
                }
            })
        };
        let mut audits = 0;
        while !selling.is_finished() {
            app.audit().await;
            audits += 1;
        }
        selling.await.unwrap();
        assert!(audits > 1, "{audits} audits while seats were sold");
        let sold = app.number("SELECT count(*) FROM payment_history").await;
        assert!(sold > 20, "only {sold} seats were sold meanwhile");
        app.audit().await;
    });
}

#[test]
fn a_map_of_several_ranges_is_seen_whole() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (large, seats) = app.add_schedule(1, 9, 2500).await;
        let token = app.enter(1).await;
        app.charge(1, 50_000).await.data();
        app.free_seats(&token, large).await;
        // The greatest number is at the first position.
        let reservation = app.hold(&token, large, seats[0]).await.reservation();
        app.pay(&token, reservation).await.payment();
        let map = app.app.seats.audit(schedule(large), Duration::from_hours(1)).await.unwrap().unwrap();
        assert_eq!((map.states.len(), map.states[2499]), (2500, b'S'));
        assert!(map.states[..2499].iter().all(|state| *state == b'F'));
        app.audit().await;
    });
}

#[test]
fn a_map_that_is_lost_and_built_again_meanwhile_is_seen_whole_or_not_at_all() {
    block_on(async {
        let app = Arc::new(TestApp::without_jobs(&[]).await);
        let (large, _) = app.add_schedule(1, 9, 2500).await;
        let looking = {
            let app = app.clone();
            tokio::spawn(async move {
                let mut whole = 0;
                while whole < 50 {
                    match app.app.seats.audit(schedule(large), Duration::from_hours(1)).await {
                        Ok(Some(map)) => {
                            assert_eq!(map.states.len(), 2500);
                            whole += 1;
                        }
                        Ok(None) | Err(StoreError::Unavailable { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        };
        let mut losses = 0;
        while !looking.is_finished() {
            app.redis(&["DEL", &format!("{{queue:default}}:schedule:{large}:map")]).await;
            app.app.seats.held(schedule(large), user(1)).await.unwrap();
            losses += 1;
            // Now within an audit, now between two.
            tokio::time::sleep(Duration::from_millis(losses % 30)).await;
        }
        looking.await.unwrap();
        assert!(losses > 5, "only {losses} losses");
    });
}

#[test]
fn an_audit_changes_nothing() {
    block_on(async {
        let app = sale().await;
        let before = dump(&app).await;
        app.audit().await;
        assert_eq!(dump(&app).await, before);
    });
}

/// All that Postgres has of the sale.
async fn dump(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT row(t.*)::text FROM user_wallet t UNION ALL SELECT row(t.*)::text FROM wallet_ledger t
         UNION ALL SELECT row(t.*)::text FROM reservation t UNION ALL SELECT row(t.*)::text FROM payment_history t
         UNION ALL SELECT row(t.*)::text FROM queue t UNION ALL SELECT row(t.*)::text FROM reservation_block t",
    )
    .fetch_all(app.pool())
    .await
    .unwrap()
}
