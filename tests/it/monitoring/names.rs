//! `/metrics` as it is read: what the contract names is there from the first time on, all of it says what it is, and no label
//! is without bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use super::{Programs, Shop};
use crate::lua::source::{openings, repository, scripts};
use crate::support::{block_on, eventually};

/// The contract's metrics, with their labels.
const CONTRACT: [(&str, &[&str]); 19] = [
    ("http_requests_total", &["method", "route", "status"]),
    ("http_request_duration_seconds", &["method", "route"]),
    ("queue_waiting", &["queue"]),
    ("queue_active", &["queue"]),
    ("queue_tokens_issued_total", &["queue"]),
    ("queue_promoted_total", &["queue"]),
    ("queue_expired_total", &["queue"]),
    ("queue_wait_seconds", &["queue"]),
    ("seat_holds_total", &["outcome"]),
    ("seat_holds_live", &[]),
    ("payments_total", &["outcome"]),
    ("payment_amount_won_total", &[]),
    ("wallet_charges_total", &[]),
    ("redis_request_duration_seconds", &["op"]),
    ("postgres_request_duration_seconds", &["op"]),
    ("batch_size", &["op"]),
    ("job_runs_total", &["job", "outcome"]),
    ("job_duration_seconds", &["job"]),
    ("build_info", &["version"]),
];

/// What may be a label; each has values that can be counted on one's fingers, or one a queue.
const LABELS: [&str; 11] =
    ["method", "route", "status", "queue", "outcome", "op", "job", "version", "store", "state", "reason"];

/// Prometheus' text, read: families by name, and the series of each by their labels.
#[derive(Debug, Default)]
struct Read {
    kinds: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    series: BTreeMap<String, BTreeSet<BTreeMap<String, String>>>,
}

impl Read {
    fn of(text: &str) -> Self {
        let mut read = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(read.kinds.insert(name.to_owned(), kind.to_owned()), None, "{name} is there twice");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                read.helps.insert(name.to_owned(), help.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let family = read.family(name);
                let mut labels = labels_of(labels.strip_suffix('}').unwrap());
                labels.remove("le");
                read.series.entry(family).or_default().insert(labels);
            }
        }
        read
    }

    /// The family that a series of this name is of.
    fn family(&self, name: &str) -> String {
        let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| name.strip_suffix(part));
        let histogram = parts.into_iter().find(|name| self.kinds.get(*name).is_some_and(|kind| kind == "histogram"));
        histogram.unwrap_or(name).to_owned()
    }
}

fn labels_of(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"').unwrap();
        labels.insert(name.to_owned(), value.to_owned());
        rest = after.trim_start_matches(',');
    }
    labels
}

/// The names in `src/telemetry/names.rs` that are described, but for those of the audit's file.
fn described() -> BTreeSet<String> {
    let code = fs::read_to_string(repository("src/telemetry/names.rs")).unwrap();
    let flat = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let before = flat.rsplit_once("\", Unit::").unwrap().0;
    let names = before.split("\", Unit::").filter_map(|before| Some(before.rsplit_once('"')?.1.to_owned()));
    let names: BTreeSet<String> = names.filter(|name| !name.is_empty() && !name.starts_with("audit_")).collect();
    assert!(names.len() > 40, "{names:?}");
    names
}

/// The words that a file's `outcome` functions return, and those that it counts besides.
fn outcomes(path: &str) -> BTreeSet<String> {
    let code = fs::read_to_string(repository(path)).unwrap();
    let functions = code.split("fn outcome(&self)").skip(1).map(|rest| rest.split("\n    }\n").next().unwrap());
    let arms = functions.flat_map(|function| function.split("=> \"").skip(1));
    let words: BTreeSet<String> = arms.map(|arm| arm.split('"').next().unwrap().to_owned()).collect();
    assert!(!words.is_empty(), "{path} has no outcomes");
    words
}

