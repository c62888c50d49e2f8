//! Traces as a collector receives them: what is within what, whose they are, and what they keep to themselves. And what
//! becomes of the service when the collector is not there.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use http::StatusCode;
use onsale::dev::Port;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus};
use prost::Message;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tokio::net::TcpListener;

use super::running::Running;
use crate::support::{block_on, eventually, servers};

const SOON: Duration = Duration::from_mins(1);

/// What keeps all spans that it is sent.
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received: Arc<Mutex<Vec<_>>> = Arc::default();
        let kept = Arc::clone(&received);
        let take = async move |body: Bytes| {
            kept.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
            StatusCode::OK
        };
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, received }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    fn of_trace(&self, trace: u128) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.trace_id == trace.to_be_bytes()).collect()
    }

    /// The span of the call itself, once all within it has come: it ends last.
    async fn call(&self, trace: u128) -> (Span, Vec<Span>) {
        let is_call = |span: &Span| span.kind == SpanKind::Server as i32;
        let has_come = async || self.of_trace(trace).iter().any(is_call);
        eventually("the call's span", SOON, has_come).await;
        let (mut calls, within): (Vec<_>, _) = self.of_trace(trace).into_iter().partition(is_call);
        assert_eq!(calls.len(), 1, "{calls:?}");
        (calls.remove(0), within)
    }
}

/// The program, sending its traces there at once.
async fn program(collector: &str, variables: &[(&str, &str)]) -> Running {
    let (database, redis) = (servers().await.seeded_database().await, servers().await.redis_url());
    let sends = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    Running::start(&database, &redis, &[&sends[..], variables].concat()).await
}

const CALLER: u64 = 0x00f0_67aa_0ba9_02b7;

fn traceparent(trace: u128, flags: u8) -> String {
    format!("00-{trace:032x}-{CALLER:016x}-{flags:02x}")
}

fn attribute(attributes: &[KeyValue], key: &str) -> Value {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::IntValue(number)) => json!(number),
        other => json!(other.map(|value| format!("{value:?}"))),
    }
}

/// All there is in a trace of ours; whatever else a span says would be news.
const KEYS: [&str; 6] =
    ["http.request.method", "http.route", "http.response.status_code", "error.type", "request.id", "db.system.name"];

#[test]
fn a_purchase_is_a_trace_a_call_with_its_scripts_and_statements() {
    block_on(async {
        let collector = Collector::start().await;
        let program = program(
            &collector.url(),
            &[("OTEL_SERVICE_NAME", "box-office"), ("OTEL_RESOURCE_ATTRIBUTES", "deployment=night")],
        )
        .await;
        let user = "4711000471100047";
        let token = program.enter(user).await;
        let call = async |trace: u128, method: &str, path: &str, body: Value| {
            let token = if trace == 4 { "none" } else { &*token };
            let parent = traceparent(trace, 1);
            let headers =
                [("userId", user), ("token", token), ("traceparent", &*parent), ("x-request-id", "it-is-this-one")];
            program.call(method, path, &headers, body).await
        };
        let seat = json!({ "concertScheduleId": 1, "concertSeatId": 11 });
        let held: Value = call(1, "POST", "/api/v1/reservations/concert", seat).await.json().await.unwrap();
        let amount = json!({ "amount": 98_765_432 });
        assert_eq!(call(2, "PATCH", "/api/v1/user-wallets/balance", amount).await.status(), 200);
        let payment = json!({ "concertReservationId": held["data"]["reservationId"] });
        assert_eq!(call(3, "POST", "/api/v1/payment/concert", payment).await.status(), 200);
        assert_eq!(
            call(4, "GET", "/api/v1/concerts/4711000471100047/schedules?token=x", Value::Null).await.status(),
            401
        );

        let (paid, within) = collector.call(3).await;
        assert_eq!(paid.name, "POST /api/v1/payment/concert");
        assert_eq!(paid.parent_span_id, CALLER.to_be_bytes(), "the caller's own span is its parent");
        assert_eq!(attribute(&paid.attributes, "http.request.method"), "POST");
        assert_eq!(attribute(&paid.attributes, "http.route"), "/api/v1/payment/concert");
        assert_eq!(attribute(&paid.attributes, "http.response.status_code"), 200);
        assert_eq!(attribute(&paid.attributes, "request.id"), "it-is-this-one", "as in the log");
        for (store, op) in
            [("redis", "seat.begin_payment"), ("postgresql", "payment.pay"), ("redis", "seat.finish_payment")]
        {
            let is_it = |span: &&Span| span.name == op && attribute(&span.attributes, "db.system.name") == store;
            let span = within.iter().find(is_it).unwrap_or_else(|| panic!("no {op} in {within:?}"));
            assert_eq!(span.kind, SpanKind::Client as i32);
            assert_within(span, &paid, &within);
        }

        let (refused, within) = collector.call(4).await;
        assert_eq!(refused.name, "GET /api/v1/concerts/{concertId}/schedules");
        assert_eq!(attribute(&refused.attributes, "http.response.status_code"), 401);
        assert_eq!(attribute(&refused.attributes, "error.type"), "INVALID_TOKEN");
        assert!(within.is_empty(), "a token that is none is refused without asking anybody: {within:?}");
        collector.call(2).await;

        assert_eq!(program.end().await.code, Some(0));
        let received = collector.received.lock().unwrap().clone();
        let resource = received[0].resource_spans[0].resource.as_ref().unwrap();
        assert_eq!(attribute(&resource.attributes, "service.name"), "box-office");
        assert_eq!(attribute(&resource.attributes, "deployment"), "night");
        for span in collector.spans() {
            assert!(span.events.is_empty(), "{span:?}");
            for attribute in &span.attributes {
                assert!(KEYS.contains(&attribute.key.as_str()), "{attribute:?}");
            }
        }
        // Ids of spans and times are numbers of their own, in which any other may happen to be.
        let said: Vec<_> = collector.spans().into_iter().map(|span| (span.name, span.attributes)).collect();
        let all = format!("{said:?}");
        for secret in [&*token, user, "98765432"] {
            assert!(!all.contains(secret), "{secret} is in a trace");
        }
    });
}

