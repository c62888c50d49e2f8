//! The way to the seats, and who goes it.

use std::time::Duration;

use fantoccini::actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};

use crate::support::{Browser, Look, PHONE, Socket, TestApp, routed};

/// On a desk.
pub const WIDE: Look = Look { width: 1280, height: 900, ..PHONE };

/// What a call may take before it is answered 503, which a page takes calmly, but says in its console.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// An instance with these options and patience for a busy machine, and where it is served.
pub async fn shop(args: &[&str]) -> (TestApp, Socket) {
    let patient = ["--demo", "--redis-timeout-ms", "10000", "--postgres-timeout-ms", "10000"];
    let app = TestApp::with(&[&patient[..], args].concat()).await;
    let socket = Socket::serving(routed(app.app.front(PATIENCE, 20_000))).await;
    (app, socket)
}

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
    come_in(&browser, concert).await;
    browser
}

/// Queues for a concert, in which nobody is ahead.
pub async fn come_in(browser: &Browser, concert: i64) {
    browser.goto(&format!("/concerts/{concert}")).await;
    browser.click("#enter").await;
    browser.find(".hall").await;
}

/// Presses a seat on the map with the mouse. A row's free seats are one path, of which each begins with an M in its upper left
/// corner.
pub async fn press_seat(browser: &Browser, seat: i64) {
    let place = format!(
        "const path = document.querySelector('.hall [data-seats~=\"{seat}\"]');
         const at = path.dataset.seats.split(' ').indexOf('{seat}');
         const [x, y] = path.getAttribute('d').split('M')[at + 1].match(/-?[\\d.]+/g).map(Number);
         path.ownerSVGElement.scrollIntoView({{ block: 'center' }});
         const point = new DOMPoint(x + 6, y + 10).matrixTransform(path.getScreenCTM());
         return [point.x, point.y];"
    );
    let [x, y] = serde_json::from_value(browser.run(&place).await).unwrap();
    let mouse = MouseActions::new("mouse".to_owned())
        .then(PointerAction::MoveTo { duration: None, x, y })
        .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
        .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
    browser.client.perform_actions(mouse).await.unwrap();
}
