//! `onsale admin`, against a running server: every verb, as people and as programs read it, and what it says when it cannot.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::serve::Serving;
use super::{KEY, Ran, onsale, run};
use crate::support::block_on;

/// The operator's token: another than the one that authenticates the queue's.
pub const OPERATOR: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

pub const OPERATED: [&str; 2] = ["--admin-token", OPERATOR];

const PLAN: &str = r#"{"title":"밤의 노래","queue":"big","schedules":[{"date":"2198-12-24","sections":[{"section":"R","price":150000,"rows":["A","B"],"seatsPerRow":2}]}]}"#;
const SCHEDULE: &str = r#"{"date":"2198-12-25","seats":[{"section":"S","row":"C","number":7,"price":90000}]}"#;

/// An operator at a server.
struct Desk {
    serving: Serving,
    url: String,
}

impl Desk {
    async fn open() -> Self {
        let serving = Serving::start(&OPERATED).await;
        let url = format!("http://{}", serving.api);
        Self { serving, url }
    }

    async fn run(&self, args: &[&str]) -> Ran {
        let variables = [("ONSALE_URL", &*self.url), ("ONSALE_ADMIN_TOKEN", OPERATOR)];
        let ran = run(&[&["admin"], args].concat(), &variables).await;
        assert!(!format!("{ran:?}").contains(OPERATOR), "the token is never shown: {ran:?}");
        ran
    }

    /// What people read.
    async fn says(&self, args: &[&str]) -> String {
        let ran = self.run(args).await;
        assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{args:?}: {ran:?}");
        ran.stdout
    }

    /// What programs read: one line.
    async fn json(&self, args: &[&str]) -> Value {
        let says = self.says(&[args, &["--json"]].concat()).await;
        assert_eq!(says.lines().count(), 1, "{says}");
        serde_json::from_str(&says).unwrap()
    }

    /// The one line of complaint.
    async fn complains(&self, args: &[&str]) -> String {
        let ran = self.run(args).await;
        assert_eq!((ran.code, &*ran.stdout, ran.stderr.lines().count()), (Some(1), "", 1), "{args:?}: {ran:?}");
        ran.stderr
    }
}

/// The words of the line that begins with this one.
fn words<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(first));
    line.unwrap_or_else(|| panic!("no line of {first}: {text}")).split_whitespace().collect()
}

#[test]
fn queues_are_made_set_stopped_and_shown() {
    block_on(async {
        let desk = Desk::open().await;
        let opens = "opensAt=2198-11-24T20:00:00+09:00";
        let made = desk.says(&["queue", "create", "big", "maxActive=5000", "stockFactor=1.5", opens]).await;
        assert!(made.starts_with("big (not open yet): "), "{made}");
        assert_eq!(words(&made, "maxActive"), ["maxActive", "5000", "the", "queue"]);
        assert_eq!(words(&made, "stockFactor"), ["stockFactor", "1.5", "the", "queue"]);
        assert_eq!(words(&made, "opensAt"), ["opensAt", "2198-11-24T11:00:00.000Z", "the", "queue"]);
        assert_eq!(words(&made, "holdTtlSeconds"), ["holdTtlSeconds", "300", "the", "server"]);

        let set = desk.json(&["queue", "set", "big", "maxActive=null", "admitPerSecond=7", "opensAt=null"]).await;
        assert_eq!(set["set"], json!(["admitPerSecond", "stockFactor"]), "{set}");
        assert_eq!((&set["settings"]["maxActive"], &set["settings"]["admitPerSecond"]), (&json!(1000), &json!(7)));

        for (verb, state, paused, draining) in [
            ("pause", "paused", true, false),
            ("drain", "paused, draining", true, true),
            ("resume", "open", false, false),
            ("drain", "draining", false, true),
        ] {
            let says = desk.says(&["queue", verb, "big"]).await;
            assert!(says.starts_with(&format!("big ({state}): ")), "{says}");
            let shown = desk.json(&["queue", "show", "big"]).await;
            assert_eq!(
                (&shown["settings"]["paused"], &shown["settings"]["draining"]),
                (&json!(paused), &json!(draining))
            );
        }

        let queues = desk.says(&["queues"]).await;
        assert!(queues.starts_with("QUEUE    WAITING  ACTIVE  MAX ACTIVE  A SECOND  ADMITTED  STATE"), "{queues}");
        let big = words(&queues, "big");
        assert_eq!((big[3], big[4], big[6]), ("1,000", "7", "draining"), "{queues}");
        let queues = desk.json(&["queues"]).await;
        assert_eq!((&queues["total"], queues["queues"].as_array().unwrap().len()), (&json!(2), 2));
    });
}

