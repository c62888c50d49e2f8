//! The console: what operators see is so, and what they do is done.

use serde_json::{Value, json};

use super::hall::Hall;
use super::hall::PATIENT;
use crate::admin::OPERATED;
use crate::support::{Browser, Look, PHONE, TestApp, block_on};

/// Whoever waits stays, is let in slowly, and finds seats enough.
const CROWDED: [&str; 8] =
    ["--admit-per-second", "1", "--max-active", "10000", "--stock-factor", "0", "--waiting-ttl-seconds", "86400"];

const DESK: Look = Look { width: 1440, height: 900, ..PHONE };

fn key() -> &'static str {
    OPERATED[1]
}

/// At the console, signed in by typing.
pub(super) async fn signed_in(browser: &Browser) {
    browser.goto("/console").await;
    browser.find("#operator").await.send_keys(key()).await.unwrap();
    browser.click(".sign-in .main").await;
    browser.find("[data-figure=waiting]").await;
}

/// A figure as it is shown.
async fn figure(browser: &Browser, name: &str) -> Option<f64> {
    browser.text(&format!("[data-figure={name}]")).await.replace(',', "").parse().ok()
}

/// Types into a field, in place of what it has.
async fn fill(browser: &Browser, css: &str, text: &str) {
    browser.find(css).await;
    // As if it were typed: a date is typed differently in each language.
    let script = format!(
        "const field = document.querySelector({}); field.value = {};
         field.dispatchEvent(new Event('input', {{ bubbles: true }}))",
        json!(css),
        json!(text)
    );
    browser.run(&script).await;
}

#[test]
fn a_rate_that_is_changed_bends_the_curve() {
    block_on(async {
        let app = TestApp::with(&[&CROWDED[..], &OPERATED, &PATIENT].concat()).await;
        for user in 1..=300 {
            app.enter(user).await;
        }
        let socket = app.serve().await;
        let browser = Browser::open(&socket, DESK).await;
        signed_in(&browser).await;
        let falls_slowly = async || {
            figure(&browser, "admitted").await.is_some_and(|rate| (0.5..3.0).contains(&rate))
                && figure(&browser, "waiting").await.is_some_and(|waiting| (100.0..300.0).contains(&waiting))
        };
        browser.until("one a second is let in", falls_slowly).await;

        fill(&browser, "#admitPerSecond", "40").await;
        browser.sees("#means-admitPerSecond", "At 40 a second the 2").await;
        browser.click("#save").await;
        browser.sees("#said", "Saved").await;
        // What is said of the settings is of the moment that is shown.
        let agree = "const [shown, said] = ['[data-fact=active]', '#means-maxActive'].map((css) =>
                         document.querySelector(css).textContent.match(/[\\d,]+/)[0]);
                     return shown === said ? '' : `${shown} are in, and ${said} are said to be`";
        for _ in 0..50 {
            assert_eq!(browser.run(agree).await, "");
        }
        let falls_fast = async || figure(&browser, "admitted").await.is_some_and(|rate| rate > 6.0);
        browser.until("many a second are let in", falls_fast).await;
        browser.until("nobody waits", async || figure(&browser, "waiting").await == Some(0.0)).await;
        // The steepest fall of the curve, in people a second, is far from the one a second that it began with.
        let steepest = browser
            .run(
                "const points = document.querySelector('.chart.waiting .line').getAttribute('d').match(/[\\d.]+ [\\d.]+/g)
                     .map((point) => point.split(' ').map(Number));
                 const falls = points.slice(1).map(([x, y], at) => (y - points[at][1]) / Math.max(x - points[at][0], 0.1));
                 falls.sort((one, other) => other - one);
                 return falls[0] / falls.filter((fall) => fall > 0).at(-1)",
            )
            .await;
        assert!(steepest.as_f64().is_some_and(|times| times > 4.0), "{steepest}");
        assert_eq!(app.default_queue().settings.admit_per_second, 40);
        browser.close().await;
    });
}

