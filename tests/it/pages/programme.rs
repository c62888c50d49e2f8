//! The programme: of each concert it says whether its tickets can be had, and when; and it costs nothing.

use chrono::{Duration, Utc};
use serde_json::{Value, json};

use super::hall::Hall;
use crate::support::{Browser, Look, OwnServers, PHONE, TestApp, block_on, serve_settings};

const WITHOUT_SCRIPTS: Look = Look { scripts: false, ..PHONE };

/// What is said of the hall's concert.
fn card(hall: &Hall) -> String {
    format!(".cards a[href='{}'] .sale", hall.page)
}

/// Comes again until a concert's card says this.
async fn says(browser: &Browser, card: &str, text: &str) {
    let is_said = async || {
        browser.goto("/").await;
        browser.text(card).await.contains(text)
    };
    browser.until(format!("{card} says {text}"), is_said).await;
}

#[test]
fn an_opening_that_is_near_is_also_said_from_now_with_scripts_and_without() {
    block_on(async {
        let hall = Hall::open(json!({"opensAt": "2031-12-01T20:00:00+09:00"})).await;
        let card = card(&hall);
        let browser = Browser::open(&hall.socket, PHONE).await;
        browser.tell("Emulation.setTimezoneOverride", json!({"timezoneId": "America/New_York"})).await;
        says(&browser, &card, "Sales open on December 1, 2031 at 6:00 AM EST").await;
        assert!(!browser.text(&card).await.contains(" in "), "it is years away");
        let plain = Browser::open(&hall.socket, Look { language: "ko", ..WITHOUT_SCRIPTS }).await;
        for (hours, english, korean) in [(71, "in 3 days", "3일 뒤"), (30, "in 30 hours", "30시간 뒤")] {
            let opens_at = Utc::now() + Duration::hours(hours) + Duration::minutes(20);
            hall.set(json!({"opensAt": opens_at.to_rfc3339()})).await;
            says(&browser, &card, english).await;
            says(&plain, &card, korean).await;
        }
        for dark in [true, false] {
            browser.look(Look { dark, ..PHONE }).await;
            browser.assert_accessible().await;
        }
        // Who comes now is given no place: there is nothing to come for.
        hall.app.operate("POST", "/queues/night/drain", Value::Null).await.data();
        says(&plain, &card, "대기열 마감 중").await;
        plain.close().await;
        browser.close().await;
    });
}

#[test]
fn whoever_has_the_programme_open_sees_a_sale_open() {
    block_on(async {
        let hall = Hall::open(json!({"opensAt": "2031-12-01T20:00:00+09:00"})).await;
        let browser = Browser::open(&hall.socket, PHONE).await;
        let opens_at = Utc::now() + Duration::seconds(15);
        hall.set(json!({"opensAt": opens_at.to_rfc3339()})).await;
        says(&browser, &card(&hall), "second").await;
        browser.run("window.isTheSame = true").await;
        browser.sees(&card(&hall), "On sale now").await;
        assert_eq!(browser.run("return window.isTheSame").await, true, "nobody has loaded it again");
        browser.close().await;
    });
}

#[test]
fn of_concerts_that_share_a_queue_the_one_that_is_sold_out_is_said_to_be() {
    block_on(async {
        let hall = Hall::with_seats(json!({}), 2).await;
        let plan = json!([{ "section": "R", "price": 50_000, "rows": ["A"], "seatsPerRow": 2 }]);
        let concert = json!({
            "title": "Spring Strings",
            "queue": "night",
            "schedules": [{ "date": "2031-12-26", "sections": plan }],
        });
        let other = hall.app.operate("POST", "/concerts", concert).await.data()["concertId"].clone();
        hall.sell_all().await;
        let browser = Browser::open(&hall.socket, WITHOUT_SCRIPTS).await;
        says(&browser, &card(&hall), "Sold out").await;
        browser.sees(&format!(".cards a[href='/concerts/{other}'] .sale"), "On sale now").await;
        browser.close().await;
    });
}

#[test]
fn the_programme_asks_no_store() {
    block_on(async {
        let servers = OwnServers::start().await;
        let (postgres, redis) = (servers.servers.postgres.url(), servers.servers.redis.url());
        // Without jobs, which ask by the clock.
        let app = TestApp::from_settings(serve_settings(&["--database-url", &postgres, "--redis-url", &redis])).await;
        let asked = servers.scripts_run().await;
        let _paused = servers.pause_postgres(&app).await;
        for _ in 0..3 {
            let page = app.call("GET", "/", &[], Value::Null).await;
            let text = std::str::from_utf8(&page.bytes).unwrap();
            assert_eq!((page.status.as_u16(), text.matches("On sale now").count()), (200, 10), "{text}");
        }
        assert_eq!(servers.scripts_run().await, asked);
    });
}