#[test]
fn a_list_of_several_pages_is_whole() {
    block_on(async {
        let desk = Desk::open().await;
        let mut database = <sqlx::PgConnection as sqlx::Connection>::connect(desk.serving.database()).await.unwrap();
        let add = "INSERT INTO queue (name) SELECT 'q' || n FROM generate_series(1, 204) n";
        sqlx::query(add).execute(&mut database).await.unwrap();
        assert_eq!(desk.json(&["queues"]).await["queues"].as_array().unwrap().len(), 205);
        assert_eq!(desk.says(&["queues"]).await.lines().count(), 206);
        let first = chrono::NaiveDate::from_ymd_opt(2198, 1, 1).unwrap();
        let seat = json!([{ "section": "S", "row": "A", "number": 1, "price": 1 }]);
        let dates = first.iter_days().take(100).map(|date| json!({ "date": date.to_string(), "seats": seat }));
        let plan = json!({ "title": "Every day", "schedules": dates.collect::<Vec<_>>() });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plan"), plan.to_string()).unwrap();
        desk.says(&["concerts", "create", folder.path().join("plan").to_str().unwrap()]).await;
        let figures = desk.json(&["figures"]).await;
        assert_eq!((&figures["total"], figures["schedules"].as_array().unwrap().len()), (&json!(130), 130));

        let add = "INSERT INTO admin_audit (operator, action, target, request, outcome, request_id)
                   SELECT 'ann', 'SET_QUEUE', 'queue default', '{}', '{}', 'r' FROM generate_series(1, 103)";
        sqlx::query(add).execute(&mut database).await.unwrap();
        for (count, shown) in [("102", 102), ("100", 100), ("500", 104)] {
            let log = desk.json(&["log", count]).await;
            assert_eq!(log["entries"].as_array().unwrap().len(), shown, "{count}");
            assert_eq!(log["nextCursor"].is_null(), count == "500", "{count}");
        }
    });
}

#[test]
fn concerts_are_made_and_shown_and_the_log_has_it() {
    block_on(async {
        let desk = Desk::open().await;
        let folder = tempfile::tempdir().unwrap();
        let plan = folder.path().join("plan.json");
        std::fs::write(&plan, PLAN).unwrap();
        let made = desk.says(&["concerts", "create", plan.to_str().unwrap()]).await;
        assert!(made.starts_with("Concert 11 is made.\n"), "{made}");
        assert_eq!(words(&made, "31"), ["31", "2198-12-24", "4"]);

        // From standard input, as a program would.
        let variables = [("ONSALE_URL", &*desk.url), ("ONSALE_ADMIN_TOKEN", OPERATOR)];
        let mut adding = onsale(&["admin", "concerts", "add-schedule", "11", "--json"], &variables);
        let mut adding = adding.stdin(Stdio::piped()).spawn().unwrap();
        adding.stdin.take().unwrap().write_all(SCHEDULE.as_bytes()).await.unwrap();
        let added = adding.wait_with_output().await.unwrap();
        let added: Value = serde_json::from_slice(&added.stdout).unwrap();
        assert_eq!(added, json!({ "concertScheduleId": 32, "date": "2198-12-25", "seats": 1 }));

        let concerts = desk.says(&["concerts", "list"]).await;
        assert_eq!(concerts.lines().count(), 1 + 30 + 2, "{concerts}");
        let ours = concerts.lines().filter(|line| line.ends_with("밤의 노래")).count();
        assert_eq!(ours, 2, "{concerts}");
        assert_eq!(desk.json(&["concerts", "list"]).await["total"], 11);

        let seats = desk.says(&["concerts", "seats", "31"]).await;
        assert_eq!(
            (seats.lines().count(), seats.lines().nth(4).unwrap().contains("150,000  B    R")),
            (5, true),
            "{seats}"
        );
        assert_eq!(desk.json(&["concerts", "seats", "32"]).await["seats"][0]["number"], 7);

        let figures = desk.says(&["figures", "11"]).await;
        assert_eq!(words(&figures, "31"), ["31", "2198-12-24", "4", "0", "0"]);
        assert!(figures.ends_with("0 held, 0 payments, 0 won\n") && !figures.contains("\n  1  "), "{figures}");
        let figures = desk.json(&["figures"]).await;
        assert_eq!((&figures["total"], figures["schedules"].as_array().unwrap().len()), (&json!(32), 32));

        let log = desk.says(&["log"]).await;
        let acts: Vec<_> = log.lines().skip(1).map(|line| line.split_whitespace().nth(2).unwrap()).collect();
        assert_eq!(acts, ["ADD_SCHEDULE", "CREATE_CONCERT"], "{log}");
        assert!(log.contains("admin") && log.contains("concert 11") && log.contains("밤의 노래"), "{log}");
        assert_eq!(desk.json(&["log", "1"]).await["entries"][0]["action"], "ADD_SCHEDULE");
    });
}

