//! What it takes, what it explains, and how it says what is wrong.

use clap::CommandFactory;
use onsale::settings::Cli;

use super::{KEY, PATIENT, run};
use crate::support::{block_on, servers};

const VERBS: [&str; 8] = ["serve", "dev", "migrate", "seed", "audit", "burst", "admin", "top"];

/// The contract's variables for `serve`.
const VARIABLES: [&str; 14] = [
    "DATABASE_URL",
    "REDIS_URL",
    "ONSALE_LISTEN",
    "ONSALE_METRICS_LISTEN",
    "ONSALE_TOKEN_KEY",
    "ONSALE_ADMIN_TOKEN",
    "ONSALE_MAX_ACTIVE",
    "ONSALE_ADMIT_PER_SECOND",
    "ONSALE_ACTIVE_TTL_SECONDS",
    "ONSALE_WAITING_TTL_SECONDS",
    "ONSALE_HOLD_TTL_SECONDS",
    "ONSALE_MAX_HOLDS_PER_USER",
    "ONSALE_TIME_ZONE",
    "ONSALE_LOG",
];

#[test]
fn help_explains_every_verb_and_setting() {
    block_on(async {
        let help = run(&["--help"], &[]).await;
        assert_eq!((help.code, &*help.stderr), (Some(0), ""));
        for verb in VERBS {
            assert!(help.stdout.lines().any(|line| line.trim_start().starts_with(&format!("{verb} "))), "{verb}");
            let help = run(&[verb, "--help"], &[]).await;
            assert_eq!((help.code, &*help.stderr), (Some(0), ""), "{verb}");
            assert!(help.stdout.contains("Usage:"), "{verb}");
        }
        let secrets = [("DATABASE_URL", "postgres://a:hunter2@b/c"), ("ONSALE_TOKEN_KEY", "hunter2")];
        let help = run(&["serve", "--help"], &secrets).await;
        // However the lines are broken.
        let help = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for variable in VARIABLES {
            assert!(help.contains(&format!("[env: {variable}")), "{variable}");
        }
        for default in ["1000", "200", "300", "120", "4", "127.0.0.1:8080", "127.0.0.1:9100", "Asia/Seoul", "info"] {
            assert!(help.contains(&format!("[default: {default}]")), "{default}");
        }
        assert!(!help.contains("hunter2"), "secrets are not shown");
    });
}

#[test]
fn every_option_is_explained_and_has_a_variable() {
    let mut command = Cli::command();
    command.build();
    for verb in command.get_subcommands().filter(|verb| VERBS.contains(&verb.get_name())) {
        for option in verb.get_arguments().filter(|option| !["help", "version"].contains(&option.get_id().as_str())) {
            let name = format!("{} --{}", verb.get_name(), option.get_long().unwrap());
            assert!(option.get_help().is_some(), "{name}");
            assert!(option.get_env().is_some(), "{name}");
        }
    }
}

#[test]
fn without_a_verb_it_says_how_it_is_used() {
    block_on(async {
        let ran = run(&[], &[]).await;
        assert_ne!(ran.code, Some(0));
        assert!(ran.stderr.contains("Usage:"), "{ran:?}");
        for (args, takes) in [
            (&["sell"][..], "error: there is no sell: it takes serve, dev, migrate, "),
            (&["admin", "queue", "big"], "error: there is no big: it takes show, create, set, "),
            (&["admin", "concerts", "all"], "error: there is no all: it takes list, create, "),
        ] {
            let ran = run(args, &[]).await;
            assert_ne!(ran.code, Some(0));
            assert_eq!((ran.stderr.lines().count(), &*ran.stdout), (1, ""), "{ran:?}");
            assert!(ran.stderr.starts_with(takes) && !ran.stderr.contains("guard"), "{ran:?}");
        }
    });
}

/// What `serve` needs, with stores that nobody must reach.
pub const NEEDED: [(&str, &str); 3] = [
    ("DATABASE_URL", "postgres://onsale@127.0.0.1:1/onsale"),
    ("REDIS_URL", "redis://127.0.0.1:1/"),
    ("ONSALE_TOKEN_KEY", KEY),
];

/// That `serve` refuses to start, with one line that names the variable.
pub async fn assert_refused(variables: &[(&str, &str)], named: &str) {
    let ran = run(&["serve"], variables).await;
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert!(ran.stderr.contains(named), "{named}: {ran:?}");
    assert_eq!(ran.stdout, "", "it has nothing to log");
}

#[test]
fn what_is_missing_is_named() {
    block_on(async {
        for (missing, _) in NEEDED {
            let others: Vec<_> = NEEDED.iter().copied().filter(|(name, _)| *name != missing).collect();
            assert_refused(&others, missing).await;
            for verb in ["migrate", "seed", "audit"].iter().filter(|_| missing != "ONSALE_TOKEN_KEY") {
                let ran = run(&[verb], &others).await;
                assert!(ran.code != Some(0) && ran.stderr.contains(missing), "{ran:?}");
                assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
            }
        }
    });
}

#[test]
fn what_is_wrong_is_named() {
    block_on(async {
        let database = servers().await.seeded_database().await;
        for (name, value) in [
            ("ONSALE_TOKEN_KEY", "0123456789"),
            ("ONSALE_TOKEN_KEY", ""),
            ("ONSALE_TOKEN_KEY", "not hex and not base64, but long enough for 32 bytes"),
            ("ONSALE_ADMIN_TOKEN", "short"),
            ("ONSALE_LISTEN", "8080"),
            ("ONSALE_LISTEN", "nowhere:8080"),
            ("ONSALE_METRICS_LISTEN", "127.0.0.1:65536"),
            ("ONSALE_MAX_ACTIVE", "0"),
            ("ONSALE_MAX_ACTIVE", "-1"),
            ("ONSALE_ADMIT_PER_SECOND", "1.5"),
            ("ONSALE_ACTIVE_TTL_SECONDS", "5m"),
            ("ONSALE_WAITING_TTL_SECONDS", ""),
            ("ONSALE_HOLD_TTL_SECONDS", "86401"),
            ("ONSALE_MAX_HOLDS_PER_USER", "many"),
            ("ONSALE_TIME_ZONE", "Mars/Phobos"),
            ("ONSALE_LOG", "onsale=loud"),
            ("DATABASE_URL", "mysql://onsale@127.0.0.1/onsale"),
            ("DATABASE_URL", "onsale"),
            ("DATABASE_URL", ""),
            ("REDIS_URL", "http://127.0.0.1:6379"),
            ("REDIS_URL", ""),
        ] {
            let mut variables = [&NEEDED[..], &PATIENT].concat();
            // With a database that is there, or that would be complained of first.
            variables[0].1 = &database;
            variables.retain(|(other, _)| *other != name);
            variables.push((name, value));
            assert_refused(&variables, name).await;
        }
    });
}

#[test]
fn stores_that_do_not_answer_are_named() {
    block_on(async {
        assert_refused(&NEEDED, "DATABASE_URL").await;
        let servers = servers().await;
        let (seeded, empty, redis) =
            (servers.seeded_database().await, servers.empty_database().await, servers.redis_url());
        for (database, redis, named) in [(&seeded, NEEDED[1].1, "REDIS_URL"), (&empty, &*redis, "onsale migrate")] {
            let stores = [("DATABASE_URL", database.as_str()), ("REDIS_URL", redis), NEEDED[2]];
            assert_refused(&[&stores[..], &PATIENT].concat(), named).await;
        }
    });
}
