//! What `/openapi.json` says, held against every answer that any test gets: its status, its code, its fields.

use std::sync::LazyLock;

use onsale::identity::Trust;
use serde_json::{Map, Value};

use super::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| onsale::openapi::document(Trust::Gateway));

/// What a schema says for people and for other programs.
const SAID: [&str; 6] = ["description", "title", "examples", "format", "pattern", "default"];

/// The pages, but for those with more in their paths.
const PAGES: [&str; 4] = ["/", "/me", "/console", "/demo"];

/// Whether an answer is one that the description has for this call; why not, if not.
pub fn as_described(method: &str, path: &str, answer: &Answer) -> Result<(), String> {
    let status = answer.status.as_u16();
    // Pages are for people; they are no API.
    let page = path.split('?').next().unwrap_or_default();
    if ["/assets/", "/concerts/", "/demo/"].iter().any(|room| page.starts_with(room)) || PAGES.contains(&page) {
        return Ok(());
    }
    let Some(calls) = calls_at(path) else {
        // Without operators there are no operators' calls; with them they are refused before they are looked for.
        let refused = [(404, "NOT_FOUND"), (401, "INVALID_TOKEN"), (429, "RATE_LIMITED"), (503, "UNAVAILABLE")];
        return is_one_of(&refused, status, answer);
    };
    let method = method.to_lowercase();
    // HEAD is what GET is, without a body; the gate takes any method alike.
    let by_get = method == "head" || path.starts_with("/gate/");
    let call = calls.get(&method).or_else(|| if by_get { calls.get("get") } else { None });
    let Some(call) = call else {
        let refused =
            [(405, "METHOD_NOT_ALLOWED"), (404, "NOT_FOUND"), (401, "INVALID_TOKEN"), (200, ""), (503, "UNAVAILABLE")];
        return is_one_of(&refused, status, answer);
    };
    if status == 404 && path.starts_with("/admin/") && (answer.code() == "NOT_FOUND" || method == "head") {
        return Ok(());
    }
    let said = call["responses"].get(status.to_string()).ok_or_else(|| format!("{status} is not described"))?;
    if method == "head" || status == 304 || answer.headers.contains_key("content-encoding") {
        return Ok(());
    }
    let kind = answer.header("content-type");
    let content = said["content"].as_object().into_iter().flatten();
    let mut content = content.filter(|(known, _)| kind.starts_with(known.as_str()));
    let (_, content) = content.next().ok_or_else(|| format!("{kind} is not described for {status}"))?;
    if kind == "application/json" { fits(&content["schema"], &answer.body, "body") } else { Ok(()) }
}

fn is_one_of(refused: &[(u16, &str)], status: u16, answer: &Answer) -> Result<(), String> {
    let known = refused.iter().any(|(known, code)| (*known, *code) == (status, answer.code()));
    let bodiless = answer.bytes.is_empty() && refused.iter().any(|(known, _)| *known == status);
    if known || bodiless { Ok(()) } else { Err(format!("{status} {} of a call that is not described", answer.code())) }
}

/// The methods at a path: of the template that fits with the fewest names.
fn calls_at(path: &str) -> Option<&'static Map<String, Value>> {
    let path = path.split('?').next()?;
    let path = if path.starts_with("/gate/check/") { "/gate/check/any" } else { path };
    let paths = DOCUMENT["paths"].as_object()?;
    let fitting = paths.iter().filter(|(template, _)| is_of(path, template));
    fitting.min_by_key(|(template, _)| template.matches('{').count())?.1.as_object()
}

fn is_of(path: &str, template: &str) -> bool {
    let (path, template) = (path.split('/').collect::<Vec<_>>(), template.split('/').collect::<Vec<_>>());
    let fits =
        |(part, expected): (&&str, &&str)| if expected.starts_with('{') { !part.is_empty() } else { part == expected };
    path.len() == template.len() && path.iter().zip(&template).all(fits)
}

/// Whether a value fits a schema of the document, and has no field that it does not name. Knows the words that the document
/// uses, and fails on others.
pub fn fits(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{at} {why}: {value}"));
    for (word, said) in schema.as_object().into_iter().flatten() {
        let fine = match word.as_str() {
            "$ref" => {
                fits(DOCUMENT.pointer(said.as_str().unwrap_or_default().trim_start_matches('#')).unwrap(), value, at)?;
                true
            }
            "type" => match said {
                Value::Array(kinds) => kinds.iter().any(|kind| is_a(value, kind)),
                kind => is_a(value, kind),
            },
            "const" => value == said,
            "enum" => said.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= said.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= said.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= said.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= said.as_u64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= said.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= said.as_u64().unwrap()),
            "anyOf" => said.as_array().unwrap().iter().any(|schema| fits(schema, value, at).is_ok()),
            "items" => {
                for (item, number) in value.as_array().into_iter().flatten().zip(0..) {
                    fits(said, item, &format!("{at}[{number}]"))?;
                }
                true
            }
            "required" => said.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "properties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    let Some(schema) = said.get(name) else { return wrong(&format!("has the field {name}")) };
                    fits(schema, field, &format!("{at}.{name}"))?;
                }
                true
            }
            "additionalProperties" => said.is_object(),
            _ => SAID.contains(&word.as_str()),
        };
        if !fine {
            return wrong(&format!("does not fit {word} {said}"));
        }
    }
    Ok(())
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    }
}
