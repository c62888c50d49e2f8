//! Buying: by mouse, by keyboard, and through a line that loses an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use fantoccini::key::Key;

use super::shop::{PATIENCE, WIDE, arrive, press_seat, shop};
use crate::support::{Browser, PHONE, Socket, TestApp, block_on, routed};

#[test]
fn a_whole_purchase_by_mouse() {
    block_on(async {
        let (app, socket) = shop(&[]).await;
        let browser = arrive(&socket, WIDE, 1).await;
        press_seat(&browser, 12).await;
        press_seat(&browser, 13).await;
        browser.sees(".summary", "₩320,000").await;
        browser.click("#hold").await;
        browser.sees(".chosen", "R · row B · seat 12").await;
        browser.sees(".sum", "₩320,000").await;
        assert!(browser.find("#pay").await.attr("disabled").await.unwrap().is_some(), "the wallet is empty");
        browser.click("#charge").await;
        browser.click("#pay:enabled").await;
        browser.find(".ticket").await;
        browser.sees(".tickets", "Opening Night").await;
        assert_eq!(browser.run("return document.activeElement.id").await, "bought-title");
        browser.assert_accessible().await;
        browser.click("#room a").await;
        browser.find("#mine .ticket").await;
        assert_eq!(browser.run("return document.querySelectorAll('#mine .ticket').length").await, 2);
        browser.close().await;
        app.audit().await;
        assert_eq!(app.number("SELECT count(*) FROM payment_history").await, 2);
    });
}

/// Presses the tab key until the focus is on an element of this kind.
async fn tab_to(browser: &Browser, css: &str) {
    let there = format!("return document.activeElement.matches('{css}')");
    for _ in 0..80 {
        if browser.run(&there).await == true {
            return;
        }
        browser.press(&Key::Tab.to_string()).await;
    }
    panic!("the tab key does not come to {css}");
}

#[test]
fn a_whole_purchase_by_keyboard() {
    block_on(async {
        let (app, socket) = shop(&[]).await;
        let browser = arrive(&socket, WIDE, 1).await;
        tab_to(&browser, ".hall [data-seat]").await;
        let focus = "return document.activeElement.dataset.seat";
        assert_eq!(browser.run(focus).await, "1");
        browser.press(&Key::Right.to_string()).await;
        browser.press(&Key::Down.to_string()).await;
        assert_eq!(browser.run(focus).await, "12", "one to the right, one row farther");
        let name = browser.run("return document.activeElement.getAttribute('aria-label')").await;
        assert_eq!(name, "R · row B · seat 12, ₩160,000, free");
        browser.press(&Key::Enter.to_string()).await;
        browser.find(r#".hall .mine[data-seats="12"]"#).await;
        assert_eq!(browser.run("return document.activeElement.getAttribute('aria-checked')").await, "true");
        browser.sees("#polite", "1 seat, ₩160,000").await;
        tab_to(&browser, "#hold").await;
        browser.press(&Key::Enter.to_string()).await;
        browser.find("#charge").await;
        assert_eq!(browser.run("return document.activeElement.id").await, "pay-title", "one hears what comes next");
        tab_to(&browser, "#charge").await;
        browser.press(&Key::Enter.to_string()).await;
        browser.find("#pay:enabled").await;
        assert_eq!(browser.run("return document.activeElement.id").await, "pay", "the focus goes on by itself");
        browser.press(&Key::Enter.to_string()).await;
        browser.find(".ticket").await;
        browser.close().await;
        app.audit().await;
        assert_eq!(app.number("SELECT count(*) FROM payment_history").await, 1);
    });
}

/// An instance behind a line that loses the first answers: one to a charge, one to a payment. Counts those calls.
fn losing(app: &TestApp, calls: &Arc<AtomicU32>) -> Router {
    let calls = calls.clone();
    let lost: Arc<[AtomicU32; 2]> = Arc::default();
    let line = move |request: Request, next: Next| {
        let (calls, lost) = (calls.clone(), lost.clone());
        async move {
            let (is_charge, is_payment) =
                (request.method() == "PATCH", request.uri().path() == "/api/v1/payment/concert/batch");
            let response: Response = next.run(request).await;
            if !is_charge && !is_payment {
                return response;
            }
            calls.fetch_add(1, Ordering::SeqCst);
            if lost[usize::from(is_payment)].fetch_add(1, Ordering::SeqCst) > 0 {
                return response;
            }
            let cut = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("the line is cut"))]);
            response.map(|_| Body::from_stream(cut))
        }
    };
    routed(app.app.front(PATIENCE, 20_000)).layer(from_fn(line))
}

#[test]
fn an_answer_that_is_lost_takes_nothing_twice() {
    block_on(async {
        let (app, _) = shop(&[]).await;
        let calls = Arc::default();
        let socket = Socket::serving(losing(&app, &calls)).await;
        let browser = arrive(&socket, PHONE, 1).await;
        browser.click("#best").await;
        browser.click("#charge").await;
        browser.click("#pay:enabled").await;
        browser.find(".ticket").await;
        assert_eq!(calls.load(Ordering::SeqCst), 4, "each was sent twice");
        assert_eq!(app.number("SELECT count(*) FROM payment_history").await, 1);
        assert_eq!(app.number("SELECT count(*) FROM wallet_ledger").await, 2, "one charge, one payment");
        assert_eq!(app.number("SELECT balance FROM user_wallet").await, 0);
        app.audit().await;
        // The two cuts are in the console, and nothing else.
        assert!(browser.complaints().await.iter().all(|line| line.contains("net::ERR")));
        browser.close().await;
    });
}
