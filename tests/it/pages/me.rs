//! One's own: tickets, wallet, what is held, payments, and giving back.

use fantoccini::key::Key;

use super::shop::{WIDE, arrive, at_shop, become_visitor, shop};
use crate::support::{Look, PHONE, block_on};

const VISITOR: i64 = 7;

#[test]
fn a_ticket_is_given_back_once_it_is_said_twice() {
    block_on(async {
        let (app, socket) = shop(&[]).await;
        app.charge(VISITOR, 500_000).await.data();
        let token = app.enter(VISITOR).await;
        let held = app.hold(&token, 1, 21).await.reservation();
        app.pay(&token, held).await.data();
        let browser = at_shop(&socket, PHONE).await;
        become_visitor(&browser, VISITOR).await;
        browser.goto("/me").await;
        browser.sees("#mine .ticket", "Opening Night").await;
        browser.sees("#mine .ticket", "₩120,000").await;
        browser.sees(".balance", "₩380,000").await;
        browser.sees("#wallet table", "-₩120,000").await;
        browser.assert_accessible().await;

        browser.sees("td:has([data-refund])", "Paid").await;
        browser.click("[data-refund]").await;
        browser.sees("dialog[open]", "₩120,000 go back to your wallet").await;
        browser.assert_accessible().await;
        browser.press(&Key::Escape.to_string()).await;
        browser.until("the dialog is closed", async || !browser.has("dialog[open]").await).await;
        assert_eq!(app.balance(VISITOR).await, 380_000, "it was not meant");

        browser.click("[data-refund]").await;
        browser.click("#refund-yes").await;
        browser.sees(".balance", "₩500,000").await;
        browser.sees("#payments table", "Given back").await;
        browser.sees("#mine", "No tickets").await;
        browser.sees("#polite", "₩120,000 are back in your wallet.").await;
        assert!(!browser.has("[data-refund]").await, "once");
        assert!(!browser.is_too_wide().await, "at 360 px");
        browser.close().await;
        app.audit().await;
    });
}

#[test]
fn the_wallet_is_charged_and_its_ledger_read_page_by_page() {
    block_on(async {
        let (app, socket) = shop(&[]).await;
        for amount in 1..=23 {
            app.charge(VISITOR, amount).await.data();
        }
        let browser = at_shop(&socket, Look { language: "ko", ..WIDE }).await;
        become_visitor(&browser, VISITOR).await;
        browser.goto("/me").await;
        browser.sees(".balance", "₩276").await;
        let rows = "return document.querySelectorAll('#wallet tbody tr').length";
        for expected in [10, 20, 23] {
            browser.until("a page more", async || browser.run(rows).await == expected).await;
            if expected < 23 {
                browser.click("#wallet .listed button").await;
            }
        }
        browser.until("that is all", async || !browser.has("#wallet .listed button").await).await;
        browser.assert_accessible().await;

        let amount = browser.find("#amount").await;
        amount.clear().await.unwrap();
        amount.send_keys("0").await.unwrap();
        browser.click(".charging button").await;
        browser.sees(".charging [role=alert]", "1원부터").await;
        amount.clear().await.unwrap();
        amount.send_keys("50000").await.unwrap();
        browser.click(".charging button").await;
        browser.sees(".balance", "₩50,276").await;
        browser.sees("#wallet tbody", "+₩50,000").await;
        assert_eq!(app.balance(VISITOR).await, 50_276);
        browser.close().await;
    });
}

#[test]
fn what_is_held_is_listed_with_the_way_to_pay_for_it() {
    block_on(async {
        let (_app, socket) = shop(&[]).await;
        let browser = arrive(&socket, PHONE, 1).await;
        browser.click("#best").await;
        browser.find("#charge").await;
        browser.goto("/me").await;
        browser.sees("#reservations", "R · row A · seat 1").await;
        browser.assert_accessible().await;
        browser.click("#reservations a").await;
        browser.sees(".chosen", "seat 1").await;
        browser.close().await;
    });
}
