//! Traces: a span for each call, and within it one for each script and each statement, sent by OTLP (http/protobuf) to
//! where `OTEL_EXPORTER_OTLP_ENDPOINT` says. Without it no span is made, unless the log wants `debug`.
//!
//! Spans carry names of ours alone: a method, a route's template, an op, a code. A thread of its own sends them; what it
//! cannot send in time is dropped, so a collector that is slow or gone is nobody's delay. What runs by the clock belongs to no
//! call, and is not traced.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use clap::builder::PossibleValuesParser;
use http::{Request, Response, Uri};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// How long the end waits for the last spans to be sent.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The longest that one delivery may take.
const DELIVERY: Duration = Duration::from_secs(10);

/// What `OTEL_TRACES_SAMPLER` takes.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Where traces go, and how many. The standard's own variables; those of them that are not named here (such as
/// `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_BSP_*`) are heeded too.
#[derive(Debug, Clone, Args)]
pub struct TraceSettings {
    /// Where a collector takes traces by OTLP, such as `http://127.0.0.1:4318`; without it there are none
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = endpoint)]
    pub otlp_endpoint: Option<Endpoint>,
    /// Likewise, with the path, such as `http://127.0.0.1:4318/v1/traces`; goes before the other
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_name = "URL", value_parser = endpoint)]
    pub otlp_traces_endpoint: Option<Endpoint>,
    /// How traces are sent
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", default_value = "http/protobuf", value_parser = PossibleValuesParser::new(["http/protobuf"]))]
    pub otlp_protocol: String,
    /// Which calls are traced; parentbased: as the caller's traceparent says, if it sends one
    #[arg(long, env = "OTEL_TRACES_SAMPLER", default_value = "parentbased_always_on", value_parser = PossibleValuesParser::new(SAMPLERS))]
    pub traces_sampler: String,
    /// The share of calls that a sampler by traceidratio takes
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 1.0, value_name = "SHARE", value_parser = share)]
    pub traces_sampler_arg: f64,
    /// What traces call this service
    #[arg(long, env = "OTEL_SERVICE_NAME", default_value = "onsale", value_name = "NAME")]
    pub service_name: String,
}

/// A collector's address; an empty one is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Option<String>);

/// The traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A setting is not as the standard has it.
    #[error("the traces could not be set up: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// Nothing could be made that sends them.
    #[error("the traces could not be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// What makes spans and sends them, until [`end`](Self::end).
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

fn endpoint(text: &str) -> Result<Endpoint, String> {
    if text.is_empty() {
        return Ok(Endpoint(None));
    }
    let is_plain = |uri: &Uri| uri.scheme_str() == Some("http") && uri.authority().is_some();
    let plain = text.parse::<Uri>().is_ok_and(|uri| is_plain(&uri));
    // It may carry a password, so it is not repeated.
    let complaint = "takes an http:// address of a collector, such as http://127.0.0.1:4318 (one nearby: no TLS)";
    plain.then(|| Endpoint(Some(text.to_owned()))).ok_or_else(|| complaint.to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("takes a number from 0 to 1, not {text:?}"))
}

impl TraceSettings {
    /// Where to send them, if anywhere.
    fn address(&self) -> Option<String> {
        let address = |endpoint: &Option<Endpoint>| endpoint.as_ref()?.0.clone();
        let base = |base: String| format!("{}/v1/traces", base.trim_end_matches('/'));
        address(&self.otlp_traces_endpoint).or_else(|| address(&self.otlp_endpoint).map(base))
    }

    fn sampler(&self) -> Sampler {
        let root = match self.traces_sampler.trim_start_matches("parentbased_") {
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(self.traces_sampler_arg),
            _ => Sampler::AlwaysOn,
        };
        if self.traces_sampler.starts_with("parentbased_") { Sampler::ParentBased(Box::new(root)) } else { root }
    }
}

impl Traces {
    /// Starts sending, if the settings say where to. Needs a runtime.
    pub fn start(settings: &TraceSettings) -> Result<Option<Self>, TraceError> {
        let Some(address) = settings.address() else { return Ok(None) };
        let exporter =
            SpanExporter::builder().with_http().with_http_client(Courier::new()?).with_endpoint(address).build()?;
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(settings.sampler())
            .with_resource(resource)
            .build();
        Ok(Some(Self(provider)))
    }