#[test]
fn a_queue_is_paused_and_resumed_and_drained_and_the_log_says_so() {
    block_on(async {
        let app = TestApp::with(&[&OPERATED[..], &PATIENT].concat()).await;
        let socket = app.serve().await;
        let browser = Browser::open(&socket, PHONE).await;
        signed_in(&browser).await;
        // No is no.
        browser.click("#pause").await;
        browser.sees("dialog", "Nobody is let in until you resume").await;
        browser.press("\u{e00c}").await;
        browser.until("the question is gone", async || !browser.has("dialog").await).await;
        assert_eq!(app.log_rows().await, 0);

        browser.click("#pause").await;
        browser.click("dialog [value=yes]").await;
        // Said when it was answered; the state may be read from the store before.
        browser.sees("#said", "Paused.").await;
        browser.sees("#state", "paused").await;
        let token = app.enter(1).await;
        assert_eq!(app.rank(&token).await.data()["status"], "WAITING");
        browser.click("#resume").await;
        browser.click("dialog [value=yes]").await;
        browser.sees("#state", "open").await;
        browser.until("who waited is in", async || app.rank(&token).await.data()["status"] == "ACTIVE").await;
        browser.click("#drain").await;
        browser.click("dialog [value=yes]").await;
        browser.sees("#said", "Draining.").await;
        browser.sees("#state", "draining").await;
        app.call("POST", "/api/v1/queues/token", &[("userId", "2")], Value::Null)
            .await
            .assert_error(503, "UNAVAILABLE");

        app.operate("PATCH", "/queues/default", json!({"admitPerSecond": 1234, "opensAt": null})).await.data();
        browser.click(".rooms [href='#log']").await;
        browser.find("[data-action=DRAIN_QUEUE]").await;
        browser.sees("[data-action=SET_QUEUE]", "Let in a second: 1,234").await;
        for action in ["RESUME_QUEUE", "PAUSE_QUEUE"] {
            assert!(browser.has(&format!("[data-action={action}]")).await, "{action}");
        }
        browser.close().await;
    });
}

#[test]
fn a_concert_that_was_made_with_the_form_is_sold_from() {
    block_on(async {
        let app = TestApp::with(&[&OPERATED[..], &PATIENT].concat()).await;
        let socket = app.serve().await;
        let browser = Browser::open(&socket, DESK).await;
        signed_in(&browser).await;
        browser.click(".rooms [href='#halls']").await;
        fill(&browser, "#title", "A Quiet Evening").await;
        fill(&browser, "#queue", "quiet").await;
        fill(&browser, "#day", &app.day(9)).await;
        fill(&browser, "#rows-1", "A-C").await;
        fill(&browser, "#seats-1", "4").await;
        browser.click("fieldset:nth-of-type(2) button").await;
        browser.sees("#worth", "12 seats, ₩1,800,000").await;
        browser.click("#make").await;
        let made = browser.find("[data-made]").await.attr("data-made").await.unwrap().unwrap();
        browser.sees(&format!("[data-concert='{made}']"), "0 of 12 sold").await;

        let entered = app
            .ask("POST", "/api/v1/queues/token")
            .header("userId", "7")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("concertId={made}"))
            .send()
            .await;
        let token = entered.data()["token"].as_str().unwrap().to_owned();
        let dates = app.get(&format!("/api/v1/concerts/{made}/schedules"), &token).await.data().clone();
        let schedule = dates["schedules"][0]["concertScheduleId"].as_i64().unwrap();
        app.charge(7, 150_000).await.data();
        let held = app.hold_best(&token, schedule, 1).await.held_many();
        app.pay(&token, held[0].1).await.payment();
        browser.sees(&format!("[data-concert='{made}']"), "1 of 12 sold").await;

        // What the server does not take is told in its words.
        fill(&browser, "#title", " ").await;
        browser.click("#make").await;
        browser.sees("#made", "title is a text").await;
        let complaints = browser.complaints().await;
        assert!(complaints.iter().all(|said| said.contains("400")), "{complaints:?}");
        app.audit().await;
        browser.close().await;
    });
}

#[test]
fn no_figure_is_old_without_saying_so() {
    block_on(async {
        let app = TestApp::with(&[&OPERATED[..], &PATIENT].concat()).await;
        let socket = app.serve().await;
        let browser = Browser::open(&socket, PHONE).await;
        signed_in(&browser).await;
        let is_old = "document.querySelector('.age').classList.contains('bad')";
        let consistent = format!(
            "const old = {is_old}; const [age, grey] = [Number(document.querySelector('.age').dataset.millis),
             document.querySelector('.figures').classList.contains('stale')];
             return old === grey && old === age > 2000"
        );
        let fresh = async || {
            browser.run(&format!("return !{is_old} && document.querySelector('.age').dataset.millis !== ''")).await
                == true
        };
        browser.until("the figures are fresh", fresh).await;
        browser.cut_off(true).await;
        browser.sees(".age.bad", "Old: nothing new for").await;
        assert_eq!(browser.run(&consistent).await, true);
        assert!(browser.has(".stale").await);
        browser.cut_off(false).await;
        browser.until("the figures are fresh again", fresh).await;
        assert_eq!(browser.run(&consistent).await, true);
        let complaints = browser.complaints().await;
        assert!(complaints.iter().all(|said| said.contains("ERR_INTERNET_DISCONNECTED")), "{complaints:?}");
        browser.close().await;
    });
}

