//! Choosing with fingers.

use serde_json::json;

use super::shop::{arrive, shop};
use crate::support::{Browser, PHONE, block_on};

type Point = (f64, f64);

/// Fingers come down, move, or are lifted, of which those given are left.
async fn touch(browser: &Browser, kind: &str, fingers: &[Point]) {
    let points: Vec<_> = fingers.iter().enumerate().map(|(id, (x, y))| json!({"x": x, "y": y, "id": id})).collect();
    browser.tell("Input.dispatchTouchEvent", json!({"type": kind, "touchPoints": points})).await;
}

/// Moves fingers from one place to another, in small steps as they do.
async fn glide(browser: &Browser, from: &[Point], to: &[Point]) {
    touch(browser, "touchStart", from).await;
    for step in 1..=10 {
        let part = f64::from(step) / 10.0;
        let at = |(from, to): (&Point, &Point)| (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
        let fingers: Vec<Point> = from.iter().zip(to).map(at).collect();
        touch(browser, "touchMove", &fingers).await;
    }
    touch(browser, "touchEnd", &[]).await;
}

/// What part of the hall the map shows: its left, upper edge, width and height.
async fn shown(browser: &Browser) -> [f64; 4] {
    let text = browser.run("return document.querySelector('.hall').getAttribute('viewBox')").await;
    let numbers: Vec<f64> = text.as_str().unwrap().split(' ').map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn the_map_is_pinched_moved_and_tapped() {
    block_on(async {
        let (_app, socket) = shop(&[]).await;
        let browser = arrive(&socket, PHONE, 1).await;
        browser.tell("Emulation.setTouchEmulationEnabled", json!({"enabled": true, "maxTouchPoints": 5})).await;
        let centre = "const map = document.querySelector('.hall'); map.scrollIntoView({ block: 'center' });
                      const { x, y, width, height } = map.getBoundingClientRect(); return [x + width / 2, y + height / 2]";
        let (x, y): Point = serde_json::from_value(browser.run(centre).await).unwrap();

        let whole = shown(&browser).await;
        glide(&browser, &[(x - 20.0, y), (x + 20.0, y)], &[(x - 70.0, y), (x + 70.0, y)]).await;
        let close = shown(&browser).await;
        assert!(close[2] < whole[2] * 0.6, "two fingers apart bring it closer: {whole:?}, {close:?}");
        assert_eq!(browser.run("return visualViewport.scale").await, 1, "the map, not the page");

        glide(&browser, &[(x, y)], &[(x - 60.0, y - 30.0)]).await;
        let moved = shown(&browser).await;
        assert!(moved[0] > close[0] && moved[1] > close[1], "one finger moves it: {close:?}, {moved:?}");
        assert!((moved[2] - close[2]).abs() < 1.0, "and no closer");
        assert!(!browser.has(".hall .mine").await, "nothing was chosen on the way");

        glide(&browser, &[(x - 90.0, y), (x + 90.0, y)], &[(x - 10.0, y), (x + 10.0, y)]).await;
        assert!(shown(&browser).await[2] > close[2], "two fingers together bring it farther");

        let seat = "const path = document.querySelector('.hall .free');
            const [left, top] = path.getAttribute('d').match(/-?[\\d.]+/g).map(Number);
            const point = new DOMPoint(left + 6, top + 10).matrixTransform(path.getScreenCTM());
            return [point.x, point.y]";
        let at: Point = serde_json::from_value(browser.run(seat).await).unwrap();
        touch(&browser, "touchStart", &[at]).await;
        touch(&browser, "touchEnd", &[]).await;
        browser.find(".hall .mine").await;
        browser.find("#hold").await;
        browser.close().await;
    });
}
