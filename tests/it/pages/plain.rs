//! The waiting room without scripts: a form, a cookie, a page that asks again.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::hall::Hall;
use crate::support::{Browser, Look, PHONE, block_on, eventually};

const WITHOUT_SCRIPTS: Look = Look { scripts: false, ..PHONE };

#[test]
fn a_place_is_shown_and_moves_by_itself() {
    block_on(async {
        let hall = Hall::open(json!({"maxActive": 1})).await;
        let others = hall.enter_all(101..107).await;
        let browser = hall.browser(WITHOUT_SCRIPTS).await;
        browser.sees("h1", "Winter <b>Strings</b>").await;
        browser.sees(".dates", "Wednesday, December 24, 2031").await;
        browser.click("#enter").await;
        browser.sees(".figure", "6").await;
        assert_eq!(browser.place().await, hall.page);
        browser.sees("#room", "5 people are ahead of you").await;
        browser.sees("#room", "refreshes itself").await;
        for gone in &others[1..5] {
            hall.app.leave(gone).await.data();
        }
        browser.sees(".figure", "2").await;
        hall.app.leave(&others[0]).await.data();
        hall.app.leave(&others[5]).await.data();
        browser.sees("#room h2", "It is your turn").await;
        browser.sees("#room", "needs JavaScript").await;
        browser.close().await;
    });
}

#[test]
fn with_scripts_again_the_place_is_the_same() {
    block_on(async {
        let hall = Hall::open(json!({"maxActive": 1})).await;
        hall.enter_all(101..107).await;
        let browser = hall.browser(Look { language: "ko", ..WITHOUT_SCRIPTS }).await;
        browser.click("#enter").await;
        browser.sees("#room", "앞에 5명이 있습니다").await;
        browser.look(PHONE).await;
        browser.client.refresh().await.unwrap();
        browser.sees("[data-part=place]", "6").await;
        browser.close().await;
    });
}

#[test]
fn whatever_can_be_the_matter_is_said() {
    block_on(async {
        let hall = Hall::open(json!({"maxActive": 1, "opensAt": "2031-12-01T20:00:00+09:00"})).await;
        let browser = hall.browser(Look { language: "ko", ..WITHOUT_SCRIPTS }).await;
        browser.sees("#room", "2031년 12월 1일, 20:00").await;
        browser.click("#enter").await;
        browser.sees("#room h2", "추첨에 참여하셨습니다").await;
        hall.set(json!({"opensAt": null, "paused": true})).await;
        browser.sees("#room", "지금은 아무도 들어가지 않습니다").await;
        hall.app.operate("POST", "/queues/night/drain", Value::Null).await.data();
        let other = Browser::open(&hall.socket, WITHOUT_SCRIPTS).await;
        other.goto(&hall.page).await;
        other.sees("#room h2", "The queue is closing").await;
        other.close().await;
        browser.close().await;
    });
}

#[test]
fn the_programme_says_how_far_each_sale_is() {
    block_on(async {
        let hall = Hall::with_seats(json!({"opensAt": "2031-12-01T20:00:00+09:00"}), 2).await;
        let reads = async |language: &str| {
            let answer = hall.app.call("GET", "/", &[("accept-language", language)], Value::Null).await;
            let page = std::str::from_utf8(&answer.bytes).unwrap().to_owned();
            let (_, rest) = page.split_once(&format!("href=\"{}\"", hall.page)).unwrap();
            rest.split_once("</a>").unwrap().0.to_owned()
        };
        let says = async |language: &str, text: &str| {
            eventually(text, Duration::from_secs(30), async || reads(language).await.contains(text)).await;
        };
        says("en", "Sales open on <time datetime=\"2031-12-01T11:00:00.000Z\">Monday, December 1, 2031, 20:00 (KST)")
            .await;
        says("ko", "2031년 12월 1일, 20:00 (KST)</time> 판매 시작").await;
        let browser = Browser::open(&hall.socket, PHONE).await;
        browser.goto("/").await;
        browser.sees(&format!("[href='{}'] .sale", hall.page), "Sales open on December 1, 2031 at").await;
        browser.assert_accessible().await;
        browser.close().await;
        for (settings, text) in [
            (json!({"opensAt": null}), "On sale now"),
            (json!({"paused": true}), "entry is paused"),
            (json!({"draining": true}), "The queue is closing"),
            (json!({"paused": false, "draining": false}), "On sale now"),
        ] {
            hall.set(settings).await;
            says("en", text).await;
        }
        hall.sell_all().await;
        says("en", "Sold out").await;
        says("ko", "매진").await;
    });
}

#[test]
fn a_concert_whose_dates_are_to_come_says_so() {
    block_on(async {
        let hall = Hall::open(json!({})).await;
        let made = hall.app.operate("POST", "/concerts", json!({"title": "Some <i>Day</i>"})).await.data().clone();
        let page = format!("/concerts/{}", made["concertId"]);
        let browser = hall.browser(WITHOUT_SCRIPTS).await;
        let listed = async || {
            browser.goto("/").await;
            browser.has(&format!("[href='{page}']")).await
        };
        browser.until("it is in the programme", listed).await;
        browser.sees(&format!("[href='{page}']"), "The dates are not announced yet").await;
        browser.goto(&page).await;
        browser.sees("h1", "Some <i>Day</i>").await;
        browser.sees("main", "The dates are not announced yet").await;
        browser.look(PHONE).await;
        browser.client.refresh().await.unwrap();
        browser.sees("main", "Look in again later").await;
        browser.assert_accessible().await;
        browser.close().await;
    });
}

