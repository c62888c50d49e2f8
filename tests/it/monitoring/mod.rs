//! What operators watch: `/metrics` of a served program, and a real Prometheus with the configuration, the rules and the
//! dashboard of `monitoring/`.

mod dashboard;
mod names;
mod prometheus;
mod rules;
mod shop;
mod shown;
mod watched;

use std::collections::BTreeSet;

use prometheus::{Programs, Watching};
use shop::{Instance, Shop};

/// The vector selectors of a query, each a query of its own, without a range.
fn selectors(query: &str) -> BTreeSet<String> {
    const WORDS: [&str; 10] =
        ["and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool"];
    let mut found = BTreeSet::new();
    let mut rest = query;
    while let Some(begin) = rest.find(|letter: char| letter.is_ascii_alphabetic() || letter == '"') {
        // What stands in a range or is a number's unit is no name: a digit or a bracket comes before it.
        let inside = rest[..begin].ends_with(|letter: char| letter.is_ascii_digit() || letter == '[');
        rest = &rest[begin..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').unwrap().1;
            continue;
        }
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':');
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        let opened = after.trim_start();
        if WORDS.contains(&name) {
            if !["and", "or", "unless", "bool"].contains(&name) {
                // The labels that are matched or kept.
                rest = opened.split_once(')').unwrap().1;
            }
        } else if !inside && !["(", "by (", "without ("].iter().any(|begin| opened.starts_with(begin)) {
            let labels = opened.starts_with('{').then(|| opened.split_inclusive('}').next().unwrap());
            found.insert(format!("{name}{}", labels.unwrap_or_default()));
            rest = labels.map_or(after, |labels| &opened[labels.len()..]);
        }
    }
    found
}

#[test]
fn a_querys_selectors_are_found() {
    let query = r#"sum by (a, b) (rate(x_total{job="onsale",c=~"5.."}[5m])) / on (queue) max(queue:y:max) > 14.4 * 0.01
        unless absent(z) and time() - w offset 1h > 5"#;
    let found: Vec<_> = selectors(&query.replace(" offset 1h", "")).into_iter().collect();
    assert_eq!(found, ["queue:y:max", "w", r#"x_total{job="onsale",c=~"5.."}"#, "z"]);
}
