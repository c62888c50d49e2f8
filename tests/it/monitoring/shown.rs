//! Who shows what: the shop's gauges one instance, those of an instance each.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Instance, Shop};
use crate::support::{OwnServers, SLACK, block_on, eventually};

const SOON: Duration = Duration::from_secs(10);

async fn measures(instances: &[&Instance]) -> Vec<bool> {
    let mut measures = Vec::new();
    for instance in instances {
        measures.push(instance.shows("queue_waiting").await);
    }
    measures
}

#[test]
fn the_gauges_say_how_a_sale_stands() {
    block_on(async {
        let instance = Shop::new().await.serve().await;
        instance.burst(&instance.open_sale().await).await;
        // Of five seats one is sold, one was given back, and one is held by the one who is active; one waits.
        let stands = [
            ("queue_waiting", 1.0),
            ("queue_active", 1.0),
            ("queue_active_max", 1.0),
            ("queue_room", 1.0),
            ("queue_seats_free", 3.0),
            ("queue_seats_unsold", 4.0),
            ("queue_open", 1.0),
            ("queue_paused", 0.0),
            ("queue_draining", 0.0),
            ("queue_sold_out", 0.0),
        ];
        for (name, value) in stands {
            let metric = format!("{name}{{queue=\"big\"}}");
            let is_so = async || instance.value(&metric).await == Some(value);
            eventually(&format!("{name} is {value}"), SOON, is_so).await;
        }
        for (metric, value) in [("seat_holds_live", 1.0), ("payment_under_way_seconds", 0.0)] {
            let is_so = async || instance.value(metric).await == Some(value);
            eventually(&format!("{metric} is {value}"), SOON, is_so).await;
        }
        for (act, metric) in [("pause", "queue_paused"), ("drain", "queue_draining")] {
            instance.operate(&format!("/admin/v1/queues/big/{act}"), Value::Null).await;
            let is_so = async || instance.value(&format!("{metric}{{queue=\"big\"}}")).await == Some(1.0);
            eventually(metric, SOON, is_so).await;
        }
    });
}

#[test]
fn one_instance_measures_the_shop_and_another_takes_over() {
    block_on(async {
        let shop = Shop::new().await;
        let (a, b) = (shop.serve().await, shop.serve().await);
        let one = async || measures(&[&a, &b]).await.iter().filter(|measures| **measures).count() == 1;
        eventually("one measures", SOON, one).await;
        let mut looks = 0;
        for _ in 0..20 {
            looks += usize::from(one().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // On a busy machine it may pass to the other in between, and both be seen for a moment.
        assert!(looks >= 10, "not one measured at {} of 20 looks", 20 - looks);
        for instance in [&a, &b] {
            for name in ["store_up", "process_cpu_seconds_total", "postgres_connections", "build_info"] {
                assert!(instance.shows(name).await, "{name} is every instance's own");
            }
        }
        let (former, next) = if a.shows("queue_waiting").await { (&a, &b) } else { (&b, &a) };
        former.suspend();
        eventually("the other measures", SOON, async || next.shows("queue_waiting").await).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        former.signal(Signal::SIGCONT);
        for _ in 0..20 {
            let metrics = former.metrics().await;
            assert!(!metrics.contains("\nqueue_waiting"), "what it measured before it was stopped");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(next.shows("queue_waiting").await);
    });
}

#[test]
fn a_store_that_does_not_answer_is_told_of() {
    block_on(async {
        let servers = OwnServers::start().await;
        let shop = Shop { database: servers.servers.postgres.url(), redis: servers.servers.redis.url() };
        let instance = shop.serve().await;
        let up = async |store: &str| instance.value(&format!("store_up{{store=\"{store}\"}}")).await;
        let both = async || up("redis").await == Some(1.0) && up("postgres").await == Some(1.0);
        eventually("both answer", SOON, both).await;
        eventually("measured", SOON, async || instance.shows("queue_waiting").await).await;

        let paused = servers.pause_redis();
        let down = async || up("redis").await == Some(0.0);
        eventually("Redis does not answer", Duration::from_secs(3) + SLACK, down).await;
        assert_eq!(up("postgres").await, Some(1.0));
        let gone = async || !instance.shows("queue_waiting").await;
        eventually("what nobody can see is not shown", Duration::from_secs(5) + SLACK, gone).await;
        drop(paused);
        eventually("both answer again", SOON, both).await;
        eventually("measured again", SOON, async || instance.shows("queue_waiting").await).await;
        drop(instance);
        servers.stop().await;
    });
}

#[test]
fn what_an_audit_found_is_a_file_for_a_collector() {
    block_on(async {
        let shop = Shop::new().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("onsale.prom");
        let audit = async |file: &str| shop.onsale(&["audit", "--metrics-file", file]).output().await.unwrap();
        let read = || std::fs::read_to_string(&file).unwrap();
        assert!(audit(file.to_str().unwrap()).await.status.success());
        for invariant in 1..=7 {
            assert!(read().contains(&format!("audit_breaches{{invariant=\"{invariant}\"}} 0\n")), "{}", read());
        }
        assert!(read().contains("\naudit_last_run_timestamp_seconds 1") || read().contains("\naudit_last_run"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");

        let instance = shop.serve().await;
        let charge = serde_json::json!({"amount": 1000});
        let path = "/api/v1/user-wallets/balance";
        assert_eq!(instance.call(reqwest::Method::PATCH, path, ("userId", "1"), charge).await, Value::Null);
        let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&shop.database).await.unwrap();
        sqlx::query("UPDATE user_wallet SET balance = 1001").execute(&mut connection).await.unwrap();
        assert_eq!(audit(file.to_str().unwrap()).await.status.code(), Some(1));
        assert!(read().contains("audit_breaches{invariant=\"2\"} 1\n"), "{}", read());

        let nowhere = audit("/nowhere/onsale.prom").await;
        let said = String::from_utf8(nowhere.stderr).unwrap();
        assert!(nowhere.status.code() == Some(1) && said.contains("ONSALE_AUDIT_METRICS_FILE"), "{said}");
    });
}
