//! What is seen while a burst runs: a bar on a terminal, a line every few seconds elsewhere; on stderr, for stdout has the
//! result. On the way it writes down how things stand.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::figures::Figures;

/// How often things are written down, and the bar is drawn.
const STEP: Duration = Duration::from_millis(200);
/// After how many of these there is a line where there is no terminal.
const STEPS_A_LINE: u32 = 25;
const BAR: usize = 24;

/// Until `done`; the last thing that it writes down is the end.
pub(super) async fn watch(figures: Arc<Figures>, done: CancellationToken) {
    let terminal = stderr().is_terminal();
    let mut ticks = tokio::time::interval(STEP);
    let mut step = 0_u32;
    while done.run_until_cancelled(ticks.tick()).await.is_some() {
        figures.sample();
        if terminal {
            say(&format!("\r\x1b[K{}", line(&figures)));
        } else if step.is_multiple_of(STEPS_A_LINE) && step > 0 {
            say(&format!("{}\n", line(&figures)));
        }
        step = step.wrapping_add(1);
    }
    figures.sample();
    if terminal {
        say("\r\x1b[K");
    }
}

/// A closed pipe is no reason to stop.
fn say(text: &str) {
    let mut stderr = stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn line(figures: &Figures) -> String {
    let now = figures.now();
    let (ended, people) = (figures.ended(), u64::from(figures.people()).max(1));
    let full = usize::try_from(ended * BAR as u64 / people).unwrap_or(BAR).min(BAR);
    let bar = "#".repeat(full) + &".".repeat(BAR - full);
    let (seconds, percent, errors) = (now.ms / 1000, ended * 100 / people, figures.failures());
    let (waiting, admitted, sold) = (now.waiting, now.admitted, now.sold);
    format!(
        "[{bar}] {percent:3} %  {seconds:3} s  waiting {waiting}  admitted {admitted}  sold {sold}  errors {errors}"
    )
}
