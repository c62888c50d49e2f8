//! A Prometheus of a test's own, with the files of `monitoring/`, but for whom it asks and how often.

use std::fs;
use std::process::{Output, Stdio};
use std::time::Duration;

use onsale::dev::{self, Install, Port};
use reqwest::{Client, Url};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::lua::source::{files, repository};
use crate::support::eventually;

/// Prometheus and promtool, installed where they are missing.
pub struct Programs(dev::Prometheus);

impl Programs {
    pub async fn find() -> Self {
        let install =
            if std::env::var("ONSALE_INSTALL").as_deref() == Ok("0") { Install::Forbidden } else { Install::Allowed };
        Self(dev::prometheus(install).await.unwrap())
    }

    /// What promtool says, run in the repository.
    pub async fn promtool(&self, args: &[&str], stdin: Stdio) -> Output {
        let mut promtool = Command::new(&self.0.promtool);
        promtool.args(args).stdin(stdin).current_dir(repository("")).output().await.unwrap()
    }
}

/// A Prometheus that asks each second.
pub struct Watching {
    url: String,
    client: Client,
    /// Ends with the test.
    _prometheus: Child,
    _port: Port,
    _folder: TempDir,
}

impl Watching {
    /// `changed`: what stands there otherwise than in the repository, first the one and then the other.
    pub async fn start(programs: &Programs, changed: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let at = folder.path();
        fs::create_dir(at.join("rules")).unwrap();
        for file in files("monitoring/rules") {
            let text = fs::read_to_string(&file).unwrap();
            fs::write(at.join("rules").join(file.file_name().unwrap()), text).unwrap();
        }
        let example = fs::read_to_string(repository("monitoring/prometheus.yml")).unwrap();
        let often =
            [("scrape_interval: 5s", "scrape_interval: 1s"), ("evaluation_interval: 5s", "evaluation_interval: 1s")];
        let configuration = often.iter().chain(changed).fold(example, |text, (example, ours)| {
            assert!(text.contains(example), "{example}");
            text.replace(example, ours)
        });
        let file = at.join("prometheus.yml");
        fs::write(&file, configuration).unwrap();
        let port = Port::reserve().unwrap();
        let prometheus = Command::new(&programs.0.server)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", at.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", port.number()))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let url = format!("http://127.0.0.1:{}", port.number());
        let ready =
            async || client.get(format!("{url}/-/ready")).send().await.is_ok_and(|answer| answer.status() == 200);
        eventually("Prometheus is ready", Duration::from_mins(1), ready).await;
        Self { url, client, _prometheus: prometheus, _port: port, _folder: folder }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = Url::parse_with_params(&format!("{}{path}", self.url), query).unwrap();
        let answer: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        answer["data"].clone()
    }

    /// The values that a query has now; those that are no numbers are none.
    pub async fn query(&self, query: &str) -> Vec<f64> {
        let data = self.get("/api/v1/query", &[("query", query)]).await;
        let value = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
        let values: Vec<f64> = match data["resultType"].as_str() {
            Some("scalar") => vec![value(&data["result"][1])],
            _ => data["result"].as_array().unwrap().iter().map(|series| value(&series["value"][1])).collect(),
        };
        values.into_iter().filter(|value| !value.is_nan()).collect()
    }

    /// Every rule, as Prometheus has it.
    pub async fn rules(&self) -> Vec<Value> {
        let data = self.get("/api/v1/rules", &[]).await;
        let groups = data["groups"].as_array().unwrap().iter();
        groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    /// Every name that Prometheus has a series of.
    pub async fn names(&self) -> Vec<String> {
        let data = self.get("/api/v1/label/__name__/values", &[]).await;
        data.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }
}
