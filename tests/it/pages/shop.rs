//! The way to the seats, and who goes it.

use crate::support::{Browser, Look, PHONE, Socket};

/// On a desk.
pub const WIDE: Look = Look { width: 1280, height: 900, ..PHONE };

/// A browser that stands before the shop.
pub async fn at_shop(socket: &Socket, look: Look) -> Browser {
    let browser = Browser::open(socket, look).await;
    browser.goto("/").await;
    browser
}

/// Says who the visitor is, where the browser has to.
pub async fn become_visitor(browser: &Browser, user: i64) {
    browser.run(&format!("localStorage.setItem('onsale.visitor', '{user}')")).await;
}

/// A browser whose turn it is to choose among the seats of a concert.
pub async fn arrive(socket: &Socket, look: Look, concert: i64) -> Browser {
    let browser = at_shop(socket, look).await;
    browser.goto(&format!("/concerts/{concert}")).await;
    browser.find(".hall").await;
    browser
}