    /// What makes them of this program's own spans: of those of calls, and of what is within one.
    pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let ours = |meta: &Metadata<'_>| meta.is_span() && meta.target().starts_with("onsale");
        let of_calls = dynamic_filter_fn(move |meta, context| {
            ours(meta) && (meta.name() == crate::http::CALL_SPAN || context.lookup_current().is_some())
        })
        .with_callsite_filter(move |meta| if ours(meta) { Interest::sometimes() } else { Interest::never() })
        .with_max_level_hint(LevelFilter::DEBUG);
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("onsale"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(of_calls)
    }

    /// Sends what is left, and waits for that, but not for long.
    pub async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_WORDS)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last traces could not be delivered");
        }
    }
}

/// Takes spans to the collector: on this program's own runtime, though a thread outside of it asks. Says once when that
/// begins to fail, and once when it is well again.
#[derive(Debug)]
struct Courier {
    client: reqwest::Client,
    runtime: Handle,
    is_failing: AtomicBool,
}

impl Courier {
    fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(DELIVERY).build()?;
        Ok(Self { client, runtime: Handle::current(), is_failing: AtomicBool::new(false) })
    }

    async fn deliver(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, request) = (self.client.clone(), reqwest::Request::try_from(request)?);
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request).await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        });
        let (status, body) = sent.await??;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }

    fn tell(&self, outcome: &Result<Response<Bytes>, HttpError>) {
        let failure = match outcome {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(response.status().to_string()),
            // The address stays out: it may carry a password.
            Err(error) => Some(error.downcast_ref::<reqwest::Error>().map_or_else(
                || error.to_string(),
                |error| {
                    if error.is_timeout() { "it does not answer in time" } else { "it cannot be reached" }.to_owned()
                },
            )),
        };
        match (failure, self.is_failing.load(Ordering::Relaxed)) {
            (Some(cause), false) => tracing::warn!(cause, "traces cannot be delivered, and are dropped"),
            (None, true) => tracing::info!("traces are delivered again"),
            (Some(_), true) | (None, false) => return,
        }
        self.is_failing.fetch_xor(true, Ordering::Relaxed);
    }
}

impl HttpClient for Courier {
    fn send_bytes<'this, 'sent>(
        &'this self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sent>>
    where
        'this: 'sent,
        Self: 'sent,
    {
        Box::pin(async move {
            let outcome = self.deliver(request).await;
            self.tell(&outcome);
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        traces: TraceSettings,
    }

    fn settings(args: &[&str]) -> Result<TraceSettings, String> {
        let line = Line::try_parse_from([&["onsale"], args].concat());
        line.map(|line| line.traces).map_err(|error| error.to_string())
    }

    #[test]
    fn the_address_is_the_base_with_the_path_or_the_whole() {
        let address = |args: &[&str]| settings(args).unwrap().address();
        assert_eq!(address(&[]), None);
        assert_eq!(address(&["--otlp-endpoint", ""]), None, "an empty variable is none");
        let base = ["--otlp-endpoint", "http://c:4318/"];
        assert_eq!(address(&base).as_deref(), Some("http://c:4318/v1/traces"));
        let both = [&base[..], &["--otlp-traces-endpoint", "http://d/here"]].concat();
        assert_eq!(address(&both).as_deref(), Some("http://d/here"));
    }

    #[test]
    fn what_is_no_address_or_not_understood_is_refused_and_no_password_repeated() {
        for (option, value) in [
            ("--otlp-endpoint", "https://me:hunter2@collector"),
            ("--otlp-endpoint", "collector:4318"),
            ("--otlp-traces-endpoint", "hunter2"),
            ("--otlp-protocol", "grpc"),
            ("--traces-sampler", "xray"),
            ("--traces-sampler-arg", "1.5"),
            ("--traces-sampler-arg", "NaN"),
        ] {
            assert!(settings(&[option, value]).is_err(), "{option} {value}");
        }
        assert!(endpoint("https://me:hunter2@collector").is_err_and(|complaint| !complaint.contains("hunter2")));
    }

    #[test]
    fn each_sampler_is_what_it_says() {
        let sampler = |name: &str| {
            format!("{:?}", settings(&["--traces-sampler", name, "--traces-sampler-arg", "0.25"]).unwrap().sampler())
        };
        assert_eq!(
            SAMPLERS.map(sampler),
            [
                "AlwaysOn",
                "AlwaysOff",
                "TraceIdRatioBased(0.25)",
                "ParentBased(AlwaysOn)",
                "ParentBased(AlwaysOff)",
                "ParentBased(TraceIdRatioBased(0.25))",
            ]
        );
    }
}
