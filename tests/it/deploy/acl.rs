//! Redis' access list: with it the program can do all that it does, and nobody can do more as the program.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::file::Compose;
use super::shop::ComposeRedis;
use crate::lua::source;
use crate::support::{TestApp, block_on, eventually, schedule, serve_settings, servers};

/// What the program runs beside what its scripts run.
const BESIDE: [&str; 3] = ["evalsha", "info", "script|load"];

const SOON: Duration = Duration::from_secs(20);

/// What runs when a Redis comes back with what it had.
const COMPARES: &str = "queue.use_up";

/// The rules of a user.
fn rules(user: &str) -> Vec<String> {
    let compose = Compose::read();
    let list = compose.file["configs"]["users.acl"]["content"].as_str().unwrap();
    let line = list.lines().find_map(|line| line.strip_prefix(&format!("user {user} "))).unwrap();
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn the_user_may_run_what_the_scripts_run_and_nothing_else() {
    let code: String = source::all().iter().map(source::Source::code).collect();
    let calls = code.split("redis.call(").skip(1).chain(code.split("redis.pcall(").skip(1));
    let commands = calls.map(|call| call.trim_start().split('\'').nth(1).unwrap().to_ascii_lowercase());
    let needed: BTreeSet<String> = commands.chain(BESIDE.map(str::to_owned)).collect();
    let rules = rules("onsale");
    let (before, after) = rules.split_at(rules.iter().position(|rule| rule == "+info").unwrap());
    assert_eq!(before[2..], ["~onsale:*", "resetchannels", "-@all", "+@connection", "-@dangerous", "-select"]);
    let given: BTreeSet<String> = after.iter().map(|rule| rule.strip_prefix('+').unwrap().to_owned()).collect();
    assert_eq!(given, needed);
}

/// What time drives, a queue's opening included, and an operator's look at all of it.
async fn play(app: &TestApp) {
    let socket = app.serve().await;
    let (first, second) = (app.enter_active(1).await, app.enter_active(2).await);
    let waiting = app.enter(3).await;
    assert_eq!(app.rank(&waiting).await.data()["status"], "WAITING");
    let mut events = socket.watch(&waiting).await;
    assert_eq!(events.next().await.unwrap().name, "position");
    let mut seats = socket.watch_seats(&first, 1, "").await;
    assert_eq!(seats.next().await.unwrap().name, "seats");

    for user in [1, 2] {
        app.charge(user, 2_000_000).await.data();
    }
    // An eighth of a burst, of which the other instances are told.
    for _ in 0..8 {
        app.charge(2, 1000).await.data();
    }
    let reservation = app.hold(&first, 1, 1).await.reservation();
    assert_eq!(seats.next().await.unwrap().name, "changes");
    app.hold(&second, 1, 1).await.assert_error(409, "SEAT_TAKEN");
    let many: Vec<i64> = app.hold_best(&second, 1, 2).await.held_many().iter().map(|(_, id)| *id).collect();
    let given_up = app.hold(&second, 1, 20).await.reservation();
    app.give_up(&second, given_up).await.data();
    app.get("/api/v1/reservations", &second).await.data();
    app.get("/api/v1/concerts/schedules/1/seat-map", &second).await.data();
    let other = app.hold(&first, 1, 21).await.reservation();
    let payment = app.pay(&first, reservation).await.payment();
    app.pay(&first, other).await.payment();
    app.pay_many(&second, &many).await.payments();
    app.refund(1, payment).await.data();
    // Its turn, as the others have gone.
    assert_eq!(events.next_but_position().await.unwrap().name, "active");
    app.hold(&waiting, 1, 30).await.reservation();
    app.leave(&waiting).await.data();
}

/// Whether Redis knows this script: it forgets none by FLUSHALL, but all by a restart.
async fn has_run(redis: &ComposeRedis, op: &str) -> bool {
    let hash = redis::Script::new(&source::joined(op)).get_hash().to_owned();
    let known = redis.run("admin", &["SCRIPT", "EXISTS", &hash]).await.unwrap();
    known == redis::Value::Array(vec![redis::Value::Int(1)])
}

/// An early one is drawn, and let in.
async fn play_opening(app: &TestApp) {
    let open = "UPDATE queue SET opens_at = now() + interval '3 seconds' WHERE id = 1";
    sqlx::query(open).execute(app.pool()).await.unwrap();
    let early = async || {
        let answer = app.call("POST", "/api/v1/queues/token", &[("userId", "50")], Value::Null).await;
        answer.status == 200 && app.rank(answer.data()["token"].as_str().unwrap()).await.data()["status"] == "WAITING"
    };
    eventually("somebody waits for the opening", SOON, early).await;
    let token = app.enter(50).await;
    let active = async || app.rank(&token).await.data()["status"] == "ACTIVE";
    eventually("it has opened", SOON, active).await;
    app.leave(&token).await.data();
}

#[test]
fn the_program_does_all_that_it_does_with_it_and_is_refused_nothing() {
    block_on(async {
        let mut redis = ComposeRedis::start().await;
        let database = servers().await.seeded_database().await;
        let url = redis.url("onsale");
        let stores = ["--database-url", &database, "--redis-url", &url, "--postgres-connections", "4"];
        let short = ["--max-active", "2", "--waiting-ttl-seconds", "20", "--user-writes-per-second", "40"];
        let app = TestApp::from_settings(serve_settings(&[&stores[..], &short].concat())).await;
        app.start_jobs().await;
        play(&app).await;

        // Redis loses everything: one who waits comes back to its place.
        let (_, _, waiting) = (app.enter_active(11).await, app.enter_active(12).await, app.enter(13).await);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        redis.run("admin", &["FLUSHALL"]).await.unwrap();
        let back = async || app.rank(&waiting).await.code().is_empty() && has_run(&redis, "queue.restore").await;
        eventually("the place is back", SOON, back).await;
        let served = async || app.get("/api/v1/concerts/schedules/1/seats", &app.enter(13).await).await.status != 503;
        eventually("the map is back", SOON, served).await;
        for token in [app.enter(11).await, app.enter(12).await, app.enter(13).await] {
            app.leave(&token).await.data();
        }
        play_opening(&app).await;
        // A seat that the map has sold, and Postgres has not, is looked into.
        for state in ["S", "F"] {
            redis.run("admin", &["SETRANGE", "onsale:{queue:default}:schedule:1:seats", "45", state]).await.unwrap();
            app.app.seats.settle(schedule(1), 0).await.unwrap();
        }
        app.audit().await;

        for script in source::scripts().iter().filter(|script| script.op != COMPARES) {
            assert!(has_run(&redis, &script.op).await, "{} was not tried", script.op);
        }
        assert_eq!(redis.refusals().await, []);

        // Redis starts again with somebody in the queue, and knows all that it knew: who of them has paid is looked up.
        let there = app.enter_active(9).await;
        let held = app.hold(&there, 1, 40).await.reservation();
        redis.restart().await;
        assert_eq!(redis.refusals().await, [], "what it reads from its file is not refused");
        let compared = async || {
            // The queue is opened by the first who asks.
            app.call("POST", "/api/v1/queues/token", &[("userId", "9")], Value::Null).await;
            has_run(&redis, COMPARES).await
        };
        eventually("tokens are compared with payments", SOON, compared).await;
        let kept = async || app.hold(&there, 1, 40).await.body["data"]["reservationId"] == held;
        eventually("the hold is there", SOON, kept).await;
        assert_eq!(app.enter(9).await, there);
        app.audit().await;
        assert_eq!(redis.refusals().await, []);
    });
}

#[test]
fn nobody_can_do_more_as_the_program() {
    block_on(async {
        let redis = ComposeRedis::start().await;
        let refused: [&[&str]; 19] = [
            &["FLUSHALL"],
            &["FLUSHDB"],
            &["KEYS", "*"],
            &["SCAN", "0"],
            &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
            &["CONFIG", "GET", "*"],
            &["SHUTDOWN"],
            &["REPLICAOF", "127.0.0.1", "1"],
            &["ACL", "LIST"],
            &["CLIENT", "KILL", "TYPE", "normal"],
            &["CLIENT", "LIST"],
            &["SCRIPT", "FLUSH"],
            &["EVAL", "return 1", "0"],
            &["SELECT", "1"],
            &["SUBSCRIBE", "onsale:news"],
            &["PUBLISH", "onsale:news", "x"],
            &["RENAME", "onsale:a", "onsale:b"],
            &["GET", "another"],
            &["HSET", "another:{queue:default}:state", "a", "b"],
        ];
        for command in refused {
            let error = redis.run("onsale", command).await.unwrap_err();
            assert_eq!(error.code(), Some("NOPERM"), "{command:?}: {error}");
        }
        // A Redis of today has it switched off besides.
        let debug = redis.run("admin", &["ACL", "DRYRUN", "onsale", "DEBUG", "SLEEP", "0"]).await.unwrap();
        assert!(format!("{debug:?}").contains("no permissions"), "{debug:?}");
        // Its own it may, and so may an administrator.
        redis.run("onsale", &["SET", "onsale:a", "b"]).await.unwrap();
        redis.run("admin", &["SET", "another", "b"]).await.unwrap();
        // A script is refused another's keys too, whether it is told of them or not.
        let sources = ["return redis.call('GET', KEYS[1])", "return redis.call('GET', 'another')"];
        for (source, key) in sources.iter().zip(["another", "onsale:a"]) {
            let hash = match redis.run("onsale", &["SCRIPT", "LOAD", source]).await.unwrap() {
                redis::Value::BulkString(hash) => String::from_utf8(hash).unwrap(),
                other => panic!("{other:?}"),
            };
            let error = redis.run("onsale", &["EVALSHA", &hash, "1", key]).await.unwrap_err();
            assert!(error.code() == Some("NOPERM") || error.to_string().contains("can't access"), "{error}");
        }
        // And without a name nobody gets in.
        let nobody = redis::Client::open(redis.url_without_user()).unwrap();
        let asked = async {
            let mut connection = nobody.get_multiplexed_async_connection().await?;
            redis::cmd("PING").query_async::<String>(&mut connection).await
        };
        assert_eq!(asked.await.unwrap_err().code(), Some("NOAUTH"));
    });
}
