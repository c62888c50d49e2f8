//! The rules, as promtool sees them.

use std::fs;
use std::process::Stdio;

use super::Programs;
use crate::lua::source::{files, repository};
use crate::support::block_on;

fn text(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

/// Every alert's lines of the file, its name first.
fn alerts() -> Vec<(String, String)> {
    let rules = text("monitoring/rules/alerts.yml");
    let alerts = rules.split("- alert: ").skip(1).map(|rest| {
        let (name, lines) = rest.split_once('\n').unwrap();
        (name.to_owned(), lines.split("\n  - name:").next().unwrap().to_owned())
    });
    alerts.collect()
}

#[test]
fn promtool_takes_configuration_and_rules() {
    block_on(async {
        let programs = Programs::find().await;
        for args in [
            &["check", "config", "monitoring/prometheus.yml"][..],
            &[
                "check",
                "rules",
                "--lint=all",
                "--lint-fatal",
                "monitoring/rules/alerts.yml",
                "monitoring/rules/recording.yml",
            ],
        ] {
            let said = programs.promtool(args, Stdio::null()).await;
            assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
        }
    });
}

#[test]
fn every_alert_is_seen_to_fire_and_not_to() {
    block_on(async {
        let programs = Programs::find().await;
        let said = programs.promtool(&["test", "rules", "monitoring/tests/alerts.yml"], Stdio::null()).await;
        let output = [said.stdout, said.stderr].concat();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&output));
    });
    let tests = text("monitoring/tests/alerts.yml");
    let tests: Vec<&str> = tests.split("alertname: ").skip(1).collect();
    for (alert, _) in alerts() {
        let of_it = tests.iter().filter(|test| test.lines().next() == Some(&*alert));
        let (silent, fires): (Vec<&str>, Vec<&str>) = of_it.partition(|test| test.contains("exp_alerts: []"));
        assert!(!silent.is_empty() && !fires.is_empty(), "{alert} fires in {}, not in {}", fires.len(), silent.len());
    }
}

#[test]
fn every_runbook_is_written() {
    let operations = text("docs/operations.md");
    // As GitHub makes an anchor of a heading.
    let anchor = |heading: &str| heading.to_lowercase().replace(' ', "-").replace(':', "");
    let headings = operations.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let anchors: Vec<String> = headings.map(anchor).collect();
    for (alert, lines) in alerts() {
        let (_, wanted) = lines.split_once("runbook_url: docs/operations.md#").unwrap();
        let wanted = wanted.lines().next().unwrap();
        assert!(anchors.iter().any(|anchor| anchor == wanted), "docs/operations.md does not say what to do on {alert}");
    }
}

#[test]
fn every_alert_says_what_it_is_and_what_to_do() {
    assert_eq!(files("monitoring/rules").len(), 2);
    let alerts = alerts();
    assert!(alerts.len() >= 15, "the alerts were not found");
    for (alert, lines) in alerts {
        let severity = lines.lines().find_map(|line| line.trim().strip_prefix("severity: "));
        assert!(severity.is_some_and(|severity| ["critical", "warning", "info"].contains(&severity)), "{alert}");
        for annotation in ["summary: '", "description: '", "runbook_url: docs/operations.md#alert-"] {
            assert!(lines.contains(annotation), "{alert} has no {annotation}");
        }
    }
}
