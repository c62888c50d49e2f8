//! `onsale burst` against a real service with fewer seats than people.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Parser;
use onsale::burst::{self, BurstError, BurstSettings, Report};
use onsale::dev::Port;
use onsale::settings::{Cli, Command};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Proxy, TestApp, block_on, routed};

/// A service on a socket, until it is dropped.
struct Shop {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Shop {
    async fn open(app: &TestApp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = routed(app.app.front(Duration::from_secs(20), 20_000));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, serving }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn settings(address: SocketAddr, args: &[&str]) -> BurstSettings {
    let base = format!("http://{address}");
    let picture: &[&str] = if args.contains(&"--svg") { &[] } else { &["--svg", ""] };
    match Cli::parse_from([&["onsale", "burst", "--base", &base], picture, args].concat()).command {
        Command::Burst(settings) => settings,
        _ => unreachable!(),
    }
}

async fn burst(address: SocketAddr, args: &[&str]) -> Result<Report, BurstError> {
    burst::run(&settings(address, args), CancellationToken::new()).await
}

/// A machine that is busy with other tests is slow.
const ROOMY: [&str; 8] =
    ["--max-active", "40", "--admit-per-second", "60", "--postgres-timeout-ms", "10000", "--redis-timeout-ms", "10000"];

#[test]
fn three_hundred_people_for_sixty_seats() {
    block_on(async {
        let app = TestApp::with(&ROOMY).await;
        let (schedule, _) = app.add_schedule(1, 9, 60).await;
        let shop = Shop::open(&app).await;
        let folder = TempDir::new().unwrap();
        let svg = folder.path().join("burst.svg");
        let schedule = schedule.to_string();
        let args = ["--users", "300", "--seconds", "1", "--leave", "5", "--first-user", "5000"];
        let what = ["--schedule", &schedule, "--svg", svg.to_str().unwrap()];
        let report = burst(shop.address, &[&args[..], &what].concat()).await.unwrap();

        assert_eq!(report.complaint(), None, "{report}");
        assert_eq!(report.sold, 60, "{report}");
        assert_eq!(app.number("SELECT count(*) FROM reservation WHERE status = 'CONFIRMED'").await, 60);
        let outside = app.number("SELECT count(*) FROM reservation WHERE user_id NOT BETWEEN 5001 AND 5300").await;
        assert_eq!(outside, 0, "the users are those after the first");
        // Everybody ended in exactly one way.
        let refused: u64 = report.refused.values().sum();
        assert_eq!(report.sold + report.left + report.lapsed + refused, 300, "{report}");
        assert_eq!(report.refused.keys().map(String::as_str).collect::<Vec<_>>(), ["SOLD_OUT"], "{report}");
        assert_eq!(report.admitted, 300 - report.left, "{report}");
        let (first, last) = (report.timeline.first().unwrap(), report.timeline.last().unwrap());
        assert_eq!((first.sold, last.sold, last.waiting, last.admitted), (0, 60, 0, report.admitted));
        assert!(report.timeline.iter().any(|moment| moment.waiting > 40), "there was a queue");
        assert_eq!((report.time_to_ticket.count, report.calls["entering"].count), (60, 300));
        assert!(report.calls["poll"].count >= 300 && report.requests >= 300 * 3);

        let text = report.to_string();
        for word in ["sold                                60", "refused: SOLD_OUT", "time to ticket", "p99", "a second"]
        {
            assert!(text.contains(word), "{word}: {text}");
        }
        let svg = std::fs::read_to_string(svg).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains("300 people within 1 s") && svg.ends_with("</svg>\n"));
        app.audit().await;
    });
}

#[test]
fn without_being_told_it_sells_the_first_date_with_free_seats_and_lets_holds_lapse() {
    block_on(async {
        let app = TestApp::with(&ROOMY).await;
        // The first concert is over, and has a queue of its own.
        app.add_queue("first", 1).await;
        let past = "UPDATE concert_schedule SET date = date - 1000 WHERE concert_id = 1";
        sqlx::query(past).execute(app.pool()).await.unwrap();
        app.refresh().await;
        let shop = Shop::open(&app).await;
        let report = burst(shop.address, &["--users", "20", "--seconds", "0", "--lapse", "100"]).await.unwrap();
        assert_eq!((report.complaint(), report.sold, report.lapsed), (None, 0, 20), "{report}");
        assert_eq!(report.schedule.get(), 4, "concert 2's first date");
        let mistaken = burst(shop.address, &["--users", "2", "--seconds", "0", "--schedule", "999999"]).await.unwrap();
        assert!(mistaken.complaint().is_some_and(|complaint| complaint.contains("999999 is not there")), "{mistaken}");
        let again = burst(shop.address, &["--users", "20", "--seconds", "0", "--concert", "2"]).await.unwrap();
        assert_eq!(again.sold, 20, "other users, by the clock: {again}");
        app.audit().await;
    });
}

#[test]
fn a_server_that_goes_away_is_an_error_and_no_hang() {
    block_on(async {
        let app =
            TestApp::with(&["--max-active", "1", "--postgres-timeout-ms", "10000", "--redis-timeout-ms", "10000"])
                .await;
        let shop = Shop::open(&app).await;
        let proxy = Proxy::before(&format!("http://{}", shop.address)).await;
        let begun = Instant::now();
        let address = proxy.url(&format!("http://{}", shop.address)).trim_start_matches("http://").parse().unwrap();
        let settings = settings(address, &["--users", "50", "--seconds", "0", "--schedule", "1"]);
        let bursting = tokio::spawn(async move { burst::run(&settings, CancellationToken::new()).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        // What was sent gets no answer, and what is sent anew finds nobody.
        proxy.swallow();
        drop(proxy);
        let report = bursting.await.unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
        assert!(report.complaint().is_some_and(|complaint| complaint.contains("stopped answering")), "{report}");
        assert!(report.refused["no answer"] > 0, "{report}");
    });
}

#[test]
fn it_says_what_it_cannot_do() {
    block_on(async {
        let port = Port::reserve().unwrap();
        let nobody = SocketAddr::from(([127, 0, 0, 1], port.number()));
        let refused = burst(nobody, &["--users", "1"]).await.unwrap_err();
        assert!(matches!(refused, BurstError::NotThere { .. }), "{refused}");
        assert_eq!(refused.to_string(), format!("there is no onsale at http://{nobody}/: no answer"));
        let far = burst("10.1.2.3:80".parse().unwrap(), &[]).await.unwrap_err();
        assert!(matches!(far, BurstError::Elsewhere(_)) && far.to_string().contains("--anywhere"), "{far}");
    });
}
