//! What a room says of its calls in `/openapi.json`: what each takes and gives, and every failure it can answer with. Stands
//! beside the routes, so that who changes one sees the other; what the types can say themselves, they say.

use std::collections::BTreeSet;

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::ErrorCode;

/// Makes a type's schema.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A call, described.
#[derive(Debug)]
pub struct Described {
    /// Its method.
    pub method: Method,
    /// Its path, with `{names}`.
    pub path: &'static str,
    /// Its name for programs.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What else there is to know.
    pub more: &'static str,
    /// Who may call it: one of these will do; anybody, if there are none.
    pub access: Vec<Access>,
    /// What it takes beside its body.
    pub parameters: Vec<Parameter>,
    /// The query's fields.
    pub query: Option<SchemaOf>,
    /// Its body.
    pub body: Option<Body>,
    /// What it gives.
    pub gives: Gives,
    /// Headers of its success: name, what they say, an example.
    pub tells: Vec<(&'static str, &'static str, &'static str)>,
    /// Other answers that are no failures: a status, and what it means.
    pub also: Vec<(u16, &'static str)>,
    /// How it can fail.
    pub failures: BTreeSet<ErrorCode>,
    /// Calls that take a field of its answer: the call's name, its field or parameter, the pointer to the value.
    pub links: Vec<(&'static str, &'static str, &'static str)>,
}

/// What is shown to be let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The header `userId`.
    User,
    /// The header `token`.
    Token,
    /// `?token=`.
    TokenInQuery,
    /// The header `onsale-pass`.
    Pass,
    /// `Authorization: Bearer`.
    Operator,
}

/// Something in the path or the headers.
#[derive(Debug)]
pub struct Parameter {
    /// `path` or `header`.
    pub place: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub says: &'static str,
    /// What it can be.
    pub schema: SchemaOf,
}

/// A request's body.
#[derive(Debug)]
pub struct Body {
    /// Its media type.
    pub kind: &'static str,
    /// Its fields.
    pub schema: SchemaOf,
    /// Whether it must be there.
    pub required: bool,
}

/// What a success is.
#[derive(Debug)]
pub enum Gives {
    /// The envelope, with this as its data.
    Data(SchemaOf),
    /// JSON that is more than its envelope.
    Whole(SchemaOf),
    /// Server-sent events: their names and data.
    Events(&'static [(&'static str, SchemaOf)]),
    /// A page for people.
    Page,
}

/// A time, as the API writes it.
#[derive(Debug)]
pub struct Time;

/// A date of the venue's.
#[derive(Debug)]
pub struct Date;

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "date-time", "description": "A time, RFC 3339.",
            "examples": ["2026-11-24T11:00:00.000Z"],
        })
    }
}

impl JsonSchema for Date {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "date", "description": "The venue's date.", "examples": ["2026-12-24"],
        })
    }
}

