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

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level alone, or targets with levels. Left to itself, tracing takes a misspelt level for a target, and is silent.
fn is_sound(filter: &str) -> bool {
    let is_level = |text: &str| LEVELS.contains(&text.to_ascii_lowercase().as_str());
    filter.split(',').all(|directive| match directive.rsplit_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(directive),
    })
}

/// Starts logging. A second start in one process changes nothing.
pub fn start_logs(filter: &str, output: Output) -> Result<(), BadFilter> {
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
    let lines = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(writer).with_target(false);
    // An error means that another start was faster.
    let _ = if terminal {
        lines.compact().try_init()
    } else {
        lines.json().flatten_event(true).with_span_list(false).try_init()
    };
    Ok(())
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
