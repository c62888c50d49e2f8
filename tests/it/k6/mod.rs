//! The k6 scripts, played against a real service. k6 itself is in no package manager, so Node plays them: the modules in
//! `modules/` do what k6 documents of those that the scripts import, `run.js` what it documents of options, VUs and the summary,
//! and each fails on what it does not know.

mod load;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use onsale::dev::{Install, node};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::lua::source;
use crate::support::{TestApp, block_on, routed};

/// What a script came to.
struct Played {
    /// What k6 would print.
    text: String,
    out: Value,
    _folder: TempDir,
}

impl Played {
    /// A value of a metric or submetric.
    fn value(&self, metric: &str, statistic: &str) -> f64 {
        self.out["summary"]["metrics"][metric]["values"][statistic].as_f64().unwrap_or_default()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are small whole numbers")]
    fn count(&self, metric: &str) -> u64 {
        self.value(metric, "count") as u64
    }

    /// The thresholds that do not hold.
    fn broken(&self) -> Vec<String> {
        let metrics = self.out["summary"]["metrics"].as_object().unwrap();
        let thresholds = metrics.iter().filter_map(|(name, metric)| Some((name, metric["thresholds"].as_object()?)));
        let each =
            thresholds.flat_map(|(name, of)| of.iter().map(move |(text, held)| (name, text, held["ok"] == true)));
        each.filter(|(_, _, held)| !held).map(|(name, text, _)| format!("{name}: {text}")).collect()
    }
}

struct Shop {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn open(app: &TestApp) -> Shop {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = routed(app.app.front(Duration::from_secs(20), 20_000));
    Shop { address, serving: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }) }
}