#[test]
fn what_the_server_refuses_is_one_line() {
    block_on(async {
        let desk = Desk::open().await;
        for (args, says) in [
            (&["queue", "show", "nowhere"][..], "error: NOT_FOUND: There is no such queue.\n"),
            (&["queue", "pause", "nowhere", "--json"], "error: NOT_FOUND: There is no such queue.\n"),
            (&["queue", "create", "default"], "error: INVALID_REQUEST: There is a queue of this name already.\n"),
            (&["concerts", "seats", "4711"], "error: SCHEDULE_NOT_FOUND: There is no such schedule.\n"),
            (&["figures", "4711"], "error: CONCERT_NOT_FOUND: There is no such concert.\n"),
            (&["concerts", "create", "/dev/null"], "error: INVALID_REQUEST: The body is not a JSON object.\n"),
        ] {
            assert_eq!(desk.complains(args).await, says, "{args:?}");
        }
        let bad = desk.complains(&["queue", "set", "default", "maxActive=many"]).await;
        assert!(bad.contains("maxActive is a whole number from 1 to 10000000, or null."), "{bad}");
        let bad = desk.complains(&["queue", "set", "default", "speed=1"]).await;
        assert!(bad.contains("no setting of this name"), "{bad}");
        let bad = desk.complains(&["concerts", "create", "/nowhere/plan"]).await;
        assert!(bad.starts_with("error: cannot read /nowhere/plan: "), "{bad}");
        assert!(desk.json(&["log"]).await["entries"].as_array().unwrap().is_empty(), "nothing was done");

        let run_as = async |variables: &[(&str, &str)]| {
            let ran = run(&["admin", "queues"], variables).await;
            assert_eq!((ran.code, &*ran.stdout, ran.stderr.lines().count()), (Some(1), "", 1), "{ran:?}");
            assert!(!ran.stderr.contains(OPERATOR) && !ran.stderr.contains(KEY), "{ran:?}");
            ran.stderr
        };
        let wrong = run_as(&[("ONSALE_URL", &desk.url), ("ONSALE_ADMIN_TOKEN", KEY)]).await;
        assert_eq!(wrong, "error: INVALID_TOKEN: No operator has this token.\n");
        let none = run_as(&[("ONSALE_URL", &desk.url)]).await;
        assert!(none.contains("ONSALE_ADMIN_TOKEN (--admin-token) is required"), "{none}");
        let gone = run_as(&[("ONSALE_URL", "http://127.0.0.1:1"), ("ONSALE_ADMIN_TOKEN", OPERATOR)]).await;
        assert!(gone.starts_with("error: nothing answers at http://127.0.0.1:1/ (ONSALE_URL): "), "{gone}");
        let other = format!("http://{}", desk.serving.metrics());
        let strange = run_as(&[("ONSALE_URL", &other), ("ONSALE_ADMIN_TOKEN", OPERATOR)]).await;
        assert!(strange.contains("is no onsale of this version"), "{strange}");
    });
}

#[test]
fn what_is_wrong_with_the_arguments_is_one_line() {
    block_on(async {
        let password = ("ONSALE_URL", "http://ann:hunter2@127.0.0.1");
        for (args, variables, named) in [
            (&["queues"][..], &[("ONSALE_URL", "https://onsale.example")][..], "ONSALE_URL (--url)"),
            (&["queues"], &[password], "ONSALE_URL (--url)"),
            (&["queues"], &[("ONSALE_ADMIN_TOKEN", "hunter2")], "ONSALE_ADMIN_TOKEN (--admin-token)"),
            (&["queue", "show", "../concerts"], &[], "<NAME> takes a queue's name"),
            (&["queue", "show"], &[], "<NAME>"),
            (&["queue", "set", "big"], &[], "<SETTING=VALUE>"),
            (&["queue", "set", "big", "maxActive"], &[], "takes setting=value"),
            (&["concerts", "seats", "0"], &[], "takes a whole number from 1"),
            (&["log", "0"], &[], "takes a whole number from 1"),
            (&["queue", "stop", "big"], &[], "stop"),
        ] {
            let ran = run(&[&["admin"], args].concat(), variables).await;
            assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{args:?}: {ran:?}");
            assert!(ran.stderr.contains(named) && !ran.stderr.contains("hunter2"), "{args:?}: {ran:?}");
        }
        let secret = [("ONSALE_ADMIN_TOKEN", OPERATOR)];
        for args in [&["admin", "--help"][..], &["admin", "queue", "set", "--help"], &["top", "--help"]] {
            let help = run(args, &secret).await;
            assert_eq!((help.code, help.stdout.contains(OPERATOR)), (Some(0), false), "{help:?}");
        }
        for args in [&["admin", "--help"][..], &["top", "--help"], &["admin", "concerts", "create", "--help"]] {
            assert!(run(args, &[]).await.stdout.contains("Example"), "{args:?}");
        }
        assert!(run(&["admin"], &[]).await.stderr.contains("Usage:"));
    });
}