#[test]
fn all_is_there_from_the_first_time_on_and_says_what_it_is() {
    block_on(async {
        let shop = Shop::new().await;
        let instance = shop.serve().await;
        // The gauges of the shop come with the first run of the job, within a second or two.
        let measured = async || instance.shows("queue_waiting").await && instance.shows("seat_holds_live").await;
        eventually("measured", Duration::from_secs(10), measured).await;
        let first = Read::of(&instance.metrics().await);
        for (name, labels) in CONTRACT {
            let series = first.series.get(name).unwrap_or_else(|| panic!("{name} is not there"));
            for series in series {
                assert!(series.keys().map(String::as_str).eq(labels.iter().copied()), "{name} has {series:?}");
            }
        }
        instance.burst(&instance.open_sale().await).await;
        let measured = async || instance.shows("queue_seats_free").await;
        eventually("the sale is measured", Duration::from_secs(10), measured).await;
        let text = instance.metrics().await;
        let then = Read::of(&text);
        for (name, series) in &then.series {
            assert!(then.helps.get(name).is_some_and(|help| help.ends_with('.')), "{name} does not say what it is");
            assert!(then.kinds.contains_key(name), "{name} has no type");
            for (label, value) in series.iter().flatten() {
                assert!(LABELS.contains(&&**label), "{name} has the label {label}");
                let number = label != "status" && value.bytes().any(|byte| byte.is_ascii_digit());
                // Routes are templates that begin with /api/v1.
                assert!(!number || value.starts_with("/a") || label == "version", "{name}: {label}=\"{value}\"");
            }
        }
        let shown: BTreeSet<String> = then.series.keys().cloned().collect();
        let differ: Vec<_> = shown.symmetric_difference(&described()).cloned().collect();
        assert!(differ.is_empty(), "shown and not described, or described and not shown: {differ:?}");
        appear_later_only(&first, &then);
        check(&text).await;
    });
}

/// What was not there at first is what a bounded number of names tells apart, and cannot be known before.
fn appear_later_only(first: &Read, then: &Read) {
    let later = ["http_requests_total", "http_request_duration_seconds"];
    let calls = ["redis_request_duration_seconds", "postgres_request_duration_seconds"];
    for (name, series) in &then.series {
        let known = first.series.get(name).cloned().unwrap_or_default();
        for new in series.difference(&known).filter(|_| !later.contains(&&**name) && !calls.contains(&&**name)) {
            // The sale of its own was made in between.
            let of_sale = new.get("queue").is_some_and(|queue| queue == "big");
            assert!(of_sale, "{name}{new:?} appeared with its first count");
        }
    }
}

/// What promtool says of the text; it reads it from its standard input.
async fn check(text: &str) {
    let programs = Programs::find().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let stdin = Stdio::from(fs::File::open(file.path()).unwrap());
    let said = programs.promtool(&["check", "metrics"], stdin).await;
    let complaints = String::from_utf8_lossy(&said.stderr);
    // The contract calls it so; the linter wants `_info` to be of type info, or says nothing.
    assert!(said.status.success() && complaints.trim().is_empty(), "{complaints}");
}

#[test]
fn every_outcome_that_the_code_knows_begins_at_zero() {
    block_on(async {
        let instance = Shop::new().await.serve().await;
        let read = Read::of(&instance.metrics().await);
        let known = |name: &str, label: &str| -> BTreeSet<String> {
            read.series[name].iter().filter_map(|series| series.get(label).cloned()).collect()
        };
        let with = |words: BTreeSet<String>, more: &[&str]| -> BTreeSet<String> {
            words.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
        };
        let payments: BTreeSet<String> = known("payments_total", "outcome");
        let refunds = known("refunds_total", "outcome");
        let of_payments = with(outcomes("src/payment/http.rs"), &["paid", "refunded", "replayed"]);
        assert_eq!(payments.union(&refunds).cloned().collect::<BTreeSet<_>>(), of_payments);
        assert_eq!(known("seat_holds_total", "outcome"), with(outcomes("src/reservation/http.rs"), &["held"]));
        let batched = scripts().into_iter().map(|script| script.op).filter(|op| openings(op).contains(&"each"));
        assert_eq!(known("batch_size", "op"), with(batched.collect(), &["payment.pay", "wallet.charge"]));
    });
}
