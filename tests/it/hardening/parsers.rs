//! Properties of everything that reads what comes from outside: whatever comes, it is understood or refused, in the
//! envelope, and is never our fault.

use std::net::IpAddr;

use clap::{CommandFactory, Parser};
use onsale::ids::{ScheduleId, UserId};
use onsale::limit::{Address, Network, Proxies};
use onsale::queue::{Facts, Signer};
use onsale::settings::Cli;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::admin::OPERATED;
use crate::support::{Answer, TestApp, block_on};

/// What a header can have in it at all.
fn header_value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![6 => 0x20..=0x7e_u8, 1 => 0x80..=0xff_u8, 1 => Just(b'\t')];
    let wild = vec(byte, 0..90);
    let near = "[ ,;=\"0-9a-zA-Z/*+-]{0,40}|(gzip|br|\\*)(;q=[0-9.]{0,5})?(,gzip;q=1)?|W?/?\"[0-9a-f]{0,20}\"|[0-9]{1,20}|[0-9a-f]+-[0-9]+";
    prop_oneof![wild, near.prop_map(String::into_bytes)]
}

/// A value of JSON of any shape, with the numbers and texts that go wrong.
fn any_json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(vec![0, 1, -1, 50, i64::MAX, 9_007_199_254_740_991, 9_007_199_254_740_992]).prop_map(Value::from),
    ];
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number, ".{0,12}".prop_map(Value::from)];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((field(), inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The name of a field that some call takes, or any other.
fn field() -> impl Strategy<Value = String> {
    let known = [
        "amount",
        "concertScheduleId",
        "concertSeatId",
        "concertSeatIds",
        "count",
        "bestAvailable",
        "concertReservationId",
        "concertReservationIds",
        "title",
        "queue",
        "schedules",
        "date",
        "seats",
        "sections",
        "section",
        "row",
        "rows",
        "number",
        "price",
        "seatsPerRow",
        "maxActive",
        "admitPerSecond",
        "opensAt",
        "paused",
        "concertIds",
        "name",
    ];
    prop_oneof![9 => select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
}

/// Tries so many of what a strategy makes on one service.
#[track_caller]
fn on_a_service<S: Strategy>(cases: u32, made: &S, run: impl AsyncFn(&TestApp, S::Value))
where
    S::Value: std::fmt::Debug,
{
    block_on(async move {
        let app = TestApp::without_jobs(&OPERATED).await;
        tokio::task::block_in_place(|| {
            let config = Config { cases, failure_persistence: None, ..Config::default() };
            let tried = TestRunner::new(config).run(made, |value| {
                block_on(run(&app, value));
                Ok(())
            });
            tried.unwrap();
        });
        app.audit().await;
    });
}

/// An answer by the contract, that is no fault of ours.
#[track_caller]
fn assert_sound(answer: &Answer, asked: &dyn std::fmt::Debug) {
    assert!(answer.status.as_u16() < 500, "{asked:?}: {answer:?}");
    assert!(!answer.header("x-request-id").is_empty(), "{asked:?}: {answer:?}");
    let failed = answer.status.is_client_error();
    if failed {
        assert_eq!(answer.body["result"], "ERROR", "{asked:?}: {answer:?}");
        assert!(!answer.code().is_empty(), "{asked:?}: {answer:?}");
    }
}

#[test]
fn any_header_is_understood_or_refused() {
    let names = [
        "userId",
        "token",
        "idempotency-key",
        "if-none-match",
        "accept-encoding",
        "x-request-id",
        "authorization",
        "cookie",
        "x-forwarded-for",
        "x-original-uri",
        "x-forwarded-uri",
        "x-forwarded-host",
        "content-type",
        "accept",
        "last-event-id",
        "content-length",
    ];
    let routes = [
        ("GET", "/api/v1/user-wallets/balance"),
        ("PATCH", "/api/v1/user-wallets/balance"),
        ("POST", "/api/v1/queues/token"),
        ("GET", "/api/v1/queues/token/rank"),
        ("GET", "/api/v1/concerts"),
        ("GET", "/api/v1/concerts/schedules/1/seats"),
        ("GET", "/api/v1/queues/token/pass"),
        ("GET", "/.well-known/jwks.json"),
        ("GET", "/admin/v1/queues"),
    ];
    let made = (select(routes.to_vec()), vec((select(names.to_vec()), header_value()), 0..5));
    on_a_service(1500, &made, async |app, ((method, path), headers)| {
        let mut ask = app.ask(method, path);
        // What every call needs, so that the others are looked at; a second one is refused.
        let has = |name| headers.iter().any(|(known, _)| *known == name);
        if !has("userId") {
            ask = ask.header("userId", "1");
        }
        for (name, value) in &headers {
            ask = ask.header(name, value);
        }
        assert_sound(&ask.body("{\"amount\":1}").send().await, &(path, &headers));
    });
}

#[test]
fn seats_are_answered_whatever_a_client_says_it_has_and_takes() {
    let made = vec((select(vec!["if-none-match", "accept-encoding"]), header_value()), 0..4);
    on_a_service(500, &made, async |app, headers| {
        let token = app.enter(1).await;
        let mut ask = app.ask("GET", "/api/v1/concerts/schedules/1/seats").header("token", token);
        for (name, value) in &headers {
            ask = ask.header(name, value);
        }
        let answer = ask.send().await;
        assert!([200, 304].contains(&answer.status.as_u16()), "{headers:?}: {answer:?}");
    });
}

#[test]
fn any_path_and_query_is_understood_or_refused() {
    let piece = "[0-9]{1,20}|-?[0-9]{1,3}|%[0-9a-fA-F]{2}|[a-z%.+]{0,12}|%00|%2e%2e|9007199254740992";
    let query = "(page|size|cursor|token|concertId|queue|return)?=?[0-9a-zA-Z_%&=+-]{0,24}";
    let routes = [
        "/api/v1/concerts/{}/schedules",
        "/api/v1/concerts/schedules/{}/seats",
        "/api/v1/concerts/schedules/{}/seat-map",
        "/api/v1/reservations/{}",
        "/api/v1/queues/draws/{}",
        "/api/v1/user-wallets/transactions",
        "/api/v1/payments",
        "/api/v1/concerts",
        "/no-page-{}",
        "/api/v1/queues/token/events",
    ];
    let made = (select(routes.to_vec()), piece, vec(query, 0..4));
    on_a_service(1500, &made, async |app, (route, piece, query)| {
        let path = format!("{}?{}", route.replace("{}", &piece), query.join("&"));
        // What is no URI does not come so far.
        if path.parse::<http::Uri>().is_ok() {
            assert_sound(&app.ask("GET", &path).header("userId", "1").send().await, &path);
        }
    });
}

#[test]
fn any_body_is_understood_or_refused() {
    let routes = [
        ("PATCH", "/api/v1/user-wallets/balance"),
        ("POST", "/api/v1/reservations/concert"),
        ("POST", "/api/v1/reservations/concert/batch"),
        ("POST", "/api/v1/payment/concert"),
        ("POST", "/api/v1/payment/concert/batch"),
        ("POST", "/api/v1/queues/token"),
        ("POST", "/admin/v1/concerts"),
        ("POST", "/admin/v1/concerts/1/schedules"),
    ];
    let json = any_json().prop_map(|json| json.to_string().into_bytes());
    let broken = (any_json(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(json, at, byte)| {
        let mut text = json.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        text
    });
    let form = "(concertId|x)?=?[0-9%&=a-z]{0,12}".prop_map(String::into_bytes);
    let body = prop_oneof![4 => json, 2 => broken, 1 => vec(any::<u8>(), 0..64), 1 => form];
    let made = (select(routes.to_vec()), any::<bool>(), body);
    on_a_service(1500, &made, async |app, ((method, path), is_json, body)| {
        let token = app.enter(1).await;
        let kind = if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
        let bearer = format!("Bearer {}", OPERATED[1]);
        let ask = app.ask(method, path).header("userId", "1").header("token", token).header("authorization", bearer);
        let answer = ask.header("content-type", kind).body(body.clone()).send().await;
        assert_sound(&answer, &(path, String::from_utf8_lossy(&body)));
    });
}

#[test]
fn json_that_is_nested_too_deep_is_refused() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for depth in [1, 100, 1000, 8000] {
            let body = format!("{{\"amount\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
            let ask = app.ask("PATCH", "/api/v1/user-wallets/balance").header("userId", "1");
            ask.json(body).send().await.assert_error(400, "INVALID_REQUEST");
        }
    });
}

proptest! {
    #![proptest_config(Config { cases: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn an_id_is_what_it_says(text in "\\PC{0,24}|[0-9]{1,20}|-?0?[0-9]{1,3}", number in any::<i64>()) {
        if let Ok(id) = text.parse::<UserId>() {
            prop_assert_eq!(id.to_string(), text);
        }
        let is_id = (1..=9_007_199_254_740_991).contains(&number);
        prop_assert_eq!(ScheduleId::try_from(number).is_ok(), is_id);
        prop_assert_eq!(number.to_string().parse::<ScheduleId>().is_ok(), is_id);
        prop_assert_eq!(serde_json::from_value::<ScheduleId>(json!(number)).is_ok(), is_id);
    }

    // The last form has a version and a user that there can be, so that only the key is in its way.
    #[test]
    fn no_text_is_a_token_by_chance(text in "\\PC{0,80}|[A-Za-z0-9_-]{72}|A[Q-Za-f][A-Za-z0-9_-]{6}AA[A-Za-z0-9_-]{62}") {
        prop_assert_eq!(Signer::new(&[7; 32]).verify(&text), None);
    }

    #[test]
    fn networks_are_read_as_they_are_written(text in "\\PC{0,24}|[0-9.]{1,15}/[0-9]{1,3}|[0-9a-f:]{2,20}/[0-9]{1,3}", address in any::<IpAddr>(), bits in 0..=140_u8) {
        if let Ok(network) = text.parse::<Network>() {
            prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
        }
        let _ = Proxies::read(&text);
        if let Ok(network) = format!("{address}/{bits}").parse::<Network>() {
            prop_assert!(network.contains(address));
        }
    }

    #[test]
    fn what_stands_before_a_stranger_changes_nothing(made_up in vec("\\PC{0,20}|[0-9.]{7,15}", 0..5), client in any::<IpAddr>()) {
        let proxies = Proxies::read("10.0.0.0/8,fd00::/8").unwrap();
        let visitor = proxies.visitor("10.0.0.1".parse().unwrap());
        let client_text = client.to_string();
        let values: Vec<&str> = made_up.iter().map(String::as_str).chain([client_text.as_str()]).collect();
        let is_proxy = ["10.0.0.0/8", "fd00::/8"].iter().any(|network| network.parse::<Network>().unwrap().contains(client));
        let address = proxies.address(&visitor, values.iter().copied());
        if !is_proxy {
            prop_assert_eq!(address, Some(Address::from(client)));
            let joined = values.join(", ");
            prop_assert_eq!(proxies.address(&visitor, [joined.as_str()].into_iter()), Some(Address::from(client)));
        }
        prop_assert!(address.is_some());
    }

    #[test]
    fn facts_of_a_draw_hold_or_do_not(seed in "[0-9a-f]{62,66}", promised in "[0-9a-f]{64}|\\PC{0,10}", entries in prop_oneof![0..1000_u64, any::<u64>()], json in any_json()) {
        let facts = Facts {
            queue: "q".to_owned(), opens_at: String::new(), seed_sha256: promised, seed: Some(seed),
            entries: Some(entries), first_order: None, algorithm: String::new(),
        };
        prop_assert!(facts.verify().is_err(), "nobody finds the seed of a hash");
        if let Ok(facts) = serde_json::from_value::<Facts>(json) {
            let _ = facts.verify();
        }
    }

    #[test]
    fn any_setting_is_taken_or_refused(at in any::<prop::sample::Index>(), value in "\\PC{0,30}|-?[0-9]{1,12}|[0-9.]{1,12}(:[0-9]{1,6})?|[a-z]{1,8}(=[0-9a-f]{64})?(,[a-z=]{0,20})?") {
        let serve = Cli::command();
        let serve = serve.find_subcommand("serve").unwrap();
        let options: Vec<&str> = serve.get_arguments().filter_map(clap::Arg::get_long).collect();
        let option = format!("--{}={value}", options[at.index(options.len())]);
        let needed = ["--database-url=x", "--redis-url=x", "--token-key=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"];
        let name = option.split('=').next().unwrap().to_owned();
        let args: Vec<&str> = ["onsale", "serve"].into_iter().chain(needed.into_iter().filter(|needed| !needed.starts_with(&format!("{name}=")))).chain([option.as_str()]).collect();
        let _ = Cli::try_parse_from(args);
    }
}
