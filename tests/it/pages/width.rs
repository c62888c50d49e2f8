//! Every page, and the API's, on the narrowest phone.

use super::demo::demo;
use crate::admin::OPERATED;
use crate::support::{Browser, Look, PHONE, TestApp, block_on};

/// Each with what is there once it is whole.
const PAGES: [(&str, &str); 6] = [
    ("/", "main a[href='/concerts/1']"),
    ("/concerts/1", "main h1"),
    ("/me", "main h1"),
    ("/console", "#operator"),
    ("/demo", "main h1"),
    ("/docs", "#calls:not([aria-busy]) summary"),
];

#[test]
fn no_page_is_wider_than_a_phone() {
    block_on(async {
        let base = TestApp::without_jobs(&OPERATED).await;
        let (_app, socket) = demo(&base).await;
        for language in ["en", "ko"] {
            let browser = Browser::open(&socket, Look { language, ..PHONE }).await;
            for (path, there) in PAGES {
                browser.goto(path).await;
                browser.find(there).await;
                assert!(!browser.is_too_wide().await, "{path} in {language}");
                browser.assert_accessible().await;
            }
            browser.close().await;
        }
    });
}
