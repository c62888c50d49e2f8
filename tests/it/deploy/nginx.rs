//! nginx between visitors and two real instances: what it lets through, adds and takes away, and what it says when no
//! instance answers.

use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Response;
use serde_json::{Value, json};

use super::shop::Shop;
use crate::support::{Events, SLACK, block_on, eventually};

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// That it is in the envelope, with this status and code.
async fn assert_error(response: Response, status: u16, code: &str) {
    assert_eq!(response.status(), status, "{response:?}");
    assert!(header(&response, "content-type").starts_with("application/json"), "{response:?}");
    assert!(!header(&response, "x-request-id").is_empty(), "{response:?}");
    let body: Value = response.json().await.unwrap();
    assert_eq!((&body["result"], &body["data"]), (&json!("ERROR"), &Value::Null));
    assert_eq!(body["error"]["code"], code);
    assert!(body["error"]["message"].is_string() && body.as_object().unwrap().len() == 3, "{body}");
}

async fn data(response: Response) -> Value {
    assert_eq!(response.status(), 200, "{response:?}");
    response.json::<Value>().await.unwrap()["data"].take()
}

async fn enter(shop: &Shop, user: &str) -> String {
    let entered = shop.visitors("POST", "/api/v1/queues/token").header("userId", user).send().await.unwrap();
    data(entered).await["token"].as_str().unwrap().to_owned()
}

