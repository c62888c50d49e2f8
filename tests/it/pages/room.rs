//! The waiting room, as somebody sees it who waits: the place, and that nothing loses it.

use std::time::Duration;

use fantoccini::key::Key;
use serde_json::json;

use super::hall::Hall;
use crate::support::{Browser, PHONE, Proxy, Socket, block_on, eventually};

const PLACE: &str = "[data-part=place]";

/// One at a time is let in, and nobody after the first for now.
async fn crowded() -> (Hall, Vec<String>) {
    let hall = Hall::open(json!({"maxActive": 1})).await;
    let tokens = hall.enter_all(101..107).await;
    (hall, tokens)
}

async fn kept(browser: &Browser, name: &str) -> String {
    let kept = browser.run(&format!("return localStorage.getItem('onsale.{name}')")).await;
    kept.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_place_survives_a_reload_and_goes_on_with_another_device() {
    block_on(async {
        let (hall, others) = crowded().await;
        let browser = hall.browser(PHONE).await;
        browser.click("#enter").await;
        browser.sees(PLACE, "6").await;
        browser.sees("[data-part=ahead]", "5 people are ahead").await;
        assert_eq!(browser.client.title().await.unwrap(), "6 · Winter <b>Strings</b>");
        browser.sees("#room", "There is no need to reload").await;
        let token = kept(&browser, "token.night").await;
        browser.client.refresh().await.unwrap();
        browser.sees(PLACE, "6").await;
        assert_eq!(kept(&browser, "token.night").await, token);

        let other = hall.browser(PHONE).await;
        let visitor = kept(&browser, "visitor").await;
        other.run(&format!("localStorage.clear(); localStorage.setItem('onsale.visitor', '{visitor}')")).await;
        other.client.refresh().await.unwrap();
        other.click("#enter").await;
        other.sees(PLACE, "6").await;

        for gone in &others[1..4] {
            hall.app.leave(gone).await.data();
        }
        for browser in [&browser, &other] {
            browser.sees(PLACE, "3").await;
        }
        other.close().await;
        browser.close().await;
    });
}

#[test]
fn a_lost_connection_is_said_and_the_place_stays_on_the_page() {
    block_on(async {
        let (hall, others) = crowded().await;
        let browser = hall.browser(PHONE).await;
        browser.click("#enter").await;
        browser.sees(PLACE, "6").await;
        browser.cut_off(true).await;
        browser.sees("[data-part=offline]", "Your place is kept").await;
        assert_eq!(browser.text(PLACE).await, "6");
        hall.app.leave(&others[2]).await.data();
        browser.cut_off(false).await;
        browser.sees(PLACE, "5").await;
        browser.until("nothing is said of it any more", async || !browser.has("[data-part=offline]").await).await;
        // Chromium itself notes each request that failed.
        for complaint in browser.complaints().await {
            assert!(complaint.contains("ERR_INTERNET_DISCONNECTED"), "{complaint}");
        }
        browser.close().await;
    });
}

#[test]
fn a_connection_over_which_nothing_comes_any_more_is_given_up_for_another() {
    block_on(async {
        let (hall, others) = crowded().await;
        let network = Proxy::before(&format!("http://{}", hall.socket.address())).await;
        let browser = Browser::open(&Socket::behind(&network), PHONE).await;
        browser.goto(&hall.page).await;
        browser.click("#enter").await;
        browser.sees(PLACE, "6").await;
        // Nobody is told of it, as when a phone has changed from one network to another.
        network.swallow();
        for gone in &others[1..5] {
            hall.app.leave(gone).await.data();
        }
        // A stream says something every 15 s, and is given up after 20; the browser may keep more lines that lead nowhere.
        let moved = async || browser.text(PLACE).await == "2";
        eventually("the place moves again", Duration::from_mins(3), moved).await;
        browser.close().await;
    });
}

#[test]
fn a_place_is_taken_and_given_up_by_keyboard() {
    block_on(async {
        let (hall, _) = crowded().await;
        let browser = hall.browser(PHONE).await;
        browser.find("#room button[type=button]").await;
        let on =
            async |css: &str| browser.run(&format!("return document.activeElement.matches('{css}')")).await == true;
        for css in ["#enter", "#room .quiet"] {
            for _ in 0..12 {
                if on(css).await {
                    break;
                }
                browser.press(&Key::Tab.to_string()).await;
            }
            assert!(on(css).await, "{css} is not reached");
            browser.press(&Key::Enter.to_string()).await;
            if css == "#enter" {
                browser.sees(PLACE, "6").await;
            }
        }
        browser.sees("#room h2", "Tickets are on sale").await;
        browser.close().await;
    });
}

#[test]
fn when_its_turn_comes_the_focus_is_where_one_chooses() {
    block_on(async {
        let hall = Hall::open(json!({"maxActive": 1})).await;
        let first = hall.enter(101).await;
        let browser = hall.browser(PHONE).await;
        browser.click("#enter").await;
        browser.sees("[data-part=ahead]", "You are next").await;
        assert!(browser.run("return document.getElementById('choose').hidden").await.as_bool().unwrap());
        hall.app.leave(&first).await.data();
        browser.sees("#room h2", "It is your turn").await;
        let within = "return document.getElementById('choose').contains(document.activeElement)";
        browser.until("the focus moves", async || browser.run(within).await.as_bool().unwrap()).await;
        let title = browser.client.title().await.unwrap();
        assert!(title.starts_with("Your turn · "), "{title}");
        assert_eq!(browser.run("return document.getElementById('urgent').textContent").await, "It is your turn");
        browser.close().await;
    });
}

#[test]
fn the_first_view_is_light_loads_nothing_from_elsewhere_and_shows_no_token() {
    block_on(async {
        let (hall, _) = crowded().await;
        let browser = hall.browser(PHONE).await;
        browser.click("#enter").await;
        browser.sees(PLACE, "6").await;
        browser.client.refresh().await.unwrap();
        browser.sees(PLACE, "6").await;
        let token = kept(&browser, "token.night").await;
        assert!(token.len() > 40, "{token}");
        // From a cache there is no size: ask again without.
        browser.tell("Network.enable", json!({})).await;
        browser.tell("Network.clearBrowserCache", json!({})).await;
        browser.client.refresh().await.unwrap();
        browser.sees(PLACE, "6").await;
        let loaded = "const kinds = ['navigation', 'resource'];
            return kinds.flatMap((kind) => performance.getEntriesByType(kind)).map(({ name, encodedBodySize }) => [name, encodedBodySize])";
        let loaded = browser.run(loaded).await;
        let loaded: Vec<(String, u64)> = serde_json::from_value(loaded).unwrap();
        let of_the_page = loaded.iter().filter(|(name, _)| !name.contains("/api/"));
        let (files, bytes) = of_the_page.fold((0, 0), |(files, sum), (_, size)| (files + 1, sum + size));
        assert!(files >= 8 && bytes > 5_000, "{loaded:?}");
        assert!(bytes < 20 * 1024, "the first view takes {bytes} bytes: {loaded:?}");
        let here = format!("http://{}/", hall.socket.address());
        for (name, _) in &loaded {
            assert!(name.starts_with(&here), "{name} is from elsewhere");
            assert!(!name.contains(&token), "{name}");
        }
        browser.close().await;
    });
}

#[test]
fn what_is_needed_to_choose_is_there_before_ones_turn() {
    block_on(async {
        let hall = Hall::open(json!({"maxActive": 1000, "admitPerSecond": 1})).await;
        hall.enter_all(101..115).await;
        let browser = hall.browser(PHONE).await;
        browser.click("#enter").await;
        let is_ready = "const names = performance.getEntriesByType('resource').map(({ name }) => name);
            return document.getElementById('room').dataset.state === 'waiting' &&
                ['/seats.js', '/map.js', '/shop-en.js'].every((file) => names.some((name) => name.endsWith(file)))";
        browser.until("it is loaded while one waits", async || browser.run(is_ready).await == true).await;
        browser.find(".hall").await;
        browser.close().await;
    });
}

#[test]
fn after_a_sleep_it_knows_the_place_again() {
    block_on(async {
        let (hall, others) = crowded().await;
        let browser = hall.browser(PHONE).await;
        browser.click("#enter").await;
        browser.sees(PLACE, "6").await;
        // A phone that sleeps has no network either, and the page does nothing.
        browser.cut_off(true).await;
        browser.tell("Page.setWebLifecycleState", json!({"state": "frozen"})).await;
        for gone in &others[1..5] {
            hall.app.leave(gone).await.data();
        }
        browser.cut_off(false).await;
        browser.tell("Page.setWebLifecycleState", json!({"state": "active"})).await;
        browser.sees(PLACE, "2").await;
        browser.tell("Page.setWebLifecycleState", json!({"state": "frozen"})).await;
        hall.app.leave(&others[0]).await.data();
        hall.app.leave(&others[5]).await.data();
        browser.tell("Page.setWebLifecycleState", json!({"state": "active"})).await;
        browser.find(".hall").await;
        browser.close().await;
    });
}

#[test]
fn who_asks_for_it_is_called_by_a_notification_and_a_sound() {
    block_on(async {
        let (hall, others) = crowded().await;
        let browser = hall.browser(PHONE).await;
        let origin = format!("http://{}", hall.socket.address());
        let allowed = json!({"permissions": ["notifications"], "origin": origin});
        browser.tell("Browser.grantPermissions", allowed).await;
        browser.click("#enter").await;
        browser.sees(PLACE, "6").await;
        // Nobody is asked who does not want it; what is made is noted, and made.
        browser
            .run(
                "window.made = [];
                 for (const name of ['Notification', 'AudioContext']) {
                     const real = window[name];
                     window[name] = class extends real { constructor(...given) { super(...given); window.made.push([name, ...given]); } };
                 }
                 Object.defineProperty(document, 'visibilityState', { get: () => 'hidden', configurable: true })",
            )
            .await;
        browser.click("#room .check input").await;
        browser.assert_accessible().await;
        assert_eq!(kept(&browser, "sound").await, "1");
        for gone in &others[..] {
            hall.app.leave(gone).await.data();
        }
        browser.find(".hall").await;
        let made = browser.run("return window.made").await;
        let called = made.as_array().unwrap().iter().find(|one| one[0] == "Notification").unwrap();
        assert_eq!(
            (&called[1], &called[2]["body"]),
            (&json!("It is your turn"), &json!("Winter <b>Strings</b>")),
            "{made}"
        );
        assert!(made.as_array().unwrap().iter().any(|one| one[0] == "AudioContext"), "{made}");
        let flashes = async || browser.client.title().await.unwrap().contains("It is your turn");
        browser.until("the title flashes", flashes).await;
        browser.close().await;
    });
}
