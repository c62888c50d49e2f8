//! The API, described: `/openapi.json` (`OpenAPI` 3.1), put together once from what the rooms say of their calls and from the
//! types that these read and write; and `/docs`, a page to try it that loads nothing from elsewhere.

mod http;
mod operation;

use bytes::Bytes;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

pub use http::{calls, router};

use crate::http::{Access, Described, ErrorCode, Rendered};
use crate::identity::Trust;
use crate::{admin, app, concert, gate, payment, queue, reservation, seat, wallet};

/// Where schemas are within the document.
const SCHEMAS: &str = "/components/schemas";

/// What the document says first.
const ABOUT: &str = "\
A fair waiting room and box office. Redis decides who may try; Postgres decides who bought.

Every body is in one envelope: `{\"result\":\"SUCCESS\",\"data\":…,\"error\":null}` or \
`{\"result\":\"ERROR\",\"data\":null,\"error\":{\"code\":\"…\",\"message\":\"…\"}}`. Branch on `code`; `message` is for people. Ids and \
amounts are JSON numbers up to 2^53 - 1, amounts are whole won (KRW), times are RFC 3339.

Any other path is 404 `NOT_FOUND`, any other method 405 `METHOD_NOT_ALLOWED` with `Allow`. Send `x-request-id` to find a call in \
the log. Without an operator's token there are no operators' calls.";

/// The calls, by what they are about.
fn groups() -> [(&'static str, &'static str, Vec<Described>); 9] {
    [
        ("queue", "Who may try: tokens, order, draws.", queue::calls()),
        ("programme", "What is on.", concert::calls()),
        ("seats", "The seats of a schedule.", seat::calls()),
        ("reservations", "Holds; and leaving the queue, which gives them up.", reservation::calls()),
        ("wallet", "Balances and their ledger.", wallet::calls()),
        ("payments", "Where seats and money meet.", payment::calls()),
        ("gate", "The gate before other sites, and passes through it.", gate::calls()),
        ("service", "The service itself.", [app::calls(), calls()].into_iter().flatten().collect()),
        ("operators", "For operators, with `Authorization: Bearer`.", admin::calls()),
    ]
}

/// Makes the schemas: of what is read and of what is written, as the two differ in what may be missing.
struct Generators {
    reads: SchemaGenerator,
    writes: SchemaGenerator,
}

impl Generators {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = SCHEMAS.into();
            settings.meta_schema = None;
        });
        Self { reads: settings.clone().for_deserialize().into(), writes: settings.for_serialize().into() }
    }
}

/// The document of a service that knows its users so.
#[must_use]
pub fn document(trust: Trust) -> Value {
    let mut generators = Generators::new();
    let meanings = meanings();
    let (mut paths, mut tags) = (Map::new(), Vec::new());
    for (tag, says, calls) in groups() {
        tags.push(json!({"name": tag, "description": says}));
        for call in calls {
            let operation = operation::of(&call, tag, &mut generators, &meanings);
            let path = paths.entry(call.path).or_insert_with(|| json!({}));
            path[call.method.as_str().to_lowercase()] = operation;
        }
    }
    let mut schemas = generators.reads.take_definitions(true);
    schemas.append(&mut generators.writes.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "summary": env!("CARGO_PKG_DESCRIPTION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": access(trust),
            "headers": {
                "X-Request-Id": {
                    "description": "The call's id: the client's own, if it sent a sane one.",
                    "schema": {"type": "string", "examples": ["c3cae858-630c-43ac-99c3-0a27001d842b"]},
                },
                "Retry-After": {
                    "description": "After so many seconds trying again makes sense.",
                    "schema": {"type": "integer", "minimum": 0, "examples": [1]},
                },
            },
        },
    })
}

/// What each code means, as it is said where it is declared.
fn meanings() -> Map<String, Value> {
    let schema = SchemaGenerator::default().into_root_schema_for::<ErrorCode>();
    let variants = schema.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    let each = variants
        .iter()
        .filter_map(|variant| Some((variant["const"].as_str()?.to_owned(), variant["description"].clone())));
    each.collect()
}

const fn scheme(access: Access) -> &'static str {
    match access {
        Access::User => "user",
        Access::Token => "token",
        Access::TokenInQuery => "tokenInQuery",
        Access::Pass => "pass",
        Access::Operator => "operator",
    }
}

fn access(trust: Trust) -> Value {
    let key =
        |place: &str, name: &str, says: &str| json!({"type": "apiKey", "in": place, "name": name, "description": says});
    let bearer = |says: &str| json!({"type": "http", "scheme": "bearer", "description": says});
    json!({
        scheme(Access::User): match trust {
            Trust::Gateway => key("header", "userId", "The user's id, a whole number from 1. It is believed: a gateway sets it."),
            Trust::Jwt => bearer("The JSON Web Token of a sign-in. Its subject, a whole number from 1, is the user."),
        },
        scheme(Access::Token): key("header", "token", "The token of `POST /api/v1/queues/token`."),
        scheme(Access::TokenInQuery): key("query", "token", "Likewise, for browsers' `EventSource`, which sends no headers."),
        scheme(Access::Pass): key("header", "onsale-pass", "A pass of `GET /api/v1/queues/token/pass`."),
        scheme(Access::Operator): bearer("An operator's token."),
    })
}

/// The document as it is answered.
fn rendered(trust: Trust) -> Rendered {
    let body = Bytes::from(document(trust).to_string());
    let tag = blake3::hash(&body).to_hex();
    Rendered::new(body, &tag.as_str()[..32])
}
