//! The README's pictures, taken of a sale that goes on: `make pictures`.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::console::signed_in;
use super::demo::demo;
use crate::admin::OPERATED;
use crate::support::{Browser, Look, PHONE, TestApp, block_on};

/// As many bytes as a picture may have: a README is read on slow lines too.
const LARGEST: usize = 150_000;

const DESK: Look = Look { width: 1100, height: 860, ..PHONE };

async fn take(browser: &Browser, name: &str) {
    let picture = browser.client.screenshot().await.unwrap();
    assert!(picture.len() <= LARGEST, "{name} has {} bytes", picture.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), picture).unwrap();
}

#[test]
#[ignore = "it writes into the repository: make pictures"]
fn the_readmes_pictures_are_taken() {
    block_on(async {
        let base = TestApp::without_jobs(&OPERATED).await;
        let (app, socket) = demo(&base).await;
        let crowd = json!({ "fans": 1500, "perSecond": 100 });
        let sent = app.call("POST", "/demo/crowd", &[], crowd).await.data().clone();
        let standing = async || app.call("GET", "/demo/crowd", &[], Value::Null).await.data().clone();
        while standing().await["waiting"].as_u64().is_some_and(|waiting| waiting < 300) {
            sleep(Duration::from_millis(100)).await;
        }

        let fan = Browser::open(&socket, PHONE).await;
        fan.goto(&format!("/concerts/{}", sent["concertId"])).await;
        fan.click("#enter").await;
        fan.until("there is a place", async || !fan.text("[data-part=place]").await.is_empty()).await;
        // The range of time comes with the next look or two.
        sleep(Duration::from_secs(3)).await;
        take(&fan, "waiting.png").await;

        let operator = Browser::open(&socket, DESK).await;
        signed_in(&operator).await;
        sleep(Duration::from_secs(20)).await;
        app.operate("PATCH", "/queues/demo", json!({ "admitPerSecond": 40 })).await.data();
        sleep(Duration::from_secs(8)).await;
        take(&operator, "console.png").await;

        fan.find("#choose svg").await;
        fan.look(Look { width: 900, height: 700, ..PHONE }).await;
        sleep(Duration::from_secs(1)).await;
        take(&fan, "seats.png").await;
        app.call("DELETE", "/demo/crowd", &[], Value::Null).await.data();
    });
}
