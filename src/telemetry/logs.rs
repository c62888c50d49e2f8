//! Log lines: text on a terminal, JSON elsewhere.

use std::io::{IsTerminal, stderr, stdout};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{self, FmtContext};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::Traces;
use crate::http::with_call;

/// Where lines go: a service's to stdout, those of a command that prints its result there to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The filter does not parse.
#[derive(Debug, thiserror::Error)]
#[error(
    "ONSALE_LOG (--log) takes off, error, warn, info, debug, trace, or a tracing filter such as onsale=debug, not {0:?}"
)]
pub struct BadFilter(String);

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level alone, or targets with levels. Left to itself, tracing takes a misspelt level for a target, and is silent.
fn is_sound(filter: &str) -> bool {
    let is_level = |text: &str| LEVELS.contains(&text.to_ascii_lowercase().as_str());
    filter.split(',').all(|directive| match directive.rsplit_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(directive),
    })
}

/// Starts logging, and tracing if there are to be traces. A second start in one process changes nothing.
pub fn start_logs(filter: &str, output: Output, traces: Option<&Traces>) -> Result<(), BadFilter> {
    if !is_sound(filter) {
        return Err(BadFilter(filter.to_owned()));
    }
    // At `info` the scheduler tells of its own starting, and sqlx of what Postgres found unremarkable.
    let quieter = format!("tokio_cron_scheduler=warn,sqlx=warn,{filter}");
    let parsed = EnvFilter::builder().parse(quieter).map_err(|_| BadFilter(filter.to_owned()))?;
    let writer = match output {
        Output::Stdout => BoxMakeWriter::new(stdout),
        Output::Stderr => BoxMakeWriter::new(stderr),
    };
    let terminal = match output {
        Output::Stdout => stdout().is_terminal(),
        Output::Stderr => stderr().is_terminal(),
    };
    let lines = fmt::layer().with_writer(writer);
    let lines = if terminal {
        let event = format::format().compact().with_target(false).with_ansi(true);
        lines.event_format(OfCalls { event, is_json: false }).with_filter(parsed).boxed()
    } else {
        let event = format::format().json().flatten_event(true).with_target(false);
        let event = event.with_span_list(false).with_current_span(false);
        lines
            .fmt_fields(format::JsonFields::new())
            .event_format(OfCalls { event, is_json: true })
            .with_filter(parsed)
            .boxed()
    };
    let lines = tracing_subscriber::registry().with(lines);
    // An error means that another start was faster.
    let _ = match traces {
        Some(traces) => lines.with(traces.layer()).try_init(),
        None => lines.try_init(),
    };
    Ok(())
}

/// Lines that say of which call they are, if they are of one: taken from the call when a line is written, so that calls of
/// which nothing is said pay nothing for it.
struct OfCalls<F> {
    event: F,
    is_json: bool,
}

impl<S, N, F> FormatEvent<S, N> for OfCalls<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut line = String::new();
        self.event.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&with_fields_of_call(line, self.is_json))
    }
}

fn with_fields_of_call(mut line: String, is_json: bool) -> String {
    let fields = with_call(|call| {
        if is_json {
            return serde_json::to_string(&call).unwrap_or_default().replacen('{', ",", 1);
        }
        format!(" request.id={} method={} route={}", call.id, call.method, call.route)
    });
    if let Some(fields) = fields {
        line.truncate(line.trim_end().len() - usize::from(is_json));
        line.push_str(&fields);
        line.push('\n');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_no_filter() {
        for sound in ["info", "WARN", "off", "onsale=debug", "warn,onsale::queue=trace"] {
            assert!(is_sound(sound), "{sound}");
        }
        for unsound in ["", "loud", "inf", "onsale", "onsale=", "=info", "a=b=c", "info,"] {
            assert!(!is_sound(unsound), "{unsound}");
        }
    }
}
