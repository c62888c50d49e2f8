//! Redis is lost, or comes back with less: the queue goes on in its order, what is sold stays sold.

use std::time::Duration;

use crate::support::{Answer, OwnServers, TestApp, block_on, eventually};

const PRICE: i64 = 200_000;

const SOON: Duration = Duration::from_secs(10);

/// A queue in which one is active at a time, and nothing happens by itself.
async fn narrow() -> TestApp {
    TestApp::without_jobs(&["--max-active", "1", "--admit-per-second", "100000"]).await
}

async fn status(app: &TestApp, token: &str) -> String {
    app.rank(token).await.data()["status"].as_str().unwrap().to_owned()
}

async fn ahead(app: &TestApp, token: &str) -> i64 {
    app.rank(token).await.data()["ahead"].as_i64().unwrap()
}

#[test]
fn those_who_waited_get_their_places_back_in_order_and_nobody_is_let_past_them() {
    block_on(async {
        let app = narrow().await;
        let mut tokens = Vec::new();
        for user in 1..=5 {
            tokens.push(app.enter(user).await);
        }
        app.promote().await;
        app.app.queues.remember().await.unwrap();
        app.forget_redis().await;

        let late = app.enter(9).await;
        assert_eq!(status(&app, &late).await, "WAITING", "those who were there come first");
        for token in tokens.iter().rev() {
            assert_eq!(status(&app, token).await, "WAITING");
            assert_eq!(ahead(&app, token).await, 0, "the last comes back first");
        }
        let places = async || {
            let mut places = Vec::new();
            for token in &tokens {
                places.push(ahead(&app, token).await);
            }
            places
        };
        assert_eq!(places().await, [0, 1, 2, 3, 4]);
        assert_eq!(ahead(&app, &late).await, 5);
        let first_is_active = async || {
            app.promote().await;
            status(&app, &tokens[0]).await == "ACTIVE"
        };
        eventually("the first's turn", SOON, first_is_active).await;
        assert_eq!(places().await, [0, 0, 1, 2, 3]);
        app.audit().await;
    });
}

#[test]
fn two_losses_in_a_row_keep_the_order_too() {
    block_on(async {
        let app = narrow().await;
        let first = app.enter(1).await;
        let second = app.enter(2).await;
        app.promote().await;
        app.app.queues.remember().await.unwrap();
        app.forget_redis().await;
        let third = app.enter(3).await;
        app.forget_redis().await;
        let fourth = app.enter(4).await;
        for token in [&third, &second, &first, &fourth] {
            assert_eq!(status(&app, token).await, "WAITING");
        }
        for (ahead_of, token) in [&first, &second, &third, &fourth].into_iter().enumerate() {
            assert_eq!(ahead(&app, token).await, i64::try_from(ahead_of).unwrap());
        }
    });
}

#[test]
fn asking_for_a_token_with_the_one_it_had_is_a_claim_too() {
    block_on(async {
        let app = narrow().await;
        let had = app.enter(1).await;
        app.forget_redis().await;
        let ask = async |user: &str, had: &str| -> Answer {
            let headers = [("userId", user), ("token", had)];
            app.call("POST", "/api/v1/queues/token", &headers, serde_json::Value::Null).await
        };
        assert_eq!(ask("1", &had).await.data()["token"], *had);
        assert_ne!(ask("2", &had).await.data()["token"], *had, "another's token is no claim");
        assert_ne!(ask("3", "nonsense").await.data()["token"], *had);
    });
}

#[test]
fn who_asks_as_it_was_told_before_the_waiting_time_was_shortened_gets_its_place_back() {
    block_on(async {
        let app =
            TestApp::without_jobs(&["--max-active", "1", "--waiting-ttl-seconds", "2", "--active-ttl-seconds", "2"])
                .await;
        let mut tokens = Vec::new();
        for user in 1..=3 {
            tokens.push(app.enter(user).await);
        }
        app.forget_redis().await;
        app.enter(9).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(status(&app, &tokens[1]).await, "ACTIVE", "it was told to ask in 11 s, for all we know");
        tokio::time::sleep(Duration::from_secs(13)).await;
        assert_eq!(status(&app, &tokens[2]).await, "EXPIRED");
    });
}

#[test]
fn a_turn_that_is_over_stays_over() {
    block_on(async {
        let args = ["--active-ttl-seconds", "1", "--admit-per-second", "100000"];
        let app = TestApp::without_jobs(&args).await;
        let over = app.enter(1).await;
        assert_eq!(status(&app, &over).await, "ACTIVE");
        app.promote().await;
        app.app.queues.remember().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let fresh = app.enter(2).await;
        app.forget_redis().await;
        assert_eq!(status(&app, &over).await, "EXPIRED");
        app.leave(&over).await.data();
        let is_active = async || {
            app.promote().await;
            status(&app, &fresh).await == "ACTIVE"
        };
        eventually("a turn that was not over goes on", SOON, is_active).await;
    });
}

#[test]
fn leaving_after_a_loss_leaves() {
    block_on(async {
        let app = narrow().await;
        let token = app.enter(1).await;
        app.forget_redis().await;
        app.leave(&token).await.data();
        assert_eq!(status(&app, &token).await, "EXPIRED");
        assert_ne!(app.enter(1).await, token);
    });
}