/// Copies what a folder of the repository has.
fn copy(from: &str, to: &Path) {
    for file in source::files(from) {
        let target = to.join(file.strip_prefix(source::repository(from)).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
}

async fn play(address: SocketAddr, script: &str, variables: &[(&str, &str)]) -> Played {
    let install =
        if std::env::var("ONSALE_INSTALL").as_deref() == Ok("0") { Install::Forbidden } else { Install::Allowed };
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    copy("k6", &at.join("k6"));
    copy("tests/it/k6/modules", &at.join("node_modules/k6"));
    for file in ["run.js", "vu.js", "sinks.js"] {
        std::fs::copy(source::repository(&format!("tests/it/k6/{file}")), at.join(file)).unwrap();
    }
    std::fs::write(at.join("package.json"), r#"{"type":"module"}"#).unwrap();
    let mut player = Command::new(node(install).await.unwrap());
    let out = at.join("out.json");
    player.arg(at.join("run.js")).arg(at.join("k6").join(format!("{script}.js"))).arg(&out);
    player.env_clear().env("BASE", format!("http://{address}")).envs(variables.iter().copied());
    player.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let ran = tokio::time::timeout(Duration::from_mins(3), player.output()).await.unwrap().unwrap();
    assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
    let out: Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
    let text = out["shown"]["stdout"].as_str().unwrap().to_owned();
    Played { text, out, _folder: folder }
}

/// A machine that is busy with other tests is slow.
const ROOMY: [&str; 8] =
    ["--max-active", "8", "--admit-per-second", "100", "--postgres-timeout-ms", "10000", "--redis-timeout-ms", "10000"];

#[test]
fn smoke_buys_and_gives_back() {
    block_on(async {
        let app = TestApp::with(&ROOMY).await;
        let shop = open(&app).await;
        let settings = [("RATE", "4"), ("SECONDS", "2"), ("JSON", "all.json")];
        let played = play(shop.address, "smoke", &settings).await;
        let broken = played.broken();
        // A machine that is busy with other tests is slow.
        assert!(broken.iter().all(|threshold| threshold.starts_with("http_req_duration")), "{broken:?}");
        assert_eq!((played.count("sold"), played.count("refused")), (8, 0), "{}", played.text);
        assert_eq!(app.number("SELECT count(*) FROM reservation WHERE status = 'CANCELLED'").await, 8);
        assert_eq!(app.number("SELECT count(*) FROM reservation WHERE status = 'CONFIRMED'").await, 0);
        let raw: Value = serde_json::from_str(played.out["shown"]["all.json"].as_str().unwrap()).unwrap();
        assert_eq!(raw["metrics"]["sold"]["values"]["count"], 8);
        app.audit().await;
    });
}

#[test]
fn an_opening_sells_every_seat_once() {
    block_on(async {
        let app = TestApp::with(&ROOMY).await;
        let (schedule, _) = app.add_schedule(1, 9, 10).await;
        let shop = open(&app).await;
        let schedule = schedule.to_string();
        let settings = [("PEOPLE", "40"), ("SECONDS", "1"), ("SCHEDULE", &*schedule), ("LEAVE", "10"), ("LAPSE", "0")];
        let played = play(shop.address, "ticket-open", &settings).await;
        assert_eq!(played.out["iterations"], 40);
        assert_eq!(played.count("sold"), 10, "{}", played.text);
        assert_eq!(app.number("SELECT count(*) FROM reservation WHERE status = 'CONFIRMED'").await, 10);
        let ended = played.count("sold") + played.count("refused") + played.count("left");
        assert_eq!(ended, 40, "{}", played.text);
        assert_eq!(played.count("refused{code:SOLD_OUT}"), played.count("refused"), "{}", played.text);
        assert!(played.count("polls") >= 40 && played.value("waited", "max") > 0.0);
        for word in ["ticket-open: 40 people within 1 s", "sold                                10", "SOLD_OUT", "p99"] {
            assert!(played.text.contains(word), "{word}: {}", played.text);
        }
        app.audit().await;
    });
}

#[test]
fn some_let_their_holds_lapse() {
    block_on(async {
        let app = TestApp::with(&ROOMY).await;
        let shop = open(&app).await;
        let settings = [("PEOPLE", "6"), ("SECONDS", "1"), ("LEAVE", "0"), ("LAPSE", "100")];
        let played = play(shop.address, "ticket-open", &settings).await;
        assert_eq!((played.count("lapsed"), played.count("sold")), (6, 0), "{}", played.text);
        assert!(played.broken().contains(&"sold: count>0".to_owned()), "a run that sells nothing is no good one");
        assert!(played.text.contains("BROKEN  sold: count>0"), "{}", played.text);
        app.audit().await;
    });
}

#[test]
fn one_seat_goes_to_one_of_all() {
    block_on(async {
        let app = TestApp::with(&ROOMY).await;
        let shop = open(&app).await;
        let played = play(shop.address, "one-seat", &[("PEOPLE", "20")]).await;
        assert_eq!(played.count("sold"), 1, "{}", played.text);
        assert_eq!(played.count("refused{code:SEAT_TAKEN}"), 19, "{}", played.text);
        assert_eq!(app.number("SELECT count(*) FROM reservation").await, 1);
        app.audit().await;
    });
}

#[test]
fn a_storm_of_polls_buys_nothing() {
    block_on(async {
        let app =
            TestApp::with(&["--max-active", "5", "--postgres-timeout-ms", "10000", "--redis-timeout-ms", "10000"])
                .await;
        let shop = open(&app).await;
        let played = play(shop.address, "poll-storm", &[("PEOPLE", "30"), ("SECONDS", "1"), ("STAY", "4")]).await;
        assert_eq!((played.count("entered"), played.count("left")), (30, 30), "{}", played.text);
        assert!(played.count("polls") >= 60, "{}", played.text);
        assert!(played.value("http_req_duration{call:rank}", "count") >= 60.0, "{}", played.text);
        assert_eq!(app.number("SELECT count(*) FROM reservation").await, 0);
        app.audit().await;
    });
}

#[test]
fn a_soak_ramps_up_and_down() {
    block_on(async {
        let app = TestApp::with(&ROOMY).await;
        let shop = open(&app).await;
        let played = play(shop.address, "soak", &[("RATE", "4"), ("SECONDS", "4")]).await;
        // Half of the rate in the first and the last second.
        let iterations = played.out["iterations"].as_u64().unwrap();
        assert!((10..=13).contains(&iterations), "{iterations}");
        assert_eq!(played.count("sold") + played.count("left"), iterations, "{}", played.text);
        assert_eq!(app.number("SELECT count(*) FROM reservation WHERE status = 'CONFIRMED'").await, 0);
        app.audit().await;
    });
}

#[test]
fn every_scenario_is_played_and_loads_nothing_from_elsewhere() {
    let tests = std::fs::read_to_string(source::repository("tests/it/k6/mod.rs")).unwrap();
    for file in source::files("k6").into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "js")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let imports = text.lines().filter_map(|line| line.strip_prefix("import ")?.rsplit_once(" from '"));
        for (_, from) in imports {
            assert!(from.starts_with("k6") || from.starts_with("./"), "{name}: {from}");
        }
        if file.parent().is_some_and(|folder| folder.ends_with("k6")) {
            assert!(tests.contains(&format!("play(shop.address, \"{name}\"")), "{name} is not played");
        }
    }
}

#[test]
fn a_setting_that_is_wrong_is_named() {
    block_on(async {
        let address = "127.0.0.1:1".parse().unwrap();
        let played = tokio::spawn(async move { play(address, "smoke", &[("RATE", "many")]).await });
        let failure = played.await.err().unwrap().into_panic().downcast::<String>().unwrap();
        assert!(failure.contains("RATE is a whole number from 1"), "{failure}");
    });
}