#[test]
fn everybody_can_use_every_page_without_scripts() {
    block_on(async {
        let hall = Hall::with_seats(json!({"maxActive": 2, "opensAt": "2031-12-01T20:00:00+09:00"}), 2).await;
        for language in ["en", "ko"] {
            let browser = Browser::open(&hall.socket, Look { language, ..WITHOUT_SCRIPTS }).await;
            // What was shown without scripts is looked at with one.
            let usable = async || {
                for dark in [true, false] {
                    browser.look(Look { dark, ..PHONE }).await;
                    // Asking again is all that such a page can do, and it says so.
                    browser.run("document.querySelector('meta[http-equiv=refresh]')?.remove()").await;
                    browser.assert_accessible().await;
                    assert!(!browser.is_too_wide().await, "{} in {language}", browser.place().await);
                }
                browser.look(WITHOUT_SCRIPTS).await;
            };
            for path in ["/", "/me", "/console", "/demo", "/concerts/77", &hall.page] {
                browser.goto(path).await;
                browser.find("main h1, main noscript").await;
                usable().await;
            }
            let opens_at = (Utc::now() + TimeDelta::hours(71)).to_rfc3339();
            hall.set(json!({"opensAt": opens_at})).await;
            browser.goto(&hall.page).await;
            browser.sees("#room h2", if language == "ko" { "3일 뒤" } else { "in 3 days" }).await;
            browser.click("#enter").await;
            browser.find("#room .card:not(:has(#enter))").await;
            usable().await;
            hall.set(json!({"opensAt": null, "paused": true})).await;
            browser.goto(&hall.page).await;
            browser.find(".figure").await;
            usable().await;
            hall.set(json!({"paused": false})).await;
            browser.find("#room .card:not(:has(.figure))").await;
            usable().await;
            let complaints = browser.complaints().await;
            assert!(complaints.iter().all(|said| said.contains("/concerts/77")), "{complaints:?}");
            browser.close().await;
        }
    });
}

#[test]
fn a_place_is_taken_by_the_shops_own_form_only_and_its_token_stays_in_a_cookie() {
    block_on(async {
        let hall = Hall::open(json!({})).await;
        let enter = format!("{}/enter", hall.page);
        let forged = hall.app.call("POST", &enter, &[("sec-fetch-site", "cross-site")], Value::Null).await;
        forged.assert_error(400, "INVALID_REQUEST");

        let headers = [("userId", "7"), ("sec-fetch-site", "same-origin"), ("x-forwarded-proto", "https")];
        let answer = hall.app.call("POST", &enter, &headers, Value::Null).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, &*hall.page));
        let cookie = answer.header("set-cookie");
        for part in ["onsale_room_night=", "; Path=/concerts", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        // The gateway's user has the place that it has by a call.
        let (_, token) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        assert_eq!(token, hall.enter(7).await);
        let page = hall.app.call("GET", &hall.page, &[("cookie", cookie)], Value::Null).await;
        let text = std::str::from_utf8(&page.bytes).unwrap();
        assert!(text.contains("It is your turn") && !text.contains(token), "{text}");
        let altered = hall.app.call("GET", &hall.page, &[("cookie", "onsale_room_night=x")], Value::Null).await;
        assert!(std::str::from_utf8(&altered.bytes).unwrap().contains("Tickets are on sale"));
        assert_eq!(hall.app.call("POST", "/concerts/77/enter", &[], Value::Null).await.status, 404);
    });
}

#[test]
fn who_gets_no_place_is_told_on_a_page() {
    block_on(async {
        let hall = Hall::open(json!({"draining": true})).await;
        let enter = format!("{}/enter", hall.page);
        let ask = async |accept: &str| {
            let headers = [("userId", "7"), ("accept", accept), ("accept-language", "ko")];
            hall.app.call("POST", &enter, &headers, Value::Null).await
        };
        ask("*/*").await.assert_error(503, "UNAVAILABLE");
        let page = ask("text/html,application/xhtml+xml").await;
        assert_eq!(page.status, 503);
        assert!(!page.header("retry-after").is_empty());
        let text = std::str::from_utf8(&page.bytes).unwrap();
        assert!(
            text.contains("아직 순서를 받지 못했습니다") && text.contains(&format!("href=\"{}\"", hall.page)),
            "{text}"
        );
    });
}

#[test]
fn before_an_opening_that_is_far_off_the_page_seldom_asks_again() {
    block_on(async {
        let hall = Hall::open(json!({"opensAt": "2031-12-01T20:00:00+09:00"})).await;
        let cookie = format!("onsale_room_night={}", hall.enter(7).await);
        let page = hall.app.call("GET", &hall.page, &[("cookie", &cookie)], Value::Null).await;
        let text = std::str::from_utf8(&page.bytes).unwrap();
        assert!(text.contains("http-equiv=\"refresh\" content=\"10\""), "{text}");
    });
}