#[test]
fn a_redis_that_went_back_gives_no_place_twice_and_no_sold_seat() {
    block_on(async {
        let mut servers = OwnServers::start().await;
        let app = servers.app().await;
        app.charge(1, PRICE).await.data();
        let early = app.enter_active(1).await;
        let kept = app.hold(&early, 1, 2).await.reservation();
        let former = servers.redis_wrote().await;

        let late = app.enter(2).await;
        let reservation = app.hold(&early, 1, 1).await.reservation();
        app.pay(&early, reservation).await.payment();
        servers.restart_redis(former).await;

        let back = async || app.rank(&late).await.status == 200;
        eventually("Redis is back", SOON, back).await;
        let newcomer = app.enter_active(3).await;
        let places = [&early, &late, &newcomer].map(|token| app.claim(token).place);
        assert!(places.is_sorted() && places[1] != places[2], "{places:?}");
        assert!(!app.free_seats(&newcomer, 1).await.contains(&1), "sold, before the first answer");
        app.hold(&newcomer, 1, 1).await.assert_error(409, "SEAT_TAKEN");
        app.hold(&newcomer, 1, 2).await.assert_error(409, "SEAT_TAKEN");
        let again = app.hold(&app.enter_active(1).await, 1, 2).await.reservation();
        assert_eq!(again, kept, "a hold that it had before is a hold");
        app.audit().await;
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn a_token_that_paid_is_used_up_in_a_redis_that_went_back() {
    block_on(async {
        let mut servers = OwnServers::start().await;
        let app = servers.app().await;
        app.charge(1, 3 * PRICE).await.data();
        app.charge(2, PRICE).await.data();
        let (used, kept) = (app.enter_active(1).await, app.enter_active(2).await);
        let reservation = app.hold(&used, 1, 1).await.reservation();
        let paid = app.hold(&kept, 1, 2).await.reservation();
        let held = app.hold(&kept, 1, 3).await.reservation();
        let former = servers.redis_wrote().await;
        app.pay(&used, reservation).await.payment();
        app.pay(&kept, paid).await.payment();
        assert_eq!(status(&app, &used).await, "COMPLETED");
        servers.restart_redis(former).await;

        let completed = async || {
            let rank = app.rank(&used).await;
            rank.status == 200 && rank.data()["status"] == "COMPLETED"
        };
        eventually("used up again", SOON, completed).await;
        app.hold(&used, 1, 4).await.assert_error(401, "TOKEN_EXPIRED");
        assert_eq!(status(&app, &kept).await, "ACTIVE", "it holds another seat");
        app.charge(2, PRICE).await.data();
        app.pay(&kept, held).await.payment();
        assert_eq!(status(&app, &kept).await, "COMPLETED");
        app.audit().await;
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn a_crowd_that_came_within_the_last_second_is_a_crowd() {
    block_on(async {
        let app = narrow().await;
        let tokens = [app.enter(1).await, app.enter(2).await, app.enter(3).await];
        app.forget_redis().await;
        assert_eq!(status(&app, &app.enter(9).await).await, "WAITING", "Postgres knows of no crowd, but this instance");
        for (ahead_of, token) in (0..).zip(&tokens) {
            assert_eq!(ahead(&app, token).await, ahead_of);
        }
    });
}

#[test]
fn who_asked_without_its_token_claims_its_place_with_it_later() {
    block_on(async {
        let app = narrow().await;
        app.enter(1).await;
        let (had, other) = (app.enter(2).await, app.enter(3).await);
        app.forget_redis().await;
        let newer = app.enter(2).await;
        assert_eq!(status(&app, &other).await, "WAITING");
        assert_ne!(newer, had);
        assert_eq!(ahead(&app, &had).await, 0);
        assert_eq!(ahead(&app, &other).await, 1);
        assert_eq!((status(&app, &newer).await.as_str(), app.enter(2).await), ("EXPIRED", had));
    });
}

#[test]
fn a_replica_is_not_written_to() {
    block_on(async {
        let servers = OwnServers::start().await;
        let app = servers.app().await;
        let token = app.enter_active(1).await;
        servers.redis(&["REPLICAOF", "127.0.0.1", "1"]).await;
        for _ in 0..3 {
            app.hold(&token, 1, 1).await.assert_error(503, "UNAVAILABLE");
            app.get("/api/v1/concerts/schedules/1/seats", &token).await.assert_error(503, "UNAVAILABLE");
        }
        servers.redis(&["REPLICAOF", "NO", "ONE"]).await;
        let held = async || app.hold(&token, 1, 1).await.status == 200;
        eventually("a master again", SOON, held).await;
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn a_token_that_has_paid_stays_used_up() {
    block_on(async {
        let app = narrow().await;
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        let payment = app.pay(&token, reservation).await.payment();
        app.forget_redis().await;
        assert_eq!(status(&app, &token).await, "COMPLETED");
        app.hold(&token, 1, 2).await.assert_error(401, "TOKEN_EXPIRED");
        assert_eq!(app.pay(&token, reservation).await.payment(), payment);
        let other = app.enter(2).await;
        assert_eq!(status(&app, &other).await, "ACTIVE", "it takes nobody's turn");
    });
}
