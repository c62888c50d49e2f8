//! `deploy/onsale.service` against the program.

use clap::Parser;
use onsale::settings::{Cli, Command};

use super::file::{secret, settings_of, shutdown_seconds, text};

/// All values of a directive.
fn values(directive: &str) -> Vec<String> {
    let file = text("deploy/onsale.service");
    file.lines().filter_map(|line| line.strip_prefix(directive)?.strip_prefix('=')).map(str::to_owned).collect()
}

fn number(directive: &str) -> u32 {
    values(directive)[0].parse().unwrap()
}

#[test]
fn the_unit_runs_the_program_and_lets_it_end() {
    let stores = [("DATABASE_URL", "postgres://a/b"), ("REDIS_URL", "redis://a")];
    let mut environment = stores.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    environment.push(("ONSALE_TOKEN_KEY".to_owned(), secret("ONSALE_TOKEN_KEY")));
    let settings = settings_of(environment.into_iter().collect());

    let program = |line: &str| -> Vec<String> {
        let words = line.strip_prefix("/usr/local/bin/").unwrap().split(' ').map(str::to_owned);
        words
            .chain(stores.map(|(name, value)| format!("--{}={value}", name.to_lowercase().replace('_', "-"))))
            .collect()
    };
    let before = Cli::try_parse_from(program(&values("ExecStartPre")[0]));
    assert!(matches!(before.unwrap().command, Command::Migrate(_)));
    let mut serve = program(&values("ExecStart")[0]);
    serve.push(format!("--token-key={}", secret("ONSALE_TOKEN_KEY")));
    assert!(matches!(Cli::try_parse_from(serve).unwrap().command, Command::Serve(_)));

    assert!(number("TimeoutStopSec") > shutdown_seconds(&settings) + 1);
    let service = settings.service;
    assert!(number("LimitNOFILE") > service.connections.max_connections + service.postgres_connections + 1000);
    assert_eq!(values("KillSignal"), ["SIGTERM"]);
}
