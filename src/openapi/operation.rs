//! One call as the document has it.

use std::collections::BTreeMap;

use http::StatusCode;
use schemars::Schema;
use serde_json::{Map, Value, json};

use super::{Generators, scheme};
use crate::http::{Described, ErrorCode, Gives, SchemaOf};

const JSON: &str = "application/json";

/// The call, whose failures mean what `meanings` says.
pub(super) fn of(call: &Described, tag: &str, generators: &mut Generators, meanings: &Map<String, Value>) -> Value {
    let mut operation = json!({
        "operationId": call.name,
        "tags": [tag],
        "summary": call.summary,
        "responses": responses(call, generators, meanings),
    });
    if !call.more.is_empty() {
        operation["description"] = call.more.into();
    }
    let parameters = parameters(call, generators);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &call.body {
        let schema = if body.kind == JSON { (body.schema)(&mut generators.reads).into() } else { form(body.schema) };
        operation["requestBody"] = json!({"required": body.required, "content": {body.kind: {"schema": schema}}});
    }
    if !call.access.is_empty() {
        operation["security"] = call.access.iter().map(|access| json!({scheme(*access): []})).collect();
    }
    operation
}

fn parameters(call: &Described, generators: &mut Generators) -> Vec<Value> {
    let mut parameters = Vec::new();
    for parameter in &call.parameters {
        let schema = (parameter.schema)(&mut generators.reads);
        let says = if parameter.says.is_empty() { said(&schema) } else { parameter.says.into() };
        parameters.push(json!({
            "name": parameter.name, "in": parameter.place, "required": parameter.place == "path", "description": says,
            "schema": schema,
        }));
    }
    let fields = call.query.map(form).and_then(|form| form["properties"].as_object().cloned()).unwrap_or_default();
    parameters.extend(fields.into_iter().map(|(name, field)| {
        json!({"name": name, "in": "query", "required": false, "description": field["description"], "schema": field})
    }));
    parameters
}

/// The schema of fields in a query or a form, on its own: there, what is not given is not null either.
fn form(schema: SchemaOf) -> Value {
    let mut generator = Generators::new().reads;
    let schema = schema(&mut generator);
    let mut definitions = generator.take_definitions(true);
    let named =
        schema.get("$ref").and_then(Value::as_str).and_then(|name| definitions.remove(name.rsplit('/').next()?));
    let mut schema = named.unwrap_or_else(|| schema.into());
    for (_, field) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        let taken = field.take();
        *field = without_null(taken);
    }
    schema
}

fn said(schema: &Schema) -> Value {
    schema.get("description").cloned().unwrap_or_default()
}

fn without_null(mut schema: Value) -> Value {
    let kinds = schema["type"].as_array().and_then(|kinds| kinds.iter().find(|kind| *kind != "null")).cloned();
    if let Some(kind) = kinds {
        schema["type"] = kind;
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|value| !value.is_null());
    }
    schema
}

fn responses(call: &Described, generators: &mut Generators, meanings: &Map<String, Value>) -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), success(call, generators));
    for (status, says) in &call.also {
        responses.insert(status.to_string(), json!({"description": says, "headers": headers(call, *status)}));
    }
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in &call.failures {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    for (status, codes) in by_status {
        responses.insert(status.to_string(), failure(status, &codes, meanings));
    }
    // A redirection is a refusal with another status: it has the refusal's body.
    if let Some(found) = responses.get_mut("302") {
        let refusals = call.failures.iter().filter(|code| code.status().is_client_error());
        let refusals: Vec<ErrorCode> = refusals.copied().collect();
        found["content"] = failure(302, &refusals, meanings)["content"].take();
    }
    responses.into()
}

fn headers(call: &Described, status: u16) -> Value {
    let mut headers = json!({"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}});
    let told = call.tells.iter().filter(|(name, ..)| status == 200 || (status == 304 && *name == "ETag"));
    for (name, says, example) in told {
        headers[name] = json!({"description": says, "schema": {"type": "string", "examples": [example]}});
    }
    if status == 302 {
        headers["Location"] =
            json!({"description": "The waiting page.", "schema": {"type": "string", "examples": ["/"]}});
    }
    headers
}

fn success(call: &Described, generators: &mut Generators) -> Value {
    let content = match &call.gives {
        // HEAD is answered without a body.
        _ if call.method == http::Method::HEAD => json!({}),
        Gives::Data(data) => json!({JSON: {"schema": enveloped(&data(&mut generators.writes))}}),
        Gives::Whole(whole) => json!({JSON: {"schema": whole(&mut generators.writes)}}),
        Gives::Page => json!({"text/html": {"schema": {"type": "string"}}}),
        Gives::Events(events) => {
            let mut each = Vec::new();
            for (name, data) in *events {
                let data = data(&mut generators.writes);
                let data = json!({"type": "string", "contentMediaType": JSON, "contentSchema": data});
                let event = json!({"event": {"const": name}, "id": {"type": "string"}, "data": data});
                each.push(json!({"type": "object", "required": ["event", "data"], "properties": event}));
            }
            let says = "Server-sent events, each of which is one of these. A comment line comes at least every 15 s.";
            json!({"text/event-stream": {"schema": {"description": says, "oneOf": each}}})
        }
    };
    let mut success = json!({"description": "Done.", "headers": headers(call, 200), "content": content});
    let mut links = Map::new();
    for (leads_to, takes, pointer) in &call.links {
        let value = format!("$response.body#{pointer}");
        let link = match takes.split_once('.') {
            Some(("body", field)) => json!({"operationId": leads_to, "requestBody": {field: value}}),
            _ => json!({"operationId": leads_to, "parameters": {*takes: value}}),
        };
        links.insert((*leads_to).to_owned(), link);
    }
    if !links.is_empty() {
        success["links"] = links.into();
    }
    success
}

fn enveloped(data: &Schema) -> Value {
    json!({
        "type": "object",
        "required": ["result", "data", "error"],
        "properties": {"result": {"const": "SUCCESS"}, "data": data, "error": {"type": "null"}},
    })
}

fn failure(status: u16, codes: &[ErrorCode], meanings: &Map<String, Value>) -> Value {
    let meaning = |code: &ErrorCode| meanings.get(code.as_str()).and_then(Value::as_str).unwrap_or_default();
    let says: Vec<String> = codes.iter().map(|code| format!("`{}`: {}", code.as_str(), meaning(code))).collect();
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let mut examples = Map::new();
    for code in codes {
        let error = json!({"code": code.as_str(), "message": meaning(code)});
        let value = json!({"result": "ERROR", "data": null, "error": error});
        examples.insert(code.as_str().to_owned(), json!({"value": value}));
    }
    let error = json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": {"code": {"enum": names}, "message": {"type": "string", "description": "A sentence for people."}},
    });
    let schema = json!({
        "type": "object",
        "required": ["result", "data", "error"],
        "properties": {"result": {"const": "ERROR"}, "data": {"type": "null"}, "error": error},
    });
    let mut headers = json!({"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}});
    if codes.iter().any(|code| code.retry_after().is_some()) {
        headers["Retry-After"] = json!({"$ref": "#/components/headers/Retry-After"});
    }
    if status == StatusCode::UNAUTHORIZED.as_u16() {
        // Only the operators' calls say so.
        headers["WWW-Authenticate"] =
            json!({"description": "`Bearer`, of operators' calls.", "schema": {"type": "string"}});
    }
    json!({"description": says.join("\n\n"), "headers": headers, "content": {JSON: {"schema": schema, "examples": examples}}})
}