async fn everybody_gets_in_and_nobody_else(shop: &Shop) {
    for path in ["/livez", "/readyz", "/api/v1/concerts", "/.well-known/jwks.json", "/", "/concerts/1", "/me"] {
        let answer = shop.visitors("GET", path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    // Onsale's own refusal, not nginx'.
    assert_error(shop.visitors("GET", "/gate/check").send().await.unwrap(), 401, "INVALID_TOKEN").await;

    let token = format!("Bearer {}", super::file::secret("ONSALE_ADMIN_KEY"));
    let admin = "/admin/v1/queues";
    for way in
        [admin, "//admin/v1/queues", "/%61dmin/v1/queues", "/api/../admin/v1/queues", "/api/%2e%2e/admin/v1/queues"]
    {
        let answer = raw(shop, way, &format!("authorization: {token}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("NOT_FOUND"), "{way}: {answer}");
    }
    for path in ["/metrics", "/nginx", "/admin", "/apix", "/console", "/demo"] {
        assert_error(shop.visitors("GET", path).send().await.unwrap(), 404, "NOT_FOUND").await;
    }
    // By their own way operators get in, with their token; nobody else gets anywhere by it.
    let queues = shop.operators("GET", admin).header("authorization", &token).send().await.unwrap();
    data(queues).await;
    assert_eq!(shop.operators("GET", admin).send().await.unwrap().status(), 401);
    // The console comes by their way, without a token: it asks for one, and is nothing without.
    assert_eq!(shop.operators("GET", "/console").send().await.unwrap().status(), 200);
    for path in ["/api/v1/concerts", "/metrics", "/", "/concerts/1"] {
        assert_error(shop.operators("GET", path).send().await.unwrap(), 404, "NOT_FOUND").await;
    }
}

/// A request as it is, its path not put in order first.
async fn raw(shop: &Shop, path: &str, headers: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(&shop.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn ids_and_headers_pass(shop: &Shop) {
    let named = shop.visitors("GET", "/livez").header("x-request-id", "till-7:0042").send().await.unwrap();
    assert_eq!(header(&named, "x-request-id"), "till-7:0042");
    let insane = shop.visitors("GET", "/livez").header("x-request-id", "a b\"c").send().await.unwrap();
    let made = header(&insane, "x-request-id").to_owned();
    assert_eq!((made.len(), made.contains(' ')), (32, false), "nginx made one: {made}");

    let token = enter(shop, "1").await;
    let seats = || shop.visitors("GET", "/api/v1/concerts/schedules/1/seats").header("token", &token);
    let answer = seats().send().await.unwrap();
    let tag = header(&answer, "etag").to_owned();
    assert!(!tag.is_empty());
    assert_eq!(seats().header("if-none-match", &tag).send().await.unwrap().status(), 304);
    assert_eq!(header(&seats().header("accept-encoding", "gzip").send().await.unwrap(), "content-encoding"), "gzip");

    let charge = || {
        let charge = shop.visitors("PATCH", "/api/v1/user-wallets/balance").header("userId", "1");
        charge.header("idempotency-key", "once").json(&json!({"amount": 1000})).send()
    };
    data(charge().await.unwrap()).await;
    assert_eq!(header(&charge().await.unwrap(), "idempotent-replayed"), "true");
    let large =
        shop.visitors("PATCH", "/api/v1/user-wallets/balance").header("userId", "1").body(vec![b' '; 17 * 1024]);
    assert_error(large.send().await.unwrap(), 413, "PAYLOAD_TOO_LARGE").await;

    let [calls, _] = shop.logs();
    let line: Value = calls.lines().find(|line| line.contains("till-7:0042")).unwrap().parse().unwrap();
    assert_eq!((&line["path"], &line["status"]), (&json!("/livez"), &json!(200)));
    assert!(calls.lines().all(|line| line.parse::<Value>().is_ok()), "{calls}");
    assert!(!calls.contains(&token), "a token is logged");
}

/// An event comes as soon as it is there, though more are to come.
async fn streams_are_not_held_back(shop: &Shop) {
    let token = enter(shop, "2").await;
    for (path, first) in [("/api/v1/queues/token/events", "active"), ("/api/v1/concerts/schedules/1/events", "seats")] {
        let path = format!("{path}?token={token}");
        let mut events = Events::ask(&shop.address, &path, "").await;
        assert!(events.head.contains("text/event-stream"), "{}", events.head);
        let event = events.next_within(Duration::from_secs(1) + SLACK).await.unwrap().unwrap();
        assert_eq!(event.name, first);
        if first == "seats" {
            let hold = shop.visitors("POST", "/api/v1/reservations/concert").header("token", &token);
            data(hold.json(&json!({"concertScheduleId": 1, "concertSeatId": 9})).send().await.unwrap()).await;
            let event = events.next_within(Duration::from_secs(1) + SLACK).await.unwrap().unwrap();
            assert_eq!(event.name, "changes");
        }
    }
}

#[test]
fn visitors_get_all_that_is_theirs_and_nothing_else() {
    block_on(async {
        let shop = Shop::open().await;
        everybody_gets_in_and_nobody_else(&shop).await;
        ids_and_headers_pass(&shop).await;
        streams_are_not_held_back(&shop).await;
    });
}

#[test]
fn only_a_gateway_says_who_somebody_is() {
    block_on(async {
        let shop = Shop::with("127.0.0.1 1;", "127.0.0.9 1;").await;
        let entered = shop.visitors("POST", "/api/v1/queues/token").header("userId", "1").send().await.unwrap();
        assert_error(entered, 401, "USER_REQUIRED").await;
        // A token says by itself whose it is.
        let direct = shop.client.post(shop.instances[0].url("/api/v1/queues/token")).header("userId", "1");
        let token = data(direct.send().await.unwrap()).await["token"].as_str().unwrap().to_owned();
        let rank = shop.visitors("GET", "/api/v1/queues/token/rank").header("token", token).header("userId", "2");
        assert_eq!(data(rank.send().await.unwrap()).await["status"], "ACTIVE");
    });
}

#[test]
fn without_an_instance_the_answer_is_in_the_envelope_and_no_token_is_logged() {
    block_on(async {
        let mut shop = Shop::open().await;
        let token = enter(&shop, "1").await;
        // One alone serves everybody.
        shop.instances[0].signal(Signal::SIGKILL);
        for _ in 0..10 {
            assert_eq!(shop.visitors("GET", "/livez").send().await.unwrap().status(), 200);
        }
        // What was on its way to the dead one is not asked of the other, as it may have been done: the visitor asks again.
        let entered = async || {
            let entered = shop.visitors("POST", "/api/v1/queues/token").header("userId", "2").send().await.unwrap();
            let is_in = entered.status() == 200;
            if !is_in {
                assert_error(entered, 503, "UNAVAILABLE").await;
            }
            is_in
        };
        eventually("a visitor gets in", Duration::from_secs(30), entered).await;
        // One that does not answer in time.
        shop.instances[1].suspend();
        let silent = shop.visitors("GET", "/livez").send().await.unwrap();
        assert_eq!(header(&silent, "retry-after"), "1");
        assert_error(silent, 503, "UNAVAILABLE").await;
        shop.instances[1].signal(Signal::SIGCONT);
        // None at all.
        assert_eq!(shop.instances[1].stop().await, Some(0));
        let events = format!("/api/v1/queues/token/events?token={token}");
        for (method, path) in [("GET", "/livez"), ("POST", "/api/v1/queues/token"), ("GET", &events)] {
            let answer =
                shop.visitors(method, path).header("userId", "1").header("token", &token).send().await.unwrap();
            assert_eq!(header(&answer, "retry-after"), "1");
            assert_error(answer, 503, "UNAVAILABLE").await;
        }
        let [calls, faults] = shop.logs();
        assert!(faults.contains("[error]"), "nothing was said of what failed: {faults}");
        assert!(!calls.contains(&token) && !faults.contains(&token), "a token is logged: {calls} {faults}");

        shop.instances[0].start_again().await;
        let back = async || shop.visitors("GET", "/readyz").send().await.unwrap().status() == 200;
        eventually("it is used again", Duration::from_mins(1), back).await;
    });
}

#[test]
fn health_is_what_readyz_says() {
    block_on(async {
        let mut shop = Shop::open().await;
        let instance = &mut shop.instances[0];
        assert_eq!(instance.run(&["health"]).await, (Some(0), String::new()));
        instance.suspend();
        let (code, said) = instance.run(&["health", "--timeout-ms", "200"]).await;
        assert!(code == Some(1) && said.lines().count() == 1 && said.contains("no answer"), "{said}");
        instance.signal(Signal::SIGCONT);
        // While it shuts down it is not ready, though it serves.
        instance.signal(Signal::SIGTERM);
        let draining = async || {
            let (code, said) = instance.run(&["health"]).await;
            assert!(code == Some(1) || said.is_empty(), "{code:?}: {said}");
            said.contains("answered 503")
        };
        eventually("it says that it is not ready", Duration::from_secs(2), draining).await;
        let instance = &mut shop.instances[0];
        assert_eq!(instance.stop().await, Some(0));
        let (code, said) = instance.run(&["health"]).await;
        assert!(code == Some(1) && said.lines().count() == 1 && said.contains("no answer"), "{said}");
    });
}