/// A schema, made when it is asked for.
pub fn schema<T: JsonSchema + ?Sized>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Described {
    fn new(method: Method, path: &'static str, name: &'static str, summary: &'static str) -> Self {
        // What is around every call: a body that does not arrive, an address that asks for too much, the rooms' own faults,
        // stores and time-outs.
        let failures =
            [ErrorCode::InvalidRequest, ErrorCode::RateLimited, ErrorCode::Internal, ErrorCode::Unavailable].into();
        Self {
            method,
            path,
            name,
            summary,
            more: "",
            access: Vec::new(),
            parameters: Vec::new(),
            query: None,
            body: None,
            gives: Gives::Data(schema::<()>),
            tells: Vec::new(),
            also: Vec::new(),
            failures,
            links: Vec::new(),
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(path: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self::new(Method::GET, path, name, summary)
    }

    /// A POST.
    #[must_use]
    pub fn post(path: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self::new(Method::POST, path, name, summary)
    }

    /// A PATCH.
    #[must_use]
    pub fn patch(path: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self::new(Method::PATCH, path, name, summary)
    }

    /// A DELETE.
    #[must_use]
    pub fn delete(path: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self::new(Method::DELETE, path, name, summary)
    }

    /// The same by another method.
    #[must_use]
    pub fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// What else there is to know.
    #[must_use]
    pub fn saying(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    /// Takes the extractor `User`.
    #[must_use]
    pub fn user(self) -> Self {
        self.open_to(&[Access::User]).fails(&[ErrorCode::UserRequired])
    }

    /// Takes the extractor `Presented`.
    #[must_use]
    pub fn token(self) -> Self {
        self.open_to(&[Access::Token]).fails(&[ErrorCode::InvalidToken])
    }

    /// Takes `Presented`, and requires it to be active.
    #[must_use]
    pub fn active(self) -> Self {
        self.token().fails(&[ErrorCode::TokenExpired, ErrorCode::TokenNotActive])
    }

    /// Takes `Watching`.
    #[must_use]
    pub fn watching(self) -> Self {
        self.open_to(&[Access::Token, Access::TokenInQuery]).fails(&[ErrorCode::InvalidToken])
    }

    /// Stands behind the operators' check.
    #[must_use]
    pub fn operator(self) -> Self {
        self.open_to(&[Access::Operator]).fails(&[ErrorCode::InvalidToken])
    }

    /// Whoever shows one of these may call.
    #[must_use]
    pub fn open_to(mut self, access: &[Access]) -> Self {
        self.access.extend_from_slice(access);
        self
    }

    /// Takes `IdempotencyKey`.
    #[must_use]
    pub fn keyed(self) -> Self {
        let says = "The same request under the same key is carried out once, and answered alike for 24 hours.";
        self.header(
            "Idempotency-Key",
            says,
            |_| json_schema!({"type": "string", "pattern": "^[!-~]{1,64}$", "examples": ["till-7-0042"]}),
        )
        .tells("Idempotent-Replayed", "`true` if this was answered before, under the same key.", "true")
        .fails(&[ErrorCode::IdempotencyKeyInUse, ErrorCode::IdempotencyKeyReused])
    }

    /// Takes `Json<T>`.
    #[must_use]
    pub fn json<T: JsonSchema>(self) -> Self {
        self.body("application/json", schema::<T>, true)
    }

    /// Takes `Form<T>`.
    #[must_use]
    pub fn form<T: JsonSchema>(self) -> Self {
        self.body("application/x-www-form-urlencoded", schema::<T>, false)
    }

    fn body(self, kind: &'static str, schema: SchemaOf, required: bool) -> Self {
        let body = Some(Body { kind, schema, required });
        Self { body, ..self }.fails(&[ErrorCode::PayloadTooLarge, ErrorCode::UnsupportedMediaType])
    }

    /// Takes `Query<T>`.
    #[must_use]
    pub fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(schema::<T>), ..self }
    }

    /// Has this in its path.
    #[must_use]
    pub fn at<T: JsonSchema>(mut self, name: &'static str) -> Self {
        self.parameters.push(Parameter { place: "path", name, says: "", schema: schema::<T> });
        self
    }

    /// Reads this header, if it is there.
    #[must_use]
    pub fn header(mut self, name: &'static str, says: &'static str, schema: SchemaOf) -> Self {
        self.parameters.push(Parameter { place: "header", name, says, schema });
        self
    }

    /// Answers with this as data.
    #[must_use]
    pub fn gives<T: JsonSchema>(self) -> Self {
        Self { gives: Gives::Data(schema::<T>), ..self }
    }

    /// Answers with JSON that is not only an envelope.
    #[must_use]
    pub fn gives_whole(self, schema: SchemaOf) -> Self {
        Self { gives: Gives::Whole(schema), ..self }
    }

    /// Answers with a page.
    #[must_use]
    pub fn gives_page(self) -> Self {
        Self { gives: Gives::Page, ..self }
    }

    /// Answers with a stream of these events.
    #[must_use]
    pub fn gives_events(self, events: &'static [(&'static str, SchemaOf)]) -> Self {
        let says = "The id of the last event that was seen, as browsers send it by themselves.";
        let id = |_: &mut SchemaGenerator| json_schema!({"type": "string", "examples": ["7"]});
        Self { gives: Gives::Events(events), ..self }.header("Last-Event-ID", says, id)
    }

    /// Its success has this header.
    #[must_use]
    pub fn tells(mut self, name: &'static str, says: &'static str, example: &'static str) -> Self {
        self.tells.push((name, says, example));
        self
    }

    /// Its success is tagged, and 304 for who has it already.
    #[must_use]
    pub fn tagged(mut self) -> Self {
        self.also.push((304, "Nothing has changed since the answer of this `ETag`."));
        let says = "The `ETag` of the answer that one has; the answer is 304 if it would be the same.";
        self.header("If-None-Match", says, |_| json_schema!({"type": "string", "examples": ["\"6a09e667bb67ae85\""]}))
            .tells("ETag", "Names what was answered, for `If-None-Match`.", "\"6a09e667bb67ae85\"")
    }

    /// Can be answered so too.
    #[must_use]
    pub fn also(mut self, status: u16, says: &'static str) -> Self {
        self.also.push((status, says));
        self
    }

    /// Can fail so too.
    #[must_use]
    pub fn fails(mut self, codes: &[ErrorCode]) -> Self {
        self.failures.extend(codes);
        self
    }

    /// A field of its answer is what another call takes: that call's name, `path.` or `body.` and what it is called there, and
    /// the JSON pointer to it here.
    #[must_use]
    pub fn leads_to(mut self, call: &'static str, takes: &'static str, pointer: &'static str) -> Self {
        self.links.push((call, takes, pointer));
        self
    }
}
