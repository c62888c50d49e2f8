//! Injection: wherever text comes in, none of it becomes a part of a key, a script or a statement.

use std::fs;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::{NASTY, calls, filled, percent};
use crate::admin::OPERATED;
use crate::lua::source;
use crate::support::{Answer, TestApp, block_on};

/// A call with a text wherever it takes one: in its path, its query, its headers and its body.
async fn call_with(app: &TestApp, method: &str, path: &str, text: &str, token: &str) -> Vec<Answer> {
    let operator = format!("Bearer {}", OPERATED[1]);
    let right = [("userId", "1"), ("token", token), ("authorization", &*operator)];
    let query = percent(text);
    let query = format!("?page={query}&size={query}&cursor={query}&concertId={query}&queue={query}&return={query}");
    let fields =
        ["concertScheduleId", "concertSeatId", "concertReservationId", "amount", "name", "title", "date", "queue"];
    let body: serde_json::Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), json!(text))).collect();
    let mut answers = vec![
        app.call(method, &filled(path, &percent(text)), &right, Value::Null).await,
        app.call(method, &(filled(path, "1") + &query), &right, Value::Null).await,
        app.call(method, &filled(path, "1"), &right, Value::Object(body)).await,
    ];
    let cookie = format!("onsale_token={text}; onsale_pass={text}");
    for (name, value) in [
        ("userId", text),
        ("token", text),
        ("onsale-pass", text),
        ("cookie", &cookie),
        ("idempotency-key", text),
        ("if-none-match", text),
        ("last-event-id", text),
        ("x-request-id", text),
        ("x-original-uri", text),
        ("accept-encoding", text),
    ] {
        // Only what is missing is left right, so that the text comes as far as it can.
        let mut ask = app.ask(method, &filled(path, "1")).header(name, value);
        for (name, value) in right.iter().filter(|(other, _)| *other != name) {
            ask = ask.header(name, value);
        }
        let ask = ask.json(r#"{"concertScheduleId":1,"concertSeatId":1,"concertReservationId":1,"amount":1}"#);
        answers.push(ask.send().await);
    }
    answers
}

/// The calls that end by themselves, and do not change what this test compares.
fn answered_calls() -> Vec<(String, String)> {
    let mut calls = calls();
    let leaves = |method: &str, path: &str| method == "DELETE" && path == "/api/v1/queues/token";
    calls.retain(|(method, path)| !(path.ends_with("/events") || leaves(method, path)));
    calls
}

/// That Redis holds nothing but keys of the shapes there are.
async fn assert_keys_are_ours(app: &TestApp) {
    for key in app.redis_keys().await {
        let rest = key.strip_prefix(&format!("{}:", app.settings.stores.key_prefix)).unwrap();
        let (tag, name) =
            rest.strip_prefix('{').and_then(|rest| rest.split_once("}:")).unwrap_or_else(|| panic!("{key}"));
        let (kind, id) = tag.split_once(':').unwrap();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        assert!(kind == "queue" && !id.is_empty() && id.bytes().all(plain), "{key}");
        // A schedule's are with its queue's.
        let of_schedule = name.strip_prefix("schedule:").and_then(|rest| rest.split_once(':'));
        let name = of_schedule.map_or(name, |(schedule, name)| {
            assert!(schedule.bytes().all(|byte| byte.is_ascii_digit()), "{key}");
            name
        });
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{key}");
    }
}

#[test]
fn no_text_does_more_than_text() {
    block_on(async {
        let args = [&OPERATED[..], &["--user-writes-per-second", "0"]].concat();
        let app = TestApp::without_jobs(&args).await;
        let token = app.enter(1).await;
        for (method, path) in answered_calls() {
            for text in NASTY {
                for answer in call_with(&app, &method, &path, text, &token).await {
                    assert!(!answer.status.is_server_error(), "{method} {path} {text:?}: {answer:?}");
                    // But for the pages, which are no answers of the API.
                    let is_call = ["/api/", "/admin/", "/gate/"].iter().any(|room| path.starts_with(room));
                    let is_page = answer.header("content-type").starts_with("text/html") && !is_call;
                    let is_readable = !answer.bytes.is_empty() && !answer.headers.contains_key("content-encoding");
                    assert!(
                        is_page || !is_readable || answer.body.is_object(),
                        "{method} {path} {text:?}: in the envelope"
                    );
                }
            }
        }
        assert_keys_are_ours(&app).await;
        assert_eq!(app.number("SELECT count(*) FROM concert_seat").await, 1500, "the tables are there, and whole");
        app.audit().await;
    });
}

