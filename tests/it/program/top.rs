//! `onsale top`: once, block by block, and over a whole terminal, which is given back.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::admin::{OPERATED, OPERATOR};
use super::serve::Serving;
use super::{onsale, run};
use crate::support::{SLACK, block_on, eventually};

const TAKEN: &str = "\x1b[?1049h\x1b[?25l";
const GIVEN_BACK: &str = "\x1b[?25h\x1b[?1049l";

/// With one place and a crowd before it.
async fn crowded() -> Serving {
    let serving = Serving::start(&[&OPERATED[..], &["--max-active", "2", "--admit-per-second", "2"]].concat()).await;
    for user in 1..=9 {
        enter(&serving, user).await;
    }
    serving
}

async fn enter(serving: &Serving, user: i64) -> String {
    let enter = serving.client().post(format!("http://{}/api/v1/queues/token", serving.api));
    let answer: Value = enter.header("userId", user).send().await.unwrap().json().await.unwrap();
    answer["data"]["token"].as_str().unwrap().to_owned()
}

fn top(serving: &Serving, args: &[&str]) -> Command {
    let url = format!("http://{}", serving.api);
    onsale(&[&["top"], args].concat(), &[("ONSALE_URL", &url), ("ONSALE_ADMIN_TOKEN", OPERATOR)])
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().unwrap().try_into().unwrap()), signal).unwrap();
}

async fn ends_well(mut child: Child) {
    let ended = tokio::time::timeout(Duration::from_secs(5) + SLACK, child.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
}

#[test]
fn once_is_one_block() {
    block_on(async {
        let serving = crowded().await;
        let all_counted = async || {
            let ran = top(&serving, &["--once"]).output().await.unwrap();
            let text = String::from_utf8(ran.stdout).unwrap();
            assert_eq!((ran.status.code(), ran.stderr.len()), (Some(0), 0), "{text}");
            assert!(!text.contains('\x1b') && !text.contains(OPERATOR), "{text}");
            assert!(text.starts_with("onsale top  20") && text.ends_with("\n\n"), "{text}");
            let queue: Vec<_> =
                text.lines().find(|line| line.starts_with("default")).unwrap().split_whitespace().collect();
            assert_eq!(text.lines().filter(|line| line.ends_with("[....................]")).count(), 30, "{text}");
            assert!(text.contains("0 held   0 payments (0.0 a second)   0 won"), "{text}");
            queue == ["default", "7", "2", "2", "0.0", "-", "2", "open"]
        };
        eventually("all are counted", Duration::from_secs(10), all_counted).await;

        let ran = top(&serving, &["--once", "--json", "--concert", "1"]).output().await.unwrap();
        let view: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(view["queues"][0]["waiting"], 7, "{view}");
        assert_eq!((&view["total"], view["schedules"].as_array().unwrap().len()), (&json!(3), 3));
        assert_eq!(view["totals"], json!({ "holdsLive": 0, "payments": 0, "paymentsPerSecond": 0.0, "won": 0 }));

        let url = format!("http://{}", serving.api);
        let another = OPERATOR.replace('f', "0");
        let wrong = run(&["top", "--once"], &[("ONSALE_URL", &url), ("ONSALE_ADMIN_TOKEN", &another)]).await;
        assert_eq!((wrong.code, &*wrong.stdout, wrong.stderr.lines().count()), (Some(1), "", 1), "{wrong:?}");
        let gone = [("ONSALE_URL", "http://127.0.0.1:1"), ("ONSALE_ADMIN_TOKEN", OPERATOR)];
        let gone = run(&["top"], &gone).await;
        assert_eq!((gone.code, &*gone.stdout, gone.stderr.lines().count()), (Some(1), "", 1), "{gone:?}");
    });
}

/// The next moment that a program reads.
async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = tokio::time::timeout(Duration::from_secs(10) + SLACK, lines.next_line()).await;
    serde_json::from_str(&line.unwrap().unwrap().unwrap()).unwrap()
}

/// The first of the next moments whose queue is like this.
async fn when(lines: &mut Lines<BufReader<ChildStdout>>, is_like: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..20 {
        let queue = next(lines).await["queues"][0].take();
        if is_like(&queue) {
            return queue;
        }
    }
    panic!("never");
}

