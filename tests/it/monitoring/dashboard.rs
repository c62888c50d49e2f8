//! The dashboard as a file: what it asks, and whether it can be read at night.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::lua::source::repository;

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(repository("monitoring/grafana/dashboards/onsale.json")).unwrap()).unwrap()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Every query of the dashboard as Grafana would ask it, with where it stands: of all queues, over some seconds.
pub fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let asked = [("$queue", ".*"), ("$__rate_interval", "5m"), ("$__range", "5m")];
            let query =
                asked.iter().fold(text(&target["expr"]).to_owned(), |text, (name, value)| text.replace(name, value));
            assert!(!query.contains('$'), "{query}");
            queries.push((format!("{} {}", text(&panel["title"]), text(&target["refId"])), query));
        }
    }
    assert!(queries.len() > 50, "the queries were not found");
    queries
}

#[test]
fn it_has_its_rows_and_can_be_turned_to_a_queue() {
    let dashboard = dashboard();
    let rows = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<&str> = rows.map(|row| text(&row["title"])).collect();
    assert_eq!(rows, ["The sale at a glance", "The queue", "Seats and money", "The stores", "The process"]);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|variable| (text(&variable["name"]), text(&variable["type"]))).collect();
    assert_eq!(variables, [("datasource", "datasource"), ("queue", "query")]);
    assert_eq!((text(&dashboard["style"]), text(&dashboard["uid"])), ("dark", "onsale"));
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let query = text(&target["expr"]);
            let of_queues =
                query.contains("queue_") && !query.contains("queue_streams") && !query.contains("queue_depth");
            assert!(!of_queues || query.contains("$queue"), "{query} does not follow the chosen queue");
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{} has another's id", panel["title"]);
    }
    for panel in panels(&dashboard) {
        let title = text(&panel["title"]);
        assert!(!title.is_empty() && text(&panel["description"]).ends_with('.'), "{title}");
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(!text(&defaults["unit"]).is_empty(), "{title} has no unit");
        assert!(defaults["thresholds"]["steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            assert!(!text(&target["legendFormat"]).is_empty(), "{title} has a line without a name");
        }
    }
}

#[test]
fn no_panel_lies_on_another() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{} is too wide", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies on another", panel["title"]);
            }
        }
    }
}
