//! What the run may be told; and what cargo tells every test program, which is heeded as far as it makes sense for one test.

use clap::Parser;

use crate::sabotage::Sabotage;

/// The name by which test runners know it.
const NAME: &str = "chaos";

/// The whole service under random faults, checked afterwards
#[derive(Debug, Parser)]
#[command(name = NAME, max_term_width = 100)]
pub struct Arguments {
    /// How long faults go on, in seconds; starting, settling and checking come on top
    #[arg(long, default_value_t = 35, value_name = "SECONDS")]
    pub seconds: u32,
    /// What everything drawn by lot is drawn from [default: another each time]
    #[arg(long, default_value_t = rand::random::<u32>().into(), hide_default_value = true)]
    pub seed: u64,
    /// How many clients shop at a time
    #[arg(long, default_value_t = 48)]
    pub clients: u32,
    /// How many faults are begun in a minute
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub faults_per_minute: u32,
    /// How many instances serve; the last has a wrong clock
    #[arg(long, default_value_t = 3, hide = true, value_parser = clap::value_parser!(u8).range(2..=9))]
    pub instances: u8,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Break the shop on purpose, to see that the checker sees it
    #[arg(long = "break", value_enum, value_name = "WHAT")]
    pub sabotage: Option<Sabotage>,
    #[command(flatten)]
    runner: Runner,
}

/// What `cargo test` and its like pass to every test program.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
struct Runner {
    #[arg(hide = true)]
    filters: Vec<String>,
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    skip: Vec<String>,
    #[arg(long, hide = true)]
    format: Option<String>,
    #[arg(long, hide = true)]
    test_threads: Option<String>,
    #[arg(long, hide = true)]
    color: Option<String>,
    #[arg(short = 'Z', hide = true)]
    unstable: Vec<String>,
    #[arg(long, hide = true)]
    include_ignored: bool,
    #[arg(long, visible_alias = "no-capture", hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    show_output: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
}

/// What is to be done.
pub enum Asked {
    /// The run.
    Run(Box<Arguments>),
    /// Only this text is to be printed.
    Say(String),
}

/// Reads the command line; what is wrong with it ends the program with a complaint.
pub fn read() -> Asked {
    let arguments = Arguments::parse();
    let runner = &arguments.runner;
    let chosen = runner.chooses(NAME);
    if runner.list {
        let tests = if chosen { format!("{NAME}: test\n") } else { String::new() };
        let terse = runner.format.as_deref() == Some("terse");
        let summary = if terse { String::new() } else { format!("\ntests: {}, benchmarks: 0", u8::from(chosen)) };
        return Asked::Say(format!("{tests}{summary}").trim_end().to_owned());
    }
    if chosen { Asked::Run(Box::new(arguments)) } else { Asked::Say("\nrunning 0 tests".to_owned()) }
}

impl Runner {
    fn chooses(&self, name: &str) -> bool {
        let matches = |filter: &String| if self.exact { filter == name } else { name.contains(filter.as_str()) };
        let wanted = self.filters.is_empty() || self.filters.iter().any(matches);
        wanted && !self.skip.iter().any(matches) && !self.ignored
    }
}
