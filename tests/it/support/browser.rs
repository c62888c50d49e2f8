//! A real Chromium, without a window, as a visitor uses it. Each browser has a profile of its own; a guardian ends it with
//! this process. What goes wrong in a page is written to its console, and a test that closes its browser finds that empty.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use onsale::dev::{self, Install, Port};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use super::{ONSALE, Socket, eventually, python};

/// How long anything in a page may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What axe-core found, as text: `[]` if nothing.
const RUN_AXE: &str = "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => JSON.stringify(
    violations.map(({ id, help, nodes }) => [id, help, nodes.map(({ html, failureSummary }) => [html, failureSummary])])))";

/// How a visitor looks at pages.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub height: u32,
    pub language: &'static str,
    pub dark: bool,
    /// Whether pages' scripts run.
    pub scripts: bool,
}

/// On a phone, in English.
pub const PHONE: Look = Look { width: 360, height: 740, language: "en", dark: false, scripts: true };

/// A browser, open at one page at a time.
pub struct Browser {
    pub client: Client,
    base: String,
    session: String,
    _chromium: Child,
    _profile: TempDir,
}

/// What drives all browsers of this run.
struct Driver {
    programs: dev::Browser,
    url: String,
    _process: Child,
    _port: Port,
    _folder: TempDir,
}

/// A program that ends with this process; what it says goes nowhere.
fn guarded(folder: &Path, program: &Path, args: &[String]) -> Child {
    let mut command = Command::new(ONSALE);
    command.arg("guard").arg("--dir").arg(folder).arg("--pid-file").arg(folder.join("pid"));
    command.args(["--stop-signal", "TERM", "--"]).arg(program).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

async fn driver() -> &'static Driver {
    static DRIVER: OnceCell<Driver> = OnceCell::const_new();
    DRIVER
        .get_or_init(async || {
            let forbidden = std::env::var("ONSALE_INSTALL").as_deref() == Ok("0");
            let install = if forbidden { Install::Forbidden } else { Install::Allowed };
            let (programs, folder) = (dev::browser(install).await.unwrap(), TempDir::new().unwrap());
            let port = Port::reserve().unwrap();
            let process = guarded(folder.path(), &programs.driver, &[format!("--port={}", port.number())]);
            let url = format!("http://127.0.0.1:{}", port.number());
            let ready = async || reqwest::get(format!("{url}/status")).await.is_ok_and(|answer| answer.status() == 200);
            eventually("chromedriver answers", PATIENCE, ready).await;
            Driver { programs, url, _process: process, _port: port, _folder: folder }
        })
        .await
}