#[test]
fn random_text_does_no_more_either() {
    block_on(async {
        let args = [&OPERATED[..], &["--user-writes-per-second", "0"]].concat();
        let app = TestApp::without_jobs(&args).await;
        let token = app.enter(1).await;
        let seed: u64 = rand::random();
        let mut random = StdRng::seed_from_u64(seed);
        let alphabet: Vec<char> = "{}[]()'\"`;:,.*?$%\\/<>|&=+-_ 019azAZé가".chars().collect();
        let calls = answered_calls();
        for _ in 0..150 {
            let length = random.random_range(1..24);
            // All of it can stand in a header too.
            let text: String = (0..length).map(|_| *alphabet.choose(&mut random).unwrap()).collect();
            let (method, path) = calls.choose(&mut random).unwrap();
            for answer in call_with(&app, method, path, &text, &token).await {
                assert!(!answer.status.is_server_error(), "{method} {path} {text:?}, seed {seed}: {answer:?}");
            }
        }
        assert_keys_are_ours(&app).await;
        app.audit().await;
    });
}

#[test]
fn what_may_be_any_text_is_kept_as_it_is() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        for text in NASTY {
            let seat = json!({ "section": text, "row": text, "number": 1, "price": 1000 });
            let concert = json!({ "title": text, "schedules": [{ "date": "2050-01-01", "seats": [seat] }] });
            let made = app.operate("POST", "/concerts", concert).await;
            let schedule = made.data()["schedules"][0]["concertScheduleId"].as_i64().unwrap();
            let plan = app.operate("GET", &format!("/concerts/schedules/{schedule}/seats"), Value::Null).await;
            assert_eq!(
                (&plan.data()["seats"][0]["section"], &plan.data()["seats"][0]["row"]),
                (&json!(text), &json!(text))
            );
            // A queue's name becomes a part of keys.
            if !text.bytes().all(|byte| byte.is_ascii_digit()) {
                let named = json!({ "name": text });
                app.operate("POST", "/queues", named).await.assert_error(400, "INVALID_REQUEST");
            }
            // Visible ASCII is what a key is made of, and whatever it is, it is one.
            if !text.contains(' ') {
                let first = app.charge_under(text, 1, 1).await;
                first.assert_first();
                app.charge_under(text, 1, 1).await.assert_replays(&first);
                app.charge_under(text, 2, 1).await.assert_first();
            }
        }
        let keys = i64::try_from(NASTY.iter().filter(|text| !text.contains(' ')).count()).unwrap();
        assert_eq!((app.balance(1).await, app.balance(2).await, app.stored().await), (keys, keys, 2 * keys));
    });
}

#[test]
fn scripts_and_statements_are_written_before_anybody_asks() {
    for path in source::files("src") {
        let code = fs::read_to_string(&path).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap();
        let said = |text: &str| code.contains(text);
        // A statement that is put together has to say that it is safe, and none does.
        assert!(!said("AssertSqlSafe") && !said("raw_sql"), "{}", path.display());
        assert!(!said("\"EVAL") && !said("cmd(\"SCRIPT"), "{}", path.display());
        let made = code.matches("redis::Script::new(").count();
        assert!(made == 0 || path.ends_with("src/redis/script.rs"), "{}", path.display());
        for script in code.split(" Script::new(").skip(1) {
            let parts = script.split_once('[').unwrap().1.split(']').next().unwrap();
            let is_static = |part: &str| {
                let part = part.trim();
                part.is_empty()
                    || part.starts_with("include_str!(")
                    || part.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            };
            assert!(parts.split(',').all(is_static), "{}: {parts}", path.display());
        }
    }
}
