//! The description of the API: whole, true, and fit to be tried and programmed against. That every answer of every other test
//! is one that it has is asserted where the tests make their calls.

mod client;
mod schemathesis;

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onsale::http::ErrorCode;
use onsale::openapi::document;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::lua::source;
use crate::support::{TestApp, block_on, fits};

/// An operator's token.
const OPERATOR: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

/// The calls: path, method, what is said.
fn calls(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let calls = paths.flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |call| (path, call)));
    calls.map(|(path, (method, call))| (path.as_str(), method.as_str(), call)).collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let mut routes = BTreeSet::new();
    for file in source::files("src").into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs")) {
        // Pages are for people; they are no API.
        if file.starts_with(source::repository("src/pages")) {
            continue;
        }
        let text = std::fs::read_to_string(file).unwrap();
        let constant = |name: &str| {
            let (_, rest) = text.split_once(&format!("const {name}: &str = \"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        for route in text.split(".route(").skip(1) {
            let path = route.trim_start();
            if let Some(text) = path.strip_prefix('"') {
                routes.insert(text.split('"').next().unwrap().to_owned());
            } else if path.starts_with(|first: char| first.is_ascii_uppercase()) {
                routes.insert(constant(path.split(',').next().unwrap()));
            }
        }
    }
    // The slash alone is the gate's too, and what comes after it may have more of them.
    assert!(routes.remove("/gate/check/") && routes.remove("/gate/check/{*rest}"));
    routes.insert("/gate/check/{path}".to_owned());
    // Another listener's.
    routes.remove("/metrics");
    let document = document();
    let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(described, routes);
}

#[test]
fn each_path_takes_the_methods_that_are_described() {
    block_on(async {
        let app = TestApp::with(&["--admin-token", OPERATOR]).await;
        let document = document();
        for (path, methods) in
            document["paths"].as_object().unwrap().iter().filter(|(path, _)| !path.starts_with("/gate/"))
        {
            let asked = path.replace(['{', '}'], "");
            let headers = [("authorization", &*format!("Bearer {OPERATOR}"))];
            let answer = app.call("PURGE", &asked, &headers, Value::Null).await;
            answer.assert_error(405, "METHOD_NOT_ALLOWED");
            let allowed: BTreeSet<String> = answer.header("allow").split(',').map(str::to_lowercase).collect();
            let mut described: BTreeSet<String> = methods.as_object().unwrap().keys().cloned().collect();
            if described.contains("get") {
                described.insert("head".to_owned());
            }
            assert_eq!(allowed, described, "{path}");
        }
    });
}

#[test]
fn everything_has_a_name_and_says_what_it_is() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, method, call) in calls(&document) {
        assert!(names.insert(call["operationId"].as_str().unwrap()), "{path}: its name is another's");
        for said in ["summary", "tags", "responses"] {
            assert!(!call[said].is_null(), "{method} {path} has no {said}");
        }
        let parameters = call["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.clone() {
            assert_said(&document, parameter, &format!("{method} {path} {}", parameter["name"]));
        }
        let in_path: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let taken = parameters.filter(|parameter| parameter["in"] == "path");
        assert_eq!(
            taken.map(|parameter| parameter["name"].as_str().unwrap()).collect::<BTreeSet<_>>(),
            in_path,
            "{path}"
        );
    }
    for call in calls(&document) {
        let links = call.2.pointer("/responses/200/links").and_then(Value::as_object);
        for (_, link) in links.into_iter().flatten() {
            assert!(names.contains(link["operationId"].as_str().unwrap()), "{link}");
        }
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        assert!(!name.ends_with(|last: char| last.is_ascii_digit()), "{name}: two types have this name");
        for (field, said) in schema["properties"].as_object().into_iter().flatten() {
            assert_said(&document, said, &format!("{name}.{field}"));
        }
    }
    let text = document.to_string();
    for part in text.split(r##"{"$ref":"#"##).skip(1).chain(text.split(r##""$ref":"#"##).skip(1)) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
}

/// Asserts that something is explained, and has an example unless what it consists of has.
#[track_caller]
fn assert_said(document: &Value, said: &Value, name: &str) {
    let schema = said["schema"].as_object().map_or(said, |_| &said["schema"]);
    assert!(said["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} does not say what it is");
    let parts = [&schema["items"], &schema["anyOf"][0], schema].map(|part| part["$ref"].as_str());
    let of_parts = parts.into_iter().flatten().any(|part| document.pointer(part.trim_start_matches('#')).is_some());
    let item = schema["items"]["examples"].is_array();
    assert!(of_parts || item || schema["examples"].is_array(), "{name} has no example: {schema}");
    for example in schema["examples"].as_array().into_iter().flatten() {
        fits(schema, example, name).unwrap();
    }
}

#[test]
fn every_failure_of_the_contract_is_some_calls() {
    let document = document();
    let all: String = calls(&document).iter().map(|(_, _, call)| call["responses"].to_string()).collect();
    for code in ErrorCode::ALL {
        // A path or a method that is not there is no call; the description says so of all.
        let everywhere = document["info"]["description"].as_str().unwrap().contains(&format!("`{}`", code.as_str()));
        assert!(everywhere || all.contains(&format!("\"{}\"", code.as_str())), "{}", code.as_str());
    }
}

#[test]
fn it_is_kept_by_who_has_it() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for (path, kind) in [("/openapi.json", "application/json"), ("/docs", "text/html; charset=utf-8")] {
            let answer = app.call("GET", path, &[], Value::Null).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, kind));
            let again = app.call("GET", path, &[("if-none-match", answer.header("etag"))], Value::Null).await;
            assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0), "{path}");
        }
        let whole = app.call("GET", "/openapi.json", &[], Value::Null).await;
        assert_eq!(whole.body, document());
        assert_eq!(whole.body["openapi"], json!("3.1.0"));
    });
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let answer = app.call("GET", "/docs", &[], Value::Null).await;
        let page = std::str::from_utf8(&answer.bytes).unwrap();
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        for tag in ["script", "style"] {
            let (_, rest) = page.split_once(&format!("<{tag}>")).unwrap();
            let (text, after) = rest.split_once(&format!("</{tag}>")).unwrap();
            let hash = STANDARD.encode(Sha256::digest(text));
            assert!(policy.contains(&format!("{tag}-src 'sha256-{hash}'")), "{policy}");
            assert!(!after.contains(&format!("<{tag}")), "there is one {tag}");
        }
        // What the policy would stop, and what would ask elsewhere.
        for stopped in ["style=", " onclick", "innerHTML", "http://", "https://", "src=", "@import", " url(", ":url("] {
            assert!(!page.contains(stopped), "{stopped}");
        }
    });
}