#[test]
fn who_is_no_operator_is_told_and_who_is_stays_one_for_this_tab() {
    block_on(async {
        let app = TestApp::with(&[&OPERATED[..], &PATIENT].concat()).await;
        let socket = app.serve().await;
        let browser = Browser::open(&socket, Look { language: "ko", ..PHONE }).await;
        browser.goto("/console").await;
        browser.assert_accessible().await;
        let token = browser.find("#operator").await;
        token.send_keys("somebody").await.unwrap();
        browser.click(".sign-in .main").await;
        browser.sees("#operator-said", "이 토큰을 가진 운영자가 없습니다").await;
        let complaints = browser.complaints().await;
        assert!(!complaints.is_empty() && complaints.iter().all(|said| said.contains("401")), "{complaints:?}");
        assert_eq!(browser.run("return sessionStorage.length").await, 0);

        token.clear().await.unwrap();
        token.send_keys(key()).await.unwrap();
        browser.click(".sign-in .main").await;
        browser.sees("[data-figure=waiting]", "0").await;
        assert!(!browser.text("body").await.contains("이 토큰을 가진"), "what is over is not said any more");
        // On a busy machine it may have been said since that the figures are old.
        let said = browser.run("return document.getElementById('urgent').textContent").await;
        assert!(!said.as_str().unwrap().contains("이 토큰을 가진"), "nor to screen readers: {said}");
        assert_eq!(browser.place().await, "/console", "it is in no address");
        browser.client.refresh().await.unwrap();
        browser.sees("[data-figure=waiting]", "0").await;
        assert_eq!(browser.run("return JSON.stringify(localStorage).includes('0011')").await, false);
        browser.run("document.querySelector('.console > .row > button').click()").await;
        browser.find("#operator").await;
        assert_eq!(browser.run("return sessionStorage.getItem('onsale.operator')").await, Value::Null);
        browser.close().await;
    });
}

#[test]
fn every_room_is_accessible_on_a_phone_in_light_and_dark() {
    block_on(async {
        let app = TestApp::with(&[&OPERATED[..], &PATIENT].concat()).await;
        let socket = app.serve().await;
        let browser = Browser::open(&socket, PHONE).await;
        signed_in(&browser).await;
        for dark in [false, true] {
            browser.look(Look { dark, ..PHONE }).await;
            for (room, there) in [("live", "[data-fact=active]"), ("halls", "[data-concert]"), ("log", ".room .card")] {
                browser.click(&format!(".rooms [href='#{room}']")).await;
                browser.find(there).await;
                browser.assert_accessible().await;
                for width in [768, 1440, 360] {
                    browser.look(Look { width, dark, ..PHONE }).await;
                    assert!(!browser.is_too_wide().await, "{room} at {width} px");
                    // Curves are seen together where there is room for it.
                    let beside = "return new Set([...document.querySelectorAll('.chart')].map(({ offsetLeft }) => offsetLeft)).size";
                    let columns = if width > 700 { 2 } else { 1 };
                    assert!(room != "live" || browser.run(beside).await == columns, "at {width} px");
                }
            }
        }
        browser.close().await;
    });
}

#[test]
fn operators_see_that_a_queue_has_nothing_left_to_sell() {
    block_on(async {
        let hall = Hall::with_seats(json!({}), 1).await;
        let browser = Browser::open(&hall.socket, DESK).await;
        signed_in(&browser).await;
        browser.click(".chip[data-queue=night]").await;
        browser.sees("#state", "open").await;
        hall.sell_all().await;
        browser.sees("#state", "sold out").await;
        hall.enter(7).await;
        browser.sees("#means-admitPerSecond", "Everything is sold").await;
        browser.close().await;
    });
}
