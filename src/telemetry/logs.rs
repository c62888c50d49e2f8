//! Log lines: text on a terminal, JSON elsewhere.

use std::io::{IsTerminal, stderr, stdout};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

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

/// Starts logging. A second start in one process changes nothing.
pub fn start_logs(filter: &str, output: Output) -> Result<(), BadFilter> {
    // The scheduler tells of its own starting at `info`.
    let parsed = EnvFilter::builder()
        .parse(format!("tokio_cron_scheduler=warn,{filter}"))
        .map_err(|_| BadFilter(filter.to_owned()))?;
    let writer = match output {
        Output::Stdout => BoxMakeWriter::new(stdout),
        Output::Stderr => BoxMakeWriter::new(stderr),
    };
    let terminal = match output {
        Output::Stdout => stdout().is_terminal(),
        Output::Stderr => stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(writer).with_target(false);
    // An error means that another start was faster.
    let _ = if terminal {
        lines.compact().try_init()
    } else {
        lines.json().flatten_event(true).with_span_list(false).try_init()
    };
    Ok(())
}
