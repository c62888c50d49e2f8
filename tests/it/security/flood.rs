//! Users made up by the hundred: a queue keeps as many as it may, whoever has a place keeps it, and who is turned away is
//! told so, on whichever instance.

use std::sync::Arc;

use serde_json::Value;

use crate::support::{Answer, TestApp, at_once, block_on};

const MOST: usize = 50;

async fn enter(app: Arc<TestApp>, user: usize) -> Answer {
    app.call("POST", "/api/v1/queues/token", &[("userId", &user.to_string())], Value::Null).await
}

#[test]
fn made_up_users_get_as_many_places_as_there_are_and_an_honest_answer() {
    block_on(async {
        let patience =
            ["--redis-timeout-ms", "30000", "--request-timeout-ms", "60000", "--address-requests-per-second", "0"];
        let bound = ["--max-waiting", &MOST.to_string(), "--max-active", "10"];
        let first = Arc::new(TestApp::with(&[&patience[..], &bound[..]].concat()).await);
        let second = Arc::new(first.second().await);
        let apps = [&first, &second];
        let answers = at_once((1..=300).map(|user| enter(apps[user % 2].clone(), user))).await;
        let (placed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(placed.len(), MOST);
        for answer in &refused {
            answer.assert_error(503, "UNAVAILABLE");
            assert_eq!(answer.header("retry-after"), "1");
        }
        for answer in &placed {
            let token = answer.data()["token"].as_str().unwrap();
            let status = second.rank(token).await.data()["status"].clone();
            assert!(status == "ACTIVE" || status == "WAITING", "{status}");
        }
        let leaver = placed[0].data()["token"].as_str().unwrap();
        first.call("DELETE", "/api/v1/queues/token", &[("token", leaver)], Value::Null).await.data();
        enter(second.clone(), 1001).await.data();
        enter(first.clone(), 1002).await.assert_error(503, "UNAVAILABLE");
        first.audit().await;
    });
}
