//! A real nginx, with the example's configuration, between visitors and a site that knows nothing of the gate.

use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use http::HeaderMap;
use onsale::dev::{Install, Port, nginx};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::support::{SLACK, TestApp, at_once, block_on, eventually, routed};

const EXAMPLE: &str = include_str!("../../../docs/gate/nginx.conf");

/// The site says who it was told the visitor is.
async fn site(headers: HeaderMap) -> String {
    let said = |name: &str| {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join("+")
    };
    format!("site: {} in {}", said("x-onsale-user"), said("x-onsale-queue"))
}

/// nginx before a site, and the gate beside it.
struct Shop {
    url: String,
    client: Client,
    /// Ends with the test.
    _nginx: Child,
    _port: Port,
    _folder: TempDir,
    servers: JoinSet<()>,
}

async fn listen(servers: &mut JoinSet<()>, router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    servers.spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

impl Shop {
    async fn open(app: &TestApp) -> Self {
        let install =
            if std::env::var("ONSALE_INSTALL").as_deref() == Ok("0") { Install::Forbidden } else { Install::Allowed };
        let program = nginx(install).await.unwrap();
        let mut servers = JoinSet::new();
        let gate = listen(&mut servers, routed(app.app.front(Duration::from_secs(10), 1000))).await;
        let behind = listen(&mut servers, Router::new().fallback(site)).await;
        let port = Port::reserve().unwrap();

        let folder = TempDir::new().unwrap();
        let at = folder.path().display();
        // Nothing of the machine's own nginx is touched.
        let mut own = format!("http {{\n access_log off;\n client_body_temp_path {at}/body;\n");
        for kind in ["proxy", "fastcgi", "uwsgi", "scgi"] {
            _ = writeln!(own, " {kind}_temp_path {at}/{kind};");
        }
        let changed = [
            ("http {\n", &*own),
            ("listen 80;", &format!("listen 127.0.0.1:{};", port.number())),
            ("127.0.0.1:8080", &gate.to_string()),
            ("127.0.0.1:3000", &behind.to_string()),
        ];
        let configuration = changed.into_iter().fold(EXAMPLE.to_owned(), |text, (example, ours)| {
            // The comment at the top names the addresses too.
            assert!(text.contains(example), "{example}");
            text.replace(example, ours)
        });
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let globals = format!("daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;");
        let nginx = Command::new(program)
            .args(["-e", &format!("{at}/first.log"), "-p", &at.to_string(), "-g", &globals, "-c"])
            .arg(file)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let url = format!("http://127.0.0.1:{}", port.number());
        let shop = Self { url, client, _nginx: nginx, _port: port, _folder: folder, servers };
        eventually("nginx answers", Duration::from_secs(10), async || shop.get("/waiting").send().await.is_ok()).await;
        shop
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[track_caller]
fn assert_sent_away(response: &Response) {
    assert_eq!(response.status(), 302);
    assert_eq!(header(response, "location"), "/waiting?to=%2Fbuy%3Fitem%3D1");
    assert_eq!(header(response, "set-cookie"), "");
}

const SETTINGS: [&str; 4] = ["--max-active", "1", "--waiting-page", "/waiting?to={return}"];

#[test]
fn the_site_sees_only_those_whose_turn_it_is() {
    block_on(async {
        let app = TestApp::without_jobs(&SETTINGS).await;
        let shop = Shop::open(&app).await;
        let buy = || shop.get("/buy?item=1");
        assert_sent_away(&buy().send().await.unwrap());
        assert_sent_away(&buy().header("token", "forged").header("x-onsale-user", "1").send().await.unwrap());

        let entered: serde_json::Value = serde_json::from_slice(
            &shop
                .client
                .post(format!("{}/api/v1/queues/token", shop.url))
                .header("userId", "1")
                .send()
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap(),
        )
        .unwrap();
        let active = entered["data"]["token"].as_str().unwrap().to_owned();
        let waiting = app.enter(2).await;
        assert_sent_away(&buy().header("cookie", format!("onsale_token={waiting}")).send().await.unwrap());

        // In, and nothing that the visitor says of itself reaches the site.
        let lies = || buy().header("x-onsale-user", "2").header("x-onsale-queue", "vip").header("x-onsale-pass", "x");
        let response = lies().header("cookie", format!("onsale_token={active}")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let cookie = header(&response, "set-cookie").split(';').next().unwrap().to_owned();
        assert!(cookie.starts_with("onsale_pass="), "{cookie}");
        assert_eq!(response.text().await.unwrap(), "site: 1 in default");

        // A form is posted, its body to the site alone.
        let posted = shop.client.post(format!("{}/buy", shop.url)).header("token", &active).body("x".repeat(100_000));
        assert_eq!(posted.send().await.unwrap().text().await.unwrap(), "site: 1 in default");

        // The pass alone will do, and is kept.
        let response = lies().header("cookie", &cookie).send().await.unwrap();
        assert_eq!((response.status().as_u16(), header(&response, "set-cookie")), (200, ""));
        assert_eq!(response.text().await.unwrap(), "site: 1 in default");
    });
}

#[test]
fn who_leaves_is_out_with_the_pass_s_end() {
    block_on(async {
        let app = TestApp::without_jobs(&[&SETTINGS[..], &["--pass-ttl-seconds", "2"]].concat()).await;
        let shop = Shop::open(&app).await;
        let active = app.enter(1).await;
        let buy = || shop.get("/buy?item=1");
        let response = buy().header("cookie", format!("onsale_token={active}")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let cookie = header(&response, "set-cookie").split(';').next().unwrap().to_owned();

        app.leave(&active).await.data();
        let both = format!("{cookie}; onsale_token={active}");
        let out = async || buy().header("cookie", &both).send().await.unwrap().status() == 302;
        eventually("out, with the pass's end", Duration::from_secs(2) + SLACK, out).await;
        assert_sent_away(&buy().header("cookie", &both).send().await.unwrap());
    });
}

#[test]
fn a_hundred_visitors_at_once() {
    block_on(async {
        let app = TestApp::without_jobs(&["--max-active", "50", "--waiting-page", "/waiting?to={return}"]).await;
        let shop = Shop::open(&app).await;
        let mut calls = Vec::new();
        for user in 1..=100 {
            let visit = shop.get("/buy?item=1").header("cookie", format!("onsale_token={}", app.enter(user).await));
            calls.push(async move {
                let response = visit.send().await.unwrap();
                (user, response.status().as_u16(), response.text().await.unwrap())
            });
        }
        for (user, status, text) in at_once(calls).await {
            match user {
                1..=50 => assert_eq!((status, text), (200, format!("site: {user} in default"))),
                _ => assert_eq!(status, 302, "{user}"),
            }
        }
    });
}

#[test]
fn while_the_gate_cannot_tell_nobody_goes_through() {
    block_on(async {
        let app = TestApp::without_jobs(&SETTINGS).await;
        let mut shop = Shop::open(&app).await;
        let token = app.enter(1).await;
        assert_eq!(shop.get("/buy").header("token", &token).send().await.unwrap().status(), 200);
        shop.servers.abort_all();
        while shop.servers.join_next().await.is_some() {}
        assert!(shop.get("/buy").header("token", &token).send().await.unwrap().status().is_server_error());
    });
}
