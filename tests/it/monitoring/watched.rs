//! A real Prometheus watches two instances during a burst, and then has an answer to all that the rules and the dashboard ask.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

use super::dashboard::queries;
use super::{Programs, Shop, Watching, selectors};
use crate::support::block_on;

/// How long two rounds of asking and of rules may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until all of these have data; fails with those that have none.
async fn all_answer(watching: &Watching, mut queries: Vec<(String, String)>) {
    let begun = Instant::now();
    loop {
        let mut silent = Vec::new();
        for (what, query) in queries {
            if watching.query(&query).await.is_empty() {
                silent.push((what, query));
            }
        }
        if silent.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "without data: {silent:#?}");
        queries = silent;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[test]
fn rules_and_dashboard_have_data_after_a_burst() {
    block_on(async {
        let programs = Programs::find().await;
        let shop = Shop::new().await;
        let (a, b) = (shop.serve().await, shop.serve().await);
        let file = tempfile::NamedTempFile::new().unwrap();
        let audited = shop.onsale(&["audit", "--metrics-file", file.path().to_str().unwrap()]).output().await.unwrap();
        assert!(audited.status.success());
        let audit = std::fs::read_to_string(file.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = listener.local_addr().unwrap().to_string();
        // As a node exporter would, among metrics of its own.
        let text = format!("node_load1 0.5\n{audit}");
        let router = Router::new().route("/metrics", get(async move || text));
        let served = tokio::spawn(async move { axum::serve(listener, router).await });

        let targets = [("onsale-1:9100", &*a.metrics), ("onsale-2:9100", &*b.metrics), ("audit:9100", &*collector)];
        let watching = Watching::start(&programs, &targets).await;
        all_answer(&watching, vec![("up".to_owned(), "count(up == 1) == 3".to_owned())]).await;
        let sale = a.open_sale().await;
        // Counters that are 0 must be seen before they count, on either instance.
        let at_zero = r#"count(queue_estimate_error_seconds_count{queue="big"} == 0) == 2"#;
        all_answer(&watching, vec![("the sale".to_owned(), at_zero.to_owned())]).await;
        a.burst(&sale).await;

        all_answer(&watching, queries()).await;
        let mut asked = Vec::new();
        for rule in watching.rules().await {
            let (name, query) = (rule["name"].as_str().unwrap().to_owned(), rule["query"].as_str().unwrap().to_owned());
            if rule["type"] == "alerting" {
                let parts = selectors(&query);
                assert!(!parts.is_empty(), "{query}");
                asked.extend(parts.into_iter().map(|part| (name.clone(), part)));
            } else {
                asked.push((name.clone(), query));
                asked.push((name.clone(), name));
            }
        }
        assert!(asked.len() > 40, "the rules were not found");
        all_answer(&watching, asked).await;
        for rule in watching.rules().await {
            assert_eq!(rule["health"], "ok", "{rule}");
            assert_ne!(rule["state"], "firing", "nothing is wrong: {rule}");
        }
        assert!(!watching.names().await.contains(&"node_load1".to_owned()), "of the audit's machine only the audit");
        assert_eq!(watching.query("count by (queue) (queue_waiting)").await, [1.0, 1.0], "one instance measures");
        served.abort();
    });
}
