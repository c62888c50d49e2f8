//! Where `onsale top` shows the sale: over the whole of a terminal, which is given back as it was, or block by block.

use std::io::{self, IsTerminal, Write, stdout};

use terminal_size::{Height, Width};

use super::rates::{QueueView, ScheduleView, View};
use super::table::{Table, grouped};

/// Another screen than the one that has been written on, and no cursor; and the way back.
const TAKE: &str = "\x1b[?1049h\x1b[?25l";
const GIVE_BACK: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left; the rest of a line; the rest of the screen.
const HOME: &str = "\x1b[H";
const END_OF_LINE: &str = "\x1b[K";
const END_OF_SCREEN: &str = "\x1b[J";

/// How wide a picture of a schedule's seats is.
const BAR: usize = 20;

/// A terminal that is taken until this is dropped, also by a panic.
pub(super) struct Screen(());

/// How much can be seen; none: all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    width: usize,
    height: usize,
}

impl Screen {
    /// None if standard output is no terminal.
    pub(super) fn take() -> io::Result<Option<Self>> {
        if !stdout().is_terminal() {
            return Ok(None);
        }
        let screen = Self(());
        write(TAKE)?;
        Ok(Some(screen))
    }

    /// Shows these lines and nothing else. [`Self::room`] says how many there is place for.
    #[expect(clippy::unused_self, reason = "nobody writes over a terminal that was not taken")]
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}{END_OF_LINE}")).collect();
        // Without a line break after the last one, or a full screen would scroll.
        write(&format!("{HOME}{}{END_OF_SCREEN}", lines.join("\r\n")))
    }

    pub(super) fn room() -> Option<Room> {
        terminal_size::terminal_size()
            .map(|(Width(width), Height(height))| Room { width: width.into(), height: height.into() })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(GIVE_BACK);
    }
}

/// At once, so that nothing is half seen.
pub(super) fn write(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The sale in lines, as many and as wide as there is room for.
pub(super) fn lines(view: &View, trouble: Option<&str>, room: Option<Room>) -> Vec<String> {
    let height = room.map_or(usize::MAX, |room| room.height);
    let totals = &view.totals;
    let [holds, payments, won] = [totals.holds_live, totals.payments, totals.won].map(grouped);
    let mut lines = vec![
        format!("onsale top  {}", view.at),
        format!("{holds} held   {payments} payments ({} a second)   {won} won", decimal(totals.payments_per_second)),
    ];
    if let Some(trouble) = trouble {
        lines.push(format!("! {trouble}"));
    }
    lines.push(String::new());
    // The queues get what they need, but for half of the room if the schedules need that.
    let left = height.saturating_sub(lines.len());
    let for_schedules = (view.schedules.len() + 2).min(left / 2);
    lines.extend(fitting(queues(&view.queues), 0, left - for_schedules));
    lines.push(String::new());
    let left = height.saturating_sub(lines.len());
    let more = view.total.saturating_sub(view.schedules.len());
    lines.extend(fitting(schedules(&view.schedules, left), more, left));
    lines.truncate(height);
    if let Some(Room { width, .. }) = room {
        for line in &mut lines {
            *line = line.chars().take(width).collect();
        }
    }
    lines
}

/// As many as there is room for; the last one says how many more there are.
fn fitting(mut lines: Vec<String>, more: usize, room: usize) -> Vec<String> {
    if lines.len() + usize::from(more > 0) > room {
        let shown = room.saturating_sub(1);
        let cut = lines.len().saturating_sub(shown);
        lines.truncate(shown);
        lines.push(format!("… {} more", cut + more));
    } else if more > 0 {
        lines.push(format!("… {more} more"));
    }
    lines
}

fn queues(queues: &[QueueView]) -> Vec<String> {
    let mut table =
        Table::new(["QUEUE", "WAITING", "ACTIVE", "OF", "A SECOND", "EMPTY IN", "ADMITTED", "STATE", "OPENS"]);
    for queue in queues {
        let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), grouped);
        table.row([
            queue.name.clone(),
            number(queue.waiting),
            number(queue.active),
            grouped(queue.max_active),
            decimal(queue.admitted_per_second),
            queue.seconds_to_empty.map_or_else(|| "-".to_owned(), duration),
            number(queue.admitted),
            queue.state.to_owned(),
            queue.opens_at.clone().unwrap_or_default(),
        ]);
    }
    table.lines()
}

