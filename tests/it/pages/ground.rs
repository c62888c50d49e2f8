//! What all pages have in common.

use crate::support::{Browser, Look, PHONE, TestApp, block_on};

#[test]
fn a_page_is_there_in_the_visitors_language_until_it_chooses_another() {
    block_on(async {
        let app = TestApp::with(&["--demo"]).await;
        let socket = app.serve().await;
        let browser = Browser::open(&socket, Look { language: "ko", ..PHONE }).await;
        browser.goto("/").await;
        browser.sees("h1", "예매 중인 공연").await;
        browser.assert_accessible().await;
        browser.click(".language").await;
        browser.sees("h1", "On sale").await;
        assert_eq!(browser.place().await, "/");
        browser.click(".cards a").await;
        assert_eq!(browser.place().await, "/concerts/1");
        assert_eq!(browser.run("return document.documentElement.lang").await, "en");
        browser.close().await;
    });
}