#[test]
fn programs_read_a_line_an_interval_with_speeds() {
    block_on(async {
        let mut serving = crowded().await;
        let mut watching = top(&serving, &["--json"]).spawn().unwrap();
        let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
        let mut errors = BufReader::new(watching.stderr.take().unwrap()).lines();
        let first = next(&mut lines).await;
        assert_eq!(first["queues"][0]["admittedPerSecond"], Value::Null, "one look knows no speed");
        let pause = serving.client().post(format!("http://{}/admin/v1/queues/default/pause", serving.api));
        pause.bearer_auth(OPERATOR).send().await.unwrap().error_for_status().unwrap();
        when(&mut lines, |queue| queue["paused"] == true).await;
        let resume = serving.client().post(format!("http://{}/admin/v1/queues/default/resume", serving.api));
        resume.bearer_auth(OPERATOR).send().await.unwrap().error_for_status().unwrap();
        // Those who are in leave, and others are let in for them.
        for user in [1, 2] {
            let token = enter(&serving, user).await;
            let leave = serving.client().delete(format!("http://{}/api/v1/queues/token", serving.api));
            leave.header("token", token).send().await.unwrap().error_for_status().unwrap();
        }
        let moving =
            when(&mut lines, |queue| queue["admittedPerSecond"].as_f64().is_some_and(|speed| speed > 0.0)).await;
        let (speed, waiting) = (moving["admittedPerSecond"].as_f64().unwrap(), moving["waiting"].as_f64().unwrap());
        assert!(speed < 5.0 && waiting >= 5.0, "{moving}");
        assert_eq!(moving["secondsToEmpty"].as_f64(), Some((waiting / speed).ceil()), "{moving}");

        // A server that goes away is told of, and waited for.
        serving.child.kill().await.unwrap();
        let error = tokio::time::timeout(Duration::from_secs(10) + SLACK, errors.next_line()).await;
        let error = error.unwrap().unwrap().unwrap();
        assert!(error.starts_with("error: nothing answers at "), "{error}");
        signal(&watching, Signal::SIGTERM);
        ends_well(watching).await;
    });
}

#[test]
fn whoever_has_read_enough_ends_it() {
    block_on(async {
        let serving = crowded().await;
        let mut watching = top(&serving, &[]).spawn().unwrap();
        let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
        assert!(lines.next_line().await.unwrap().unwrap().starts_with("onsale top"));
        drop(lines);
        ends_well(watching).await;
    });
}

/// A terminal, and what has been written on it.
struct Terminal {
    ours: tokio::fs::File,
    theirs: OwnedFd,
    seen: String,
}

impl Terminal {
    fn new(rows: u16, columns: u16) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        Self { ours: tokio::fs::File::from_std(pty.master.into()), theirs: pty.slave, seen: String::new() }
    }

    /// Reads until there is this, beginning at so many bytes.
    async fn until(&mut self, from: usize, what: &str) {
        let reading = async {
            let mut bytes = [0; 4096];
            let mut rest = Vec::new();
            while !self.seen[from..].contains(what) {
                let count = self.ours.read(&mut bytes).await.unwrap_or_default();
                assert!(count > 0, "{what:?} in {:?}", self.seen);
                rest.extend_from_slice(&bytes[..count]);
                // A letter may come in two parts.
                if let Ok(text) = std::str::from_utf8(&rest) {
                    self.seen += text;
                    rest.clear();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10) + SLACK, reading).await.unwrap_or_else(|_| panic!("no {what:?}"));
    }

    /// The lines of the last whole picture.
    fn picture(&self) -> Vec<&str> {
        let (_, picture) = self.seen[..self.seen.rfind("\x1b[J").unwrap()].rsplit_once("\x1b[H").unwrap();
        picture.split('\n').map(|line| line.trim_end_matches('\r').trim_end_matches("\x1b[K")).collect()
    }
}

#[test]
fn a_terminal_is_filled_followed_and_given_back() {
    block_on(async {
        let serving = crowded().await;
        let mut terminal = Terminal::new(12, 60);
        let mut watching = top(&serving, &["--interval-seconds", "60"]);
        watching.stdout(Stdio::from(terminal.theirs.try_clone().unwrap()));
        let watching = watching.spawn().unwrap();
        terminal.until(0, "\x1b[J").await;
        assert!(terminal.seen.starts_with(TAKEN), "{:?}", terminal.seen);
        let picture = terminal.picture();
        assert_eq!(picture.len(), 12, "{picture:#?}");
        assert!(picture.iter().all(|line| line.chars().count() <= 60), "{picture:#?}");
        assert_eq!(picture[11], "… 26 more", "{picture:#?}");

        // Made larger, it is filled again, before the next look.
        let theirs = terminal.theirs.try_clone().unwrap();
        let stty = Command::new("stty").args(["rows", "50", "cols", "100"]).stdin(Stdio::from(theirs)).status();
        assert!(stty.await.unwrap().success());
        signal(&watching, Signal::SIGWINCH);
        let from = terminal.seen.len();
        terminal.until(from, "[....................]\x1b[K\x1b[J").await;
        let rows = terminal.picture().len();
        assert_eq!(rows, 3 + 2 + 1 + 31, "all there is: {:#?}", terminal.picture());

        signal(&watching, Signal::SIGINT);
        terminal.until(0, GIVEN_BACK).await;
        let from = terminal.seen.find(GIVEN_BACK).unwrap();
        terminal.until(from, "\r\n\r\n").await;
        assert!(terminal.seen[from..].contains("onsale top"), "what was seen last stays");
        ends_well(watching).await;
        assert!(!terminal.seen.contains(OPERATOR));
    });
}