/// Where not all fit, those first at which most goes on.
fn schedules(schedules: &[ScheduleView], room: usize) -> Vec<String> {
    let mut schedules = schedules.to_vec();
    if schedules.len() >= room {
        schedules.sort_by_key(|schedule| std::cmp::Reverse((schedule.held, schedule.sold)));
    }
    let mut table = Table::new(["SCHEDULE", "DATE", "FREE", "HELD", "SOLD", "SEATS"]);
    for schedule in &schedules {
        let [free, held, sold] = [schedule.free, schedule.held, schedule.sold].map(grouped);
        table.row([schedule.concert_schedule_id.to_string(), schedule.date.clone(), free, held, sold, bar(schedule)]);
    }
    table.lines()
}

/// Sold, held and free.
fn bar(schedule: &ScheduleView) -> String {
    let [free, held, sold] =
        [schedule.free, schedule.held, schedule.sold].map(|seats| usize::try_from(seats).unwrap_or_default());
    let all = (free + held + sold).max(1);
    // Rounded up, so that what there is is seen; what is free has the rest.
    let sold = (sold * BAR).div_ceil(all).min(BAR);
    let held = (held * BAR).div_ceil(all).min(BAR - sold);
    format!("[{}{}{}]", "#".repeat(sold), "+".repeat(held), ".".repeat(BAR - sold - held))
}

fn decimal(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.1}"))
}

/// Minutes and seconds, with hours where there are any.
fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::super::rates::TotalsView;
    use super::*;

    fn view(queues: usize, schedules: usize, total: usize) -> View {
        let queue = |at: usize| QueueView {
            name: format!("queue-{at}"),
            paused: false,
            draining: false,
            opens_at: None,
            waiting: Some(12_345),
            active: Some(10),
            max_active: 1000,
            admitted: Some(7),
            admitted_per_second: Some(10.0),
            seconds_to_empty: Some(1235),
            state: "open",
        };
        let schedule = |at: i64| ScheduleView {
            concert_schedule_id: at,
            date: "2030-01-01".to_owned(),
            free: 50 - at,
            held: at,
            sold: 0,
        };
        View {
            at: "2030-01-01T00:00:00.000Z".to_owned(),
            queues: (0..queues).map(queue).collect(),
            schedules: (0..schedules).zip(0..).map(|(_, at)| schedule(at)).collect(),
            total,
            totals: TotalsView { holds_live: 1, payments: 2, payments_per_second: None, won: 3_000 },
        }
    }

    #[test]
    fn whatever_there_is_fits_into_the_room() {
        for (queues, schedules, total) in [(0, 0, 0), (1, 30, 30), (40, 30, 30), (3, 100, 5000), (200, 0, 0)] {
            for (width, height) in [(80, 24), (20, 5), (1, 1), (200, 60), (40, 8), (0, 0)] {
                let view = view(queues, schedules, total);
                let lines = lines(&view, Some("nothing answers"), Some(Room { width, height }));
                assert!(lines.len() <= height, "{queues} {schedules} in {height}: {lines:#?}");
                assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
            }
            let all = lines(&view(queues, schedules, total), None, None);
            assert!(all.len() >= 5 + queues + schedules, "without bounds all of it is shown");
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_liveliest_are_shown() {
        let lines = lines(&view(2, 30, 130), None, Some(Room { width: 100, height: 20 }));
        assert_eq!(lines.len(), 20);
        assert!(lines[4].starts_with("queue-0   12,345"), "{lines:#?}");
        assert!(lines[8].trim_start().starts_with("29"), "{lines:#?}");
        assert_eq!(lines[19], "… 119 more");
    }

    #[test]
    fn a_bar_shows_what_there_is() {
        let bar =
            |free, held, sold| bar(&ScheduleView { concert_schedule_id: 1, date: String::new(), free, held, sold });
        assert_eq!(bar(10, 5, 5), "[#####+++++..........]");
        assert_eq!(bar(998, 1, 1), "[#+..................]");
        assert_eq!(bar(0, 0, 7), "[####################]");
        assert_eq!(bar(0, 1, 999), "[####################]");
        assert_eq!(bar(0, 0, 0), "[....................]");
    }

    #[test]
    fn a_duration_reads_as_a_clock() {
        assert_eq!([0, 59, 61, 3600, 86_399].map(duration), ["0:00", "0:59", "1:01", "1:00:00", "23:59:59"]);
    }
}