/// That a span is within the call's, at whatever depth, and in its time.
#[track_caller]
fn assert_within(span: &Span, call: &Span, others: &[Span]) {
    let mut above = span;
    while above.parent_span_id != call.span_id {
        let is_parent = |other: &&Span| other.span_id == above.parent_span_id;
        above = others.iter().find(is_parent).unwrap_or_else(|| panic!("{} is within nothing", span.name));
    }
    let times =
        [call.start_time_unix_nano, span.start_time_unix_nano, span.end_time_unix_nano, call.end_time_unix_nano];
    assert!(times.is_sorted(), "{}: {times:?}", span.name);
}

#[test]
fn calls_that_were_carried_out_together_point_to_the_one_that_shows_it() {
    block_on(async {
        let collector = Collector::start().await;
        let program = Arc::new(program(&collector.url(), &[]).await);
        let mut tokens = Vec::new();
        for user in 1..=40 {
            tokens.push(program.enter(&user.to_string()).await);
        }
        let holds = tokens.into_iter().zip(1_u128..).map(|(token, trace)| {
            let program = Arc::clone(&program);
            async move {
                let parent = traceparent(trace, 1);
                let headers = [("token", &*token), ("traceparent", &*parent)];
                let seat = json!({ "concertScheduleId": 1, "concertSeatId": 11 });
                program.call("POST", "/api/v1/reservations/concert", &headers, seat).await.status()
            }
        });
        let answered = crate::support::at_once(holds).await;
        assert_eq!(answered.iter().filter(|status| **status == 200).count(), 1);
        let mut together = 0;
        for trace in 1..=40 {
            let (_, within) = collector.call(trace).await;
            let is_of = |span: &Span, kind: SpanKind| span.name == "seat.hold" && span.kind == kind as i32;
            // More than one only where the seat map had to be built first.
            let waits: Vec<_> = within.iter().filter(|span| is_of(span, SpanKind::Internal)).collect();
            assert!(!waits.is_empty(), "{within:?}");
            for waited in waits {
                let shown_in = |id: &[u8], spans: &[Span]| {
                    spans.iter().any(|span| is_of(span, SpanKind::Client) && span.parent_span_id == id)
                };
                if shown_in(&waited.span_id, &within) {
                    assert!(waited.links.is_empty(), "{waited:?}");
                    continue;
                }
                together += 1;
                let [link] = &waited.links[..] else { panic!("{waited:?}") };
                // Whose call that is may end a moment later.
                let is_there = async || shown_in(&link.span_id, &collector.spans());
                eventually("it points to where the script is", SOON, is_there).await;
            }
        }
        assert!(together > 0, "forty at once are not carried out one by one");
    });
}

