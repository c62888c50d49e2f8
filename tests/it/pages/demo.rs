//! The demo: a crowd comes and goes, on a developer's machine only.

use onsale::secret::Secret;
use onsale::settings::ServeSettings;
use serde_json::{Value, json};

use crate::admin::OPERATED;
use crate::support::{Browser, PHONE, Socket, TestApp, block_on};

/// As `onsale dev` has it, and where it serves.
pub(super) async fn demo(app: &TestApp) -> (TestApp, Socket) {
    let mut settings: ServeSettings = app.settings.clone();
    settings.service.demo = true;
    settings.service.demo_operator = Secret::new(OPERATED[1].as_bytes().to_vec());
    let demo = TestApp::from_settings(settings).await;
    demo.start_jobs().await;
    let socket = demo.serve().await;
    demo.app.demo.as_ref().unwrap().opens_at(socket.address());
    (demo, socket)
}

#[test]
fn a_crowd_comes_and_buys_and_is_sent_home_and_both_sides_see_it() {
    block_on(async {
        let base = TestApp::without_jobs(&OPERATED).await;
        let (app, socket) = demo(&base).await;
        let browser = Browser::open(&socket, PHONE).await;
        browser.goto("/demo").await;
        browser.sees("#standing", "Nobody has come yet").await;
        browser.assert_accessible().await;
        let [fans, rate] = [browser.find("#fans").await, browser.find("#rate").await];
        for (field, number) in [(&fans, "1500"), (&rate, "40")] {
            field.clear().await.unwrap();
            field.send_keys(number).await.unwrap();
        }
        browser.click("#start").await;
        let sold = async || app.number("SELECT count(*) FROM payment_history").await;
        browser.until("somebody buys", async || sold().await > 0).await;
        browser.until("the page says so", async || browser.text("[data-figure=sold]").await != "0").await;
        let again = app.call("POST", "/demo/crowd", &[], json!({ "fans": 1, "perSecond": 1 })).await;
        again.assert_error(400, "INVALID_REQUEST");

        browser.click("#operator").await;
        browser.sees(".chip[data-queue=demo]", "demo").await;
        assert_eq!(browser.place().await, "/console", "nothing was typed");
        browser.client.back().await.unwrap();
        browser.click("#stop").await;
        browser.sees("#standing", "The sale is over").await;
        browser.sees("#standing", "have left, with a ticket or without").await;
        // Who was sent home while they waited have left, too, and are none of those who were let in.
        let facts = "return ['admitted', 'through'].map((name) =>
            Number(document.querySelector(`[data-fact=${name}]`).textContent.replaceAll(',', '')))";
        let (admitted, through): (u64, u64) = serde_json::from_value(browser.run(facts).await).unwrap();
        let ended = app.call("GET", "/demo/crowd", &[], Value::Null).await.data()["ended"].as_u64().unwrap();
        assert!(through <= admitted && through < ended, "{through} of {admitted} have left, {ended} in all");
        let fan = browser.run("return document.getElementById('fan').getAttribute('href')").await;
        browser.goto(fan.as_str().unwrap()).await;
        browser.sees("h1", "The Big Night").await;
        app.audit().await;
        browser.close().await;
    });
}

#[test]
fn a_crowd_has_bounds_and_goes_where_there_is_something_to_sell() {
    block_on(async {
        let base = TestApp::without_jobs(&OPERATED).await;
        let (app, _socket) = demo(&base).await;
        let send = async |body: Value| app.call("POST", "/demo/crowd", &[], body).await;
        for body in [
            json!({ "fans": 5001, "perSecond": 1 }),
            json!({ "fans": 0, "perSecond": 1 }),
            json!({ "fans": 1, "perSecond": 501 }),
            json!({ "fans": 1, "perSecond": 0 }),
        ] {
            send(body).await.assert_error(400, "INVALID_REQUEST");
        }
        send(json!({ "concertId": 99, "fans": 1, "perSecond": 1 })).await.assert_error(404, "CONCERT_NOT_FOUND");
        assert_eq!(app.call("DELETE", "/demo/crowd", &[], Value::Null).await.data(), &Value::Null);
        let there = send(json!({ "concertId": 1, "fans": 3, "perSecond": 500 })).await.data().clone();
        assert_eq!((&there["concertId"], &there["fans"], &there["isThere"]), (&json!(1), &json!(3), &json!(true)));
        let home = app.call("DELETE", "/demo/crowd", &[], Value::Null).await;
        assert_eq!(home.data()["isThere"], false);
    });
}

#[test]
fn without_the_demo_there_is_none_and_only_this_machine_is_told_the_token() {
    block_on(async {
        let base = TestApp::without_jobs(&OPERATED).await;
        for path in ["/demo", "/demo/crowd", "/demo/operator"] {
            assert_eq!(base.call("GET", path, &[], Value::Null).await.status, 404, "{path}");
        }
        let (app, _socket) = demo(&base).await;
        for (host, told) in [
            ("127.0.0.1:8080", json!(OPERATED[1])),
            ("localhost", json!(OPERATED[1])),
            ("onsale.example:8080", Value::Null),
            ("10.0.0.1", Value::Null),
        ] {
            let answer = app.call("GET", "/demo/operator", &[("host", host)], Value::Null).await;
            assert_eq!(answer.data()["token"], told, "{host}");
        }
        let mut outside = base.settings.clone();
        outside.service.demo = true;
        outside.service.demo_operator = Secret::new(OPERATED[1].as_bytes().to_vec());
        outside.service.listen = "0.0.0.0:8080".parse().unwrap();
        let outside = TestApp::from_settings(outside).await;
        let answer = outside.call("GET", "/demo/operator", &[("host", "localhost")], Value::Null).await;
        assert_eq!(answer.data()["token"], Value::Null, "others can ask it");
    });
}
