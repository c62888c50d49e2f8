//! Whatever can be the matter with a queue is said, in both languages, and can be seen and heard by everybody.

use chrono::{Duration, Utc};
use serde_json::json;

use super::hall::Hall;
use crate::support::{Browser, Look, PHONE, block_on};

const KOREAN: Look = Look { language: "ko", ..PHONE };

/// Whether everybody can use the page as it is, in light and in dark.
async fn assert_accessible(browser: &Browser) {
    for dark in [true, false] {
        browser.look(Look { dark, ..PHONE }).await;
        browser.assert_accessible().await;
    }
}

#[test]
fn before_the_opening_it_counts_down_and_afterwards_the_draw_can_be_checked() {
    block_on(async {
        let opens_at = Utc::now() + Duration::seconds(600);
        let hall = Hall::open(json!({"maxActive": 1, "opensAt": opens_at.to_rfc3339()})).await;
        hall.enter_all(101..120).await;
        let browser = hall.browser(PHONE).await;
        browser.sees("#room", "Coming earlier gives no advantage").await;
        assert_accessible(&browser).await;
        browser.click("#enter").await;
        browser.sees("#room", "You take part in the draw with number 20").await;
        browser.sees("[data-part=countdown]", "9:").await;
        browser.click("details summary").await;
        browser.sees(".proof", "Promised before the opening").await;
        assert_accessible(&browser).await;

        // It is opened now, and nobody is let in yet.
        hall.set(json!({"opensAt": (Utc::now() + Duration::seconds(2)).to_rfc3339(), "paused": true})).await;
        browser.client.refresh().await.unwrap();
        browser.find("[data-state=paused]").await;
        browser.click("details summary").await;
        browser.sees(".proof", "Your number 20 of 20 was drawn to place").await;
        browser.click(".proof button").await;
        browser.sees(".proof [role=status]", "It holds").await;
        assert_accessible(&browser).await;

        // What was opened stays open.
        hall.set(json!({"paused": false, "maxActive": 100})).await;
        browser.find("[data-state=active]").await;
        browser.sees(".proof", "Your number 20 of 20 was drawn to place").await;
        browser.close().await;
    });
}

#[test]
fn a_draw_that_does_not_hold_is_found_out() {
    block_on(async {
        let opens_at = Utc::now() + Duration::seconds(600);
        let hall = Hall::open(json!({"maxActive": 1, "opensAt": opens_at.to_rfc3339()})).await;
        hall.enter_all(101..105).await;
        let browser = hall.browser(PHONE).await;
        browser.click("#enter").await;
        browser.find("[data-state=early]").await;
        hall.set(json!({"opensAt": (Utc::now() + Duration::seconds(2)).to_rfc3339()})).await;
        browser.client.refresh().await.unwrap();
        browser.find("[data-state=waiting], [data-state=active]").await;
        // Another seed was promised to this browser.
        let facts = hall.app.call("GET", "/api/v1/queues/draws/night", &[], json!(null)).await;
        let promised = format!("{} {}", facts.data()["opensAt"].as_str().unwrap(), "0".repeat(64));
        browser.run(&format!("localStorage.setItem('onsale.promise.night', '{promised}')")).await;
        browser.click("details summary").await;
        browser.click(".proof button").await;
        browser.sees(".proof [role=status]", "It does not hold").await;
        browser.close().await;
    });
}

#[test]
fn a_pause_a_sell_out_and_a_closing_are_said() {
    block_on(async {
        let hall = Hall::with_seats(json!({"paused": true}), 2).await;
        let browser = hall.browser(PHONE).await;
        browser.click("#enter").await;
        browser.sees("#room h2", "Entry is paused").await;
        assert_accessible(&browser).await;
        browser.click("button.quiet:not(#corner *)").await;
        browser.sees("#room", "You can take a place already").await;
        assert_accessible(&browser).await;

        hall.set(json!({"paused": false})).await;
        hall.sell_all().await;
        browser.client.refresh().await.unwrap();
        browser.click("#enter").await;
        browser.sees("#room h2", "Everything is sold").await;
        browser.sees("#room", "You keep your place").await;
        assert_accessible(&browser).await;

        hall.app.operate("POST", "/queues/night/drain", json!(null)).await.data();
        let korean = hall.browser(KOREAN).await;
        korean.sees("#room h2", "대기열이 닫히고 있습니다").await;
        assert_accessible(&korean).await;
        korean.close().await;
        browser.close().await;
    });
}

#[test]
fn a_place_that_has_lapsed_can_be_taken_again() {
    block_on(async {
        let hall = Hall::open(json!({"maxActive": 1, "activeTtlSeconds": 6})).await;
        let browser = hall.browser(KOREAN).await;
        browser.sees("#room h2", "예매가 진행 중입니다").await;
        browser.click("#enter").await;
        browser.sees("#room h2", "내 차례입니다").await;
        assert_accessible(&browser).await;
        browser.sees("#room h2", "순서가 만료되었습니다").await;
        assert_accessible(&browser).await;
        hall.set(json!({"activeTtlSeconds": 300})).await;
        browser.click("#enter").await;
        browser.sees("#room h2", "내 차례입니다").await;

        // Paid, by another way.
        let token = browser.run("return localStorage.getItem('onsale.token.night')").await;
        let token = token.as_str().unwrap();
        let held = hall.app.hold_best(token, hall.schedule, 1).await.held_many();
        let visitor = browser.run("return localStorage.getItem('onsale.visitor')").await;
        hall.app.charge(visitor.as_str().unwrap().parse().unwrap(), 50_000).await.data();
        hall.app.pay(token, held[0].1).await.payment();
        browser.sees("#room h2", "예매가 완료되었습니다").await;
        assert_accessible(&browser).await;
        browser.close().await;
    });
}