#[test]
fn the_sampler_and_the_caller_decide_what_is_traced() {
    block_on(async {
        let collector = Collector::start().await;
        let program = program(&collector.url(), &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]).await;
        let look = async |headers: &[(&str, &str)]| {
            assert_eq!(program.call("GET", "/api/v1/concerts", headers, Value::Null).await.status(), 200);
        };
        look(&[]).await;
        look(&[("traceparent", &traceparent(1, 0))]).await;
        look(&[("traceparent", "00-nonsense")]).await;
        look(&[("traceparent", &traceparent(2, 1))]).await;
        collector.call(2).await;
        assert_eq!(program.end().await.code, Some(0));
        let traced: HashSet<_> = collector.spans().into_iter().map(|span| span.trace_id).collect();
        assert_eq!(traced, HashSet::from([2_u128.to_be_bytes().to_vec()]), "only what its caller traces");
    });
}

#[test]
fn what_fails_is_marked_and_what_the_clock_does_is_not_traced() {
    block_on(async {
        let collector = Collector::start().await;
        let (database, redis) = (servers().await.seeded_database().await, servers().await.redis_url());
        let url = collector.url();
        let times = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*url), ("ONSALE_REQUEST_TIMEOUT_MS", "400")];
        let program = Running::start(&database, &redis, &times).await;
        let charge = async |trace: u128| {
            let parent = traceparent(trace, 1);
            let headers = [("userId", "1"), ("traceparent", &*parent)];
            program.call("PATCH", "/api/v1/user-wallets/balance", &headers, json!({ "amount": 1 })).await.status()
        };
        let made = async || charge(1).await == 200;
        eventually("the wallet is there", SOON, made).await;
        let mut lock = PgConnection::connect(&database).await.unwrap();
        lock.execute("BEGIN; SELECT FROM user_wallet FOR UPDATE").await.unwrap();
        assert_eq!(charge(2).await, 503);
        lock.execute("ROLLBACK").await.unwrap();
        // Some of the scheduler's runs go by.
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The end sends what has not been sent.
        assert_eq!(program.end().await.code, Some(0));
        let traces = [1_u128, 2].map(|trace| trace.to_be_bytes().to_vec());
        for span in collector.spans() {
            assert!(traces.contains(&span.trace_id), "{}: nobody called for it", span.name);
        }
        let (failed, _) = collector.call(2).await;
        assert_eq!(failed.status.as_ref().map(|status| status.code), Some(SpanStatus::Error as i32), "{failed:?}");
        assert_eq!(attribute(&failed.attributes, "error.type"), "UNAVAILABLE");
        let made = collector.of_trace(1);
        let marked = |span: &&Span| span.status.as_ref().is_some_and(|status| status.code != SpanStatus::Unset as i32);
        assert!(!made.is_empty() && made.iter().find(marked).is_none(), "{made:?}");
    });
}

#[test]
fn a_collector_that_is_silent_or_gone_is_nobodys_concern() {
    block_on(async {
        // One takes connections and says nothing, behind the other there is nobody.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = Port::reserve().unwrap();
        for (port, is_told) in [(silent.local_addr().unwrap().port(), false), (gone.number(), true)] {
            let little = [("OTEL_BSP_MAX_QUEUE_SIZE", "64"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")];
            let program = program(&format!("http://127.0.0.1:{port}"), &little).await;
            // Many more than it keeps for sending.
            for user in 1..=300 {
                let user = user.to_string();
                program
                    .data("PATCH", "/api/v1/user-wallets/balance", &[("userId", &user)], json!({ "amount": 1 }))
                    .await;
            }
            let told = || {
                program.lines().iter().filter(|line| line.to_string().contains("traces cannot be delivered")).count()
            };
            if is_told {
                eventually("it is told", SOON, async || told() == 1).await;
            }
            let begun = std::time::Instant::now();
            assert_eq!(program.end().await.code, Some(0));
            assert!(begun.elapsed() < Duration::from_secs(10), "the end waits for it a moment and no longer");
        }
    });
}
