//! The `Dockerfile` against the repository and the program: what it copies is there and is all that is needed, and what it
//! starts exists.

use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use onsale::settings::Cli;
use serde_json::Value;

use super::file::{Compose, text};
use crate::lua::source::{files, repository};

/// Its instructions, continued lines joined, without comments.
fn instructions() -> Vec<(String, String)> {
    let file = text("Dockerfile");
    let code = file.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = code.lines().filter(|line| !line.trim().is_empty());
    let split = |line: &str| {
        let (word, rest) = line.split_once(' ').unwrap();
        (word.to_owned(), rest.to_owned())
    };
    lines.map(split).collect()
}

fn every(word: &str) -> Vec<String> {
    instructions().into_iter().filter(|(name, _)| name == word).map(|(_, rest)| rest).collect()
}

fn only(word: &str) -> String {
    let [one] = &every(word)[..] else { panic!("one {word}") };
    one.clone()
}

/// What is copied from the repository, in both steps.
fn copied() -> Vec<String> {
    let ours = every("COPY").into_iter().filter(|rest| !rest.starts_with("--from"));
    ours.flat_map(|rest| {
        let mut words: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
        words.pop();
        words
    })
    .collect()
}

#[test]
fn what_it_copies_is_there_and_nothing_else_is_sent() {
    let copied = copied();
    for path in &copied {
        assert!(repository(path).exists(), "there is no {path}");
    }
    let ignore = text(".dockerignore");
    let sent: Vec<_> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(ignore.lines().find(|line| !line.starts_with('#')), Some("*"));
    assert_eq!(sent, copied);
}

#[test]
fn what_the_program_includes_is_copied() {
    let copied = copied();
    let mut seen = 0;
    for path in files("src") {
        let code = std::fs::read_to_string(&path).unwrap();
        let includes = code.split("include_str!(\"").skip(1).chain(code.split("include_bytes!(\"").skip(1));
        for include in includes.map(|rest| rest.split('"').next().unwrap()) {
            let file = path.parent().unwrap().join(include).canonicalize().unwrap();
            let relative = file.strip_prefix(repository("").canonicalize().unwrap()).unwrap();
            assert!(copied.iter().any(|copied| relative.starts_with(copied)), "{} includes {include}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

/// Without them Cargo refuses to build the dependencies.
#[test]
fn every_target_that_cargo_is_told_of_has_a_stub() {
    let stubs = every("RUN").into_iter().find(|run| run.contains("touch src/lib.rs")).unwrap();
    assert!(!stubs.contains("cargo"), "{stubs}");
    let folder = tempfile::tempdir().unwrap();
    assert!(Command::new("sh").args(["-ec", &stubs]).current_dir(folder.path()).status().unwrap().success());
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(repository(""));
    let output = cargo.output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut kinds = 0;
    for target in metadata["packages"][0]["targets"].as_array().unwrap() {
        let path = Path::new(target["src_path"].as_str().unwrap()).strip_prefix(repository("")).unwrap();
        let kind = target["kind"][0].as_str().unwrap();
        if ["lib", "bin", "bench"].contains(&kind) {
            assert!(folder.path().join(path).is_file(), "no stub of {}", path.display());
            kinds += 1;
        }
    }
    assert!(kinds >= 6, "{kinds}");
}

#[test]
fn what_it_starts_is_the_program() {
    let copy = every("COPY").into_iter().find(|rest| rest.starts_with("--from=build")).unwrap();
    let program = copy.rsplit(' ').next().unwrap();
    let list = |text: &str| serde_json::from_str::<Vec<String>>(text).unwrap();
    assert_eq!(list(&only("ENTRYPOINT")), [program]);
    let (_, check) = only("HEALTHCHECK").split_once(" CMD ").map(|(a, b)| (a.to_owned(), list(b))).unwrap();
    assert_eq!(check[0], program);
    for verb in [&check[1], &list(&only("CMD"))[0]] {
        assert!(Cli::command().find_subcommand(verb).is_some(), "{verb}");
    }
    let compose = Compose::read();
    let (_, instance) = compose.instances().next().unwrap();
    assert_eq!(instance["healthcheck"]["test"][1], program);
    assert_eq!(only("STOPSIGNAL"), "SIGTERM");

    let build = every("RUN").join("\n");
    assert_eq!(build.matches("cargo build --release --locked --bin onsale").count(), 2, "{build}");
    assert_eq!(build.matches("cargo build").count(), 2);
}

#[test]
fn it_runs_as_nobody_from_pinned_images_and_says_what_it_is() {
    assert_eq!(only("USER"), "nonroot");
    let args = every("ARG");
    for from in every("FROM") {
        let name = from.split(' ').next().unwrap().trim_start_matches("${").trim_end_matches('}').to_owned();
        let image = args.iter().find_map(|arg| arg.strip_prefix(&format!("{name}="))).unwrap();
        let (_, tag) = image.split_once(':').unwrap();
        assert!(!tag.contains("latest"), "{image}");
    }
    let build = args.iter().find_map(|arg| arg.strip_prefix("BUILD=rust:1.")).unwrap();
    let minor: u32 = build.split('-').next().unwrap().parse().unwrap();
    let needed: u32 = env!("CARGO_PKG_RUST_VERSION").split('.').nth(1).unwrap().parse().unwrap();
    assert!(minor >= needed, "{build}");
    // Both are Debian 12: what is linked in one runs in the other.
    assert!(build.ends_with("-bookworm") && args.iter().any(|arg| arg.contains("debian12")), "{args:?}");

    let labels = only("LABEL");
    for (label, value) in
        [("version", env!("CARGO_PKG_VERSION")), ("licenses", env!("CARGO_PKG_LICENSE")), ("title", "onsale")]
    {
        assert!(labels.contains(&format!("org.opencontainers.image.{label}=\"{value}\"")), "{labels}");
    }
}

#[test]
fn its_ports_are_those_of_its_settings() {
    let settings = only_with("ENV", "ONSALE_LISTEN");
    let ports: Vec<_> = settings.split_whitespace().map(|setting| setting.rsplit(':').next().unwrap()).collect();
    assert_eq!(only("EXPOSE").split_whitespace().collect::<Vec<_>>(), ports);
    let compose = Compose::read();
    for setting in settings.split_whitespace() {
        let (name, value) = setting.split_once('=').unwrap();
        assert_eq!(compose.environment("onsale-1")[name], value);
    }
}

fn only_with(word: &str, part: &str) -> String {
    every(word).into_iter().find(|rest| rest.contains(part)).unwrap()
}
