//! Choosing seats: by map and list, live, against others.

use std::time::Duration;

use serde_json::json;

use super::shop::{WIDE, arrive, at_shop, become_visitor, come_in, press_seat, shop};
use crate::admin::OPERATED;
use crate::support::{Browser, Look, PHONE, block_on};

#[test]
fn the_map_and_the_list_show_what_others_take_and_give_back() {
    block_on(async {
        let (app, socket) = shop(&[]).await;
        let browser = arrive(&socket, WIDE, 1).await;
        browser.find(r#".hall .free[data-seats~="3"]"#).await;
        browser.sees(".legend", "₩200,000").await;
        browser.assert_accessible().await;

        let other = app.enter(900).await;
        let held = app.hold(&other, 1, 3).await.reservation();
        browser.find(r#".hall .held[data-seats~="3"]"#).await;
        browser.find(r#".seat input[value="3"]:disabled"#).await;
        browser.sees(".seat:has(:disabled)", "being bought").await;
        browser.sees(".legend", "9 left").await;
        app.give_up(&other, held).await.data();
        browser.find(r#".hall .free[data-seats~="3"]"#).await;
        browser.find(r#".seat input[value="3"]:enabled"#).await;

        // What is ticked in the list is chosen on the map, and the other way round.
        browser.click(r#".seat input[value="3"]"#).await;
        browser.find(r#".hall .mine[data-seats~="3"]"#).await;
        press_seat(&browser, 4).await;
        browser.find(r#".seat input[value="4"]:checked"#).await;
        browser.sees(".summary", "₩400,000").await;
        press_seat(&browser, 3).await;
        browser.find(r#".seat input[value="3"]:not(:checked)"#).await;
        browser.sees(".summary", "₩200,000").await;
        browser.close().await;
    });
}

#[test]
fn two_fight_for_a_seat_and_the_other_is_offered_the_next_best() {
    block_on(async {
        let (app, socket) = shop(&[]).await;
        let (one, other) = tokio::join!(arrive(&socket, PHONE, 1), arrive(&socket, PHONE, 1));
        for browser in [&one, &other] {
            browser.click(r#".seat input[value="5"]"#).await;
            browser.find("#hold").await;
        }
        let press = "document.getElementById('hold').click()";
        tokio::join!(one.run(press), other.run(press));
        let decided = async |browser: &Browser| {
            browser.until("it is decided", async || browser.has("#pay").await || browser.has("#instead").await).await;
            browser.has("#pay").await
        };
        let (first, second) = tokio::join!(decided(&one), decided(&other));
        assert_ne!(first, second, "one seat, one person");
        let (winner, loser) = if first { (one, other) } else { (other, one) };
        winner.sees(".chosen", "seat 5").await;
        loser.sees("#notice", "Nothing was charged").await;
        loser.assert_accessible().await;
        loser.sees("#instead", "₩200,000").await;
        loser.click("#instead").await;
        loser.find("#pay").await;
        loser.sees(".chosen", "R · row A · seat").await;
        app.audit().await;
        winner.close().await;
        // The refusal of the seat is in the console, and nothing else.
        assert!(loser.complaints().await.iter().all(|line| line.contains("409")));
        loser.close().await;
    });
}

#[test]
fn the_best_are_taken_instead_of_what_was_chosen_only_when_one_says_so() {
    block_on(async {
        let (app, socket) = shop(&[]).await;
        let browser = arrive(&socket, PHONE, 1).await;
        browser.click(r#".seat input[value="5"]"#).await;
        browser.find(r#".hall .mine[data-seats~="5"]"#).await;
        browser.click("#best").await;
        browser.sees("#notice", "You have chosen").await;
        browser.assert_accessible().await;
        assert_eq!(app.number("SELECT count(*) FROM reservation_block").await, 0, "nothing is held yet");
        assert!(browser.has(r#".hall .mine[data-seats~="5"]"#).await, "it is still chosen");
        browser.sees("#notice button", "Take the best one instead").await;
        browser.click("#notice button").await;
        browser.find("#pay").await;
        assert!(!browser.text(".chosen").await.contains("seat 5"), "the best are others");
        browser.close().await;
    });
}

#[test]
fn a_chosen_seat_that_goes_to_somebody_else_is_told_before_it_is_asked_for() {
    block_on(async {
        let (app, socket) = shop(&[]).await;
        let browser = arrive(&socket, Look { language: "ko", ..PHONE }, 1).await;
        browser.click(r#".seat input[value="2"]"#).await;
        let other = app.enter(900).await;
        app.hold(&other, 1, 2).await.data();
        browser.sees("#notice", "다른 분이 한발 빨랐습니다").await;
        assert!(!browser.has(".bar").await, "nothing is chosen any more");
        browser.click("#instead").await;
        browser.sees(".chosen", "R구역 A열").await;
        browser.close().await;
    });
}

#[test]
fn the_best_together_are_held_by_one_tap_and_kept_over_a_reload() {
    block_on(async {
        let (app, socket) = shop(&[]).await;
        let browser = arrive(&socket, PHONE, 1).await;
        browser.run("document.getElementById('many').value = '4'").await;
        browser.click("#best").await;
        browser.sees("#charge", "₩800,000").await;
        let side_by_side = "return [...document.querySelectorAll('.chosen li')].map((one) => one.textContent.match(/seat ([0-9]+)/)[1]).join()";
        assert_eq!(browser.run(side_by_side).await, "1,2,3,4");
        browser.assert_accessible().await;
        browser.client.refresh().await.unwrap();
        browser.sees(".chosen", "seat 2\n").await;
        browser.click("#give-back").await;
        browser.find(r#".hall .free[data-seats~="2"]"#).await;
        browser.close().await;
        app.audit().await;
    });
}

#[test]
fn a_hold_that_lapses_is_told_and_one_can_choose_again() {
    block_on(async {
        let (_app, socket) = shop(&["--hold-ttl-seconds", "13"]).await;
        let browser = arrive(&socket, PHONE, 1).await;
        browser.click("#best").await;
        browser.find(".clock.soon").await;
        browser.sees("#urgent", "seconds left to pay").await;
        browser.sees("#notice", "The time to pay was over").await;
        browser.find(r#".hall .free[data-seats~="1"]"#).await;
        browser.close().await;
    });
}

#[test]
fn without_a_stream_the_map_asks() {
    block_on(async {
        let (app, socket) = shop(&["--max-streams", "1"]).await;
        let other = app.enter(900).await;
        // The only stream of seats that there may be.
        let _taken = socket.watch_seats(&other, 2, "").await;
        let browser = arrive(&socket, WIDE, 1).await;
        app.hold(&other, 1, 3).await.data();
        browser.find(r#".hall .held[data-seats~="3"]"#).await;
        // That the stream was refused is in the console.
        assert!(browser.complaints().await.iter().all(|line| line.contains("503")));
        browser.close().await;
    });
}

/// How many seats are drawn in this way.
async fn drawn(browser: &Browser, look: &str) -> i64 {
    let paths = format!("[...document.querySelectorAll('.hall .{look}')]");
    let count = format!("return {paths}.reduce((sum, path) => sum + path.dataset.seats.split(' ').length, 0)");
    browser.run(&count).await.as_i64().unwrap()
}

#[test]
fn ten_thousand_seats_are_drawn_and_five_hundred_changes_arrive() {
    block_on(async {
        let (app, socket) = shop(&[&OPERATED[..], &["--max-holds-per-user", "20"]].concat()).await;
        let section = |name: &str, price: i64| json!({"section": name, "price": price, "rows": (1..=50).map(|row| row.to_string()).collect::<Vec<_>>(), "seatsPerRow": 50});
        let date = app.app.concerts.today().succ_opt().unwrap();
        let sections = [section("A", 200_000), section("B", 150_000), section("C", 120_000), section("D", 80_000)];
        let concert = json!({"title": "The Big One", "schedules": [{"date": date, "sections": sections}]});
        let made = app.operate("POST", "/concerts", concert).await;
        let concert = made.data()["concertId"].as_i64().unwrap();
        let schedule = made.data()["schedules"][0]["concertScheduleId"].as_i64().unwrap();
        app.app.concerts.refresh(&app.app.queues).await.unwrap();

        let browser = at_shop(&socket, WIDE).await;
        become_visitor(&browser, 7).await;
        come_in(&browser, concert).await;
        browser.until("10,000 are free", async || drawn(&browser, "free").await == 10_000).await;

        let token = app.enter(900).await;
        let free = app.free_seats(&token, schedule).await;
        for (some, user) in free.chunks(20).take(25).zip(900..) {
            let token = app.enter(user).await;
            app.hold_many(&token, schedule, some).await.data();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        browser.until("500 are held", async || drawn(&browser, "held").await == 500).await;
        assert_eq!(drawn(&browser, "free").await, 9_500);

        // Numbers come where they can be read, and go again.
        let numbers = "return document.querySelectorAll('.numbers text').length";
        assert_eq!(browser.run(numbers).await, 0);
        for _ in 0..4 {
            browser.click(".zooms button").await;
        }
        browser.until("there are numbers", async || browser.run(numbers).await != 0).await;
        browser.click(".zooms button:last-child").await;
        browser.until("all of it is seen", async || browser.has(".hall.whole").await).await;
        browser.until("there are none", async || browser.run(numbers).await == 0).await;
        browser.assert_accessible().await;
        browser.close().await;
    });
}