impl Browser {
    /// One that looks at what this socket serves.
    pub async fn open(socket: &Socket, look: Look) -> Self {
        let (driver, profile) = (driver().await, TempDir::new().unwrap());
        let mut args: Vec<String> = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-port=0",
        ]
        .map(str::to_owned)
        .into();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        args.push(format!("--accept-lang={}", look.language));
        args.push(format!("--window-size={},{}", look.width, look.height));
        args.push("about:blank".to_owned());
        let chromium = guarded(profile.path(), &driver.programs.chromium, &args);
        let said = profile.path().join("DevToolsActivePort");
        let port = || std::fs::read_to_string(&said).ok()?.lines().next().map(str::to_owned).filter(|_| said.exists());
        eventually("Chromium is there", PATIENCE, async || port().is_some_and(|port| !port.is_empty())).await;
        let address = format!("127.0.0.1:{}", port().unwrap());
        let wishes = json!({
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"debuggerAddress": address},
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wishes.as_object().unwrap().clone());
        let client = builder.connect(&driver.url).await.unwrap();
        let session = format!("{}/session/{}", driver.url, client.session_id().await.unwrap().unwrap());
        let base = format!("http://{}", socket.address());
        let browser = Self { client, base, session, _chromium: chromium, _profile: profile };
        browser.look(look).await;
        browser
    }

    /// Looks otherwise from now on; the language stays.
    pub async fn look(&self, look: Look) {
        let screen =
            json!({"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 600});
        self.tell("Emulation.setDeviceMetricsOverride", screen).await;
        let scheme = if look.dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tell("Emulation.setEmulatedMedia", features).await;
        self.tell("Emulation.setScriptExecutionDisabled", json!({"value": !look.scripts})).await;
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let sent = reqwest::Client::new().post(format!("{}/{path}", self.session)).json(body).send().await.unwrap();
        let answer: Value = sent.json().await.unwrap();
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {answer}");
        answer["value"].clone()
    }

    /// Tells Chromium something by its own protocol.
    pub async fn tell(&self, command: &str, parameters: Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    /// Cuts the browser off from the network, or connects it again.
    pub async fn cut_off(&self, is_cut: bool) {
        self.tell("Network.enable", json!({})).await;
        let network = json!({"offline": is_cut, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.tell("Network.emulateNetworkConditions", network).await;
    }

    /// Goes to a page of the shop.
    pub async fn goto(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    /// The path and query of where it is.
    pub async fn place(&self) -> String {
        self.client.current_url().await.unwrap().as_str().trim_start_matches(&self.base).to_owned()
    }

    /// The first element of this kind, once it is there.
    #[track_caller]
    pub fn find(&self, css: &str) -> impl Future<Output = Element> {
        let wait = self.until(format!("{css} is there"), async || self.has(css).await);
        async move {
            wait.await;
            self.client.find(Locator::Css(css)).await.unwrap()
        }
    }

    /// Whether there is an element of this kind that can be seen.
    pub async fn has(&self, css: &str) -> bool {
        let Ok(element) = self.client.find(Locator::Css(css)).await else { return false };
        element.is_displayed().await.unwrap_or(false)
    }

    /// Its text as it is seen; empty where there is none.
    pub async fn text(&self, css: &str) -> String {
        let Ok(element) = self.client.find(Locator::Css(css)).await else { return String::new() };
        element.text().await.unwrap_or_default()
    }

    /// Waits until an element's text has this in it.
    #[track_caller]
    pub fn sees(&self, css: &str, text: &str) -> impl Future<Output = ()> {
        self.until(format!("{css} says {text}"), async move || self.text(css).await.contains(text))
    }

    /// Waits until it is so.
    #[track_caller]
    pub fn until(&self, what: impl Into<String>, mut is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
        let (asker, what) = (std::panic::Location::caller(), what.into());
        async move {
            let begun = Instant::now();
            while !is_so().await {
                if begun.elapsed() > PATIENCE {
                    let seen = self.text("main").await;
                    panic!("{asker}: not so within {PATIENCE:?}: {what}; seen: {seen}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Clicks on the first element of this kind, once it is there.
    #[track_caller]
    pub fn click(&self, css: &str) -> impl Future<Output = ()> {
        let find = self.find(css);
        async move { find.await.click().await.unwrap() }
    }

    /// Presses keys where the focus is.
    pub async fn press(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Whether one has to scroll sideways to see all of the page.
    pub async fn is_too_wide(&self) -> bool {
        self.run("return document.documentElement.scrollWidth > document.documentElement.clientWidth").await == true
    }

    /// axe-core has nothing to say of the page as it is now: WCAG at levels A and AA, and its best practices.
    #[track_caller]
    pub fn assert_accessible(&self) -> impl Future<Output = ()> {
        let asker = std::panic::Location::caller();
        async move {
            let axe = std::fs::read_to_string(python().await.axe()).unwrap();
            // Past the page's policy, which would not let it in.
            self.tell("Runtime.evaluate", json!({"expression": axe, "silent": true})).await;
            let run = json!({"expression": RUN_AXE, "awaitPromise": true, "returnByValue": true});
            let found = self.tell("Runtime.evaluate", run).await["result"]["value"]
                .as_str()
                .unwrap_or("axe did not answer")
                .to_owned();
            assert_eq!(found, "[]", "{asker}");
        }
    }

    /// What was written to the page's console since it was read last: warnings and worse.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"})).await;
        let is_bad = |line: &&Value| line["level"] == "SEVERE" || line["level"] == "WARNING";
        log.as_array().unwrap().iter().filter(is_bad).map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Closes it; nothing must have gone wrong in a page.
    #[track_caller]
    pub fn close(self) -> impl Future<Output = ()> {
        let asker = std::panic::Location::caller();
        async move {
            let complaints = self.complaints().await;
            assert!(complaints.is_empty(), "{asker}: {complaints:?}");
            self.client.close().await.unwrap();
        }
    }
}
