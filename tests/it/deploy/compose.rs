//! `compose.yaml` against the program, the repository and itself.

use std::collections::BTreeSet;
use std::process::{Command as Process, Stdio};

use clap::CommandFactory;
use onsale::settings::{Cli, ServeSettings};
use serde_json::Value;

use super::file::{Compose, filled_in, secret, settings_of, shutdown_seconds, strings, text};
use crate::lua::source::repository;

/// The settings that an instance would have.
fn settings(compose: &Compose, name: &str) -> ServeSettings {
    settings_of(compose.environment(name))
}

/// The one number of such a directive in nginx' file, its unit cut off.
fn directive(name: &str, unit: &str) -> Vec<u32> {
    let file = text("deploy/nginx.conf");
    let lines = file.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' ')?.strip_suffix(';'));
    lines.map(|value| value.strip_suffix(unit).unwrap().parse().unwrap()).collect()
}

fn megabytes(size: &str) -> u64 {
    let (number, unit) = size.split_at(size.find(|letter: char| letter.is_alphabetic()).unwrap());
    let number: u64 = number.parse().unwrap();
    match unit.to_ascii_lowercase().as_str() {
        "g" | "gb" => number * 1024,
        "m" | "mb" => number,
        other => panic!("{other}"),
    }
}

#[test]
fn what_the_instances_are_told_the_program_knows() {
    let compose = Compose::read();
    let instances: Vec<_> = compose.instances().map(|(name, _)| name).collect();
    assert_eq!(instances, ["onsale-1", "onsale-2"]);
    for name in instances {
        let settings = settings(&compose, name);
        assert_eq!(settings.token_key.expose(), hex::decode(secret("ONSALE_TOKEN_KEY")).unwrap());
        assert!(settings.service.admin_token.is_some());
        // Stores are where the services of these names are, with the names and passwords that those were given.
        let postgres = compose.environment("postgres");
        let user = |name: &str| postgres[&format!("POSTGRES_{name}")].clone();
        let url = format!("postgres://{}:{}@postgres:5432/{}", user("USER"), user("PASSWORD"), user("DB"));
        assert_eq!(settings.stores.database_url, url);
        assert_eq!(settings.stores.redis_url, format!("redis://onsale:{}@redis:6379", secret("REDIS_KEY")));
        // Others must reach it.
        assert!(settings.service.listen.ip().is_unspecified() && settings.service.metrics_listen.ip().is_unspecified());
        assert_eq!(compose.environment("migrate"), compose.environment(name), "migrated is what is served");
    }
}

#[test]
fn every_command_is_one_of_the_programs() {
    let compose = Compose::read();
    let built: Vec<_> = compose.services().filter(|(_, service)| service["build"].is_string()).collect();
    assert_eq!(built.len(), 3);
    for (name, service) in built {
        assert_eq!(service["image"], format!("onsale:{}", env!("CARGO_PKG_VERSION")), "{name}");
        let verb = strings(&service["command"])[0];
        assert!(Cli::command().find_subcommand(verb).is_some(), "{name}: {verb}");
        for part in ["read_only", "cap_drop", "security_opt"] {
            assert!(!service[part].is_null(), "{name} has no {part}");
        }
    }
    for (name, service) in compose.instances() {
        assert_eq!(strings(&service["healthcheck"]["test"]), ["CMD", "/usr/local/bin/onsale", "health"], "{name}");
    }
}

#[test]
fn limits_fit_what_the_program_takes() {
    let compose = Compose::read();
    for (name, service) in compose.instances() {
        let settings = settings(&compose, name);
        let shutdown = shutdown_seconds(&settings);
        let settings = settings.service;
        let patience =
            service["stop_grace_period"].as_str().unwrap().strip_suffix('s').unwrap().parse::<u32>().unwrap();
        assert!(patience > shutdown + 1, "{name} is killed after {patience} s, and may take {shutdown} s");
        let files = service["ulimits"]["nofile"]["hard"].as_u64().unwrap();
        let needed = 2 * settings.max_streams + settings.max_in_flight + settings.postgres_connections;
        assert!(files > needed.into(), "{name}: {files} files, {needed} connections");

        let request = settings.request_timeout_ms;
        assert!(directive("proxy_read_timeout", "s").iter().all(|seconds| seconds * 1000 > request + 1000));
    }
    let connections: u32 =
        compose.instances().map(|(name, _)| settings(&compose, name).service.postgres_connections).sum();
    let postgres = strings(&compose.service("postgres")["command"]).join(" ");
    let most: u32 = postgres.split("max_connections=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(most > connections + 10, "migrate, audit, an operator, and PostgreSQL's own reserve");
    assert!(postgres.contains("synchronous_commit=on"));

    let redis = strings(&compose.service("redis")["command"]);
    let option = |name: &str| redis[redis.iter().position(|word| *word == name).unwrap() + 1];
    assert_eq!((option("--maxmemory-policy"), option("--appendonly")), ("noeviction", "yes"));
    assert!(
        megabytes(option("--auto-aof-rewrite-min-size")) >= 256,
        "it forks to write its file, so not during a sale"
    );
    let environment = compose.service("redis")["environment"]["JE_MALLOC_CONF"].as_str();
    assert_eq!((option("--disable-thp"), environment), ("no", Some("thp:always")), "its memory is in large pages");
    let limit = &compose.service("redis")["deploy"]["resources"]["limits"]["memory"];
    assert!(megabytes(limit.as_str().unwrap()) >= 2 * megabytes(option("--maxmemory")), "as much again when it forks");
}

#[test]
fn every_service_is_bounded_watched_and_logged() {
    let compose = Compose::read();
    for (name, service) in compose.services() {
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["cpus"].is_string() && limits["memory"].is_string(), "{name} takes what it likes");
        let logging = &service["logging"];
        assert!(
            logging["driver"] == "json-file" && logging["options"]["max-size"].is_string(),
            "{name} fills the disk"
        );
        assert!(logging["options"]["max-file"].is_string(), "{name} fills the disk");
        let once = service["restart"] == "no";
        assert!(once || service["restart"] == "unless-stopped", "{name}: {}", service["restart"]);
        let check = &service["healthcheck"];
        assert!(
            if once { check["disable"] == true } else { !strings(&check["test"]).is_empty() },
            "{name} is not watched"
        );
        let image = service["image"].as_str().unwrap();
        let tag = image.split_once(':').unwrap_or_else(|| panic!("{image} is not pinned")).1;
        let version = tag.trim_start_matches('v').split('-').next().unwrap();
        assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{image} is not pinned");
    }
}

#[test]
fn what_is_named_is_there() {
    let compose = Compose::read();
    for (name, service) in compose.services() {
        for (other, needed) in service["depends_on"].as_object().into_iter().flatten() {
            let other_service = compose.service(other);
            let possible = match needed["condition"].as_str() {
                Some("service_healthy") => other_service["healthcheck"]["test"].is_array(),
                Some("service_completed_successfully") => other_service["restart"] == "no",
                _ => false,
            };
            assert!(possible, "{name} waits for {other} for ever");
        }
        let networks: Vec<&str> = match &service["networks"] {
            Value::Object(map) => map.keys().map(String::as_str).collect(),
            list => strings(list),
        };
        assert_eq!(networks, ["shop"], "{name}");
        for volume in strings(&service["volumes"]) {
            let (source, _) = volume.split_once(':').unwrap();
            if source.starts_with("./") {
                assert!(repository(source).exists(), "{name}: there is no {source}");
                assert!(volume.ends_with(":ro"), "{name} may write to {source}");
            } else {
                assert!(compose.file["volumes"].as_object().unwrap().contains_key(source), "{name}: {source}");
            }
        }
        for config in service["configs"].as_array().into_iter().flatten() {
            let (source, target) = (config["source"].as_str().unwrap(), config["target"].as_str().unwrap());
            assert!(compose.file["configs"][source]["content"].is_string(), "{name}: {source}");
            assert!(strings(&service["command"]).contains(&target), "{name} does not read {target}");
        }
    }
}

#[test]
fn nginx_is_where_its_file_says_and_knows_the_instances() {
    let compose = Compose::read();
    let (nginx, file) = (compose.service("nginx"), text("deploy/nginx.conf"));
    let hosts: BTreeSet<_> = strings(&nginx["extra_hosts"]).into_iter().map(str::to_owned).collect();
    let addresses = compose.instances().map(|(name, service)| {
        let address = service["networks"]["shop"]["ipv4_address"].as_str().unwrap();
        format!("{name}:{address}")
    });
    assert_eq!(hosts, addresses.collect());
    let upstream: Vec<_> = file.lines().filter_map(|line| line.trim().strip_prefix("server ")).collect();
    let upstream: BTreeSet<_> = upstream.iter().filter_map(|line| line.split(' ').next()?.split_once(':')).collect();
    let listen: Vec<_> = compose
        .instances()
        .map(|(name, _)| (name, settings(&compose, name).service.listen.port().to_string()))
        .collect();
    assert_eq!(upstream, listen.iter().map(|(name, port)| (*name, port.as_str())).collect());

    let listens: BTreeSet<_> = file.lines().filter_map(|line| line.trim().strip_prefix("listen ")).collect();
    let listens: BTreeSet<_> = listens.iter().map(|line| line.split([' ', ';']).next().unwrap()).collect();
    let ports: BTreeSet<_> = strings(&nginx["ports"]).iter().map(|port| port.rsplit(':').next().unwrap()).collect();
    assert_eq!(ports, listens);

    let subnet = &compose.file["networks"]["shop"]["ipam"]["config"][0];
    let gateway = subnet["gateway"].as_str().unwrap();
    assert!(file.contains(&format!("        {gateway} 1;\n")), "nginx does not know the host");
    let net = gateway.rsplit_once('.').unwrap().0;
    assert_eq!(subnet["subnet"], format!("{net}.0/24"));
    assert!(hosts.iter().all(|host| host.split(':').nth(1).unwrap().starts_with(net)));
}

#[test]
fn nothing_is_open_to_other_machines() {
    for (name, service) in Compose::read().services() {
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        assert!(service["privileged"].is_null() && service["network_mode"].is_null(), "{name}");
    }
}

#[test]
fn there_is_no_secret_in_it_and_its_own_line_makes_all_of_them() {
    let compose = Compose::read();
    let mut words = compose.text.split(|letter: char| !letter.is_ascii_alphanumeric());
    assert_eq!(words.find(|word| word.len() >= 24 && word.bytes().any(|byte| byte.is_ascii_digit())), None);
    for (name, service) in compose.services() {
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap();
            let is_secret = ["KEY", "TOKEN", "PASSWORD", "AUTH"].iter().any(|word| variable.contains(word));
            assert_eq!(is_secret, value.starts_with("${") && value.ends_with(":?}"), "{name}: {variable}");
            let password = value.split_once("://onsale:").map(|(_, rest)| rest);
            assert!(password.is_none_or(|rest| rest.starts_with("${")), "{name}: {variable}");
        }
    }
    let line = compose.text.lines().find_map(|line| line.strip_prefix("#   (umask")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ran = Process::new("sh").args(["-c", &format!("(umask{line}")]).current_dir(folder.path()).status().unwrap();
    assert!(ran.success());
    let file = folder.path().join(".env");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "others can read it");
    let lines = std::fs::read_to_string(file).unwrap();
    let names: BTreeSet<_> = lines.lines().map(|line| line.split_once('=').unwrap().0.to_owned()).collect();
    assert_eq!(names, compose.required());
    let keys: BTreeSet<_> = lines.lines().map(|line| line.split_once('=').unwrap().1).collect();
    assert_eq!(keys.len(), names.len());
    assert!(keys.iter().all(|key| hex::decode(key).is_ok_and(|bytes| bytes.len() == 32)));
    for ignored in [".gitignore", ".dockerignore"] {
        let text = text(ignored);
        assert!(text.lines().any(|line| line == "/.env" || line == "*"), "{ignored}");
    }
}

/// Where there is a Compose (it needs no engine for this), it reads the file too.
#[test]
fn compose_itself_takes_it() {
    let docker = |args: &[&str]| {
        let mut docker = Process::new("docker");
        docker.args(["compose", "--project-directory", env!("CARGO_MANIFEST_DIR")]).args(args).stdin(Stdio::null());
        docker.envs(Compose::read().required().into_iter().map(|name| (name.clone(), secret(&name))));
        docker.output()
    };
    let version = docker(&["version"]);
    if !version.is_ok_and(|version| version.status.success()) {
        eprintln!("there is no `docker compose` here: compose.yaml was read by the tests' own parser only");
        return;
    }
    let config = docker(&["config", "--format", "json"]).unwrap();
    assert!(config.status.success(), "{}", String::from_utf8_lossy(&config.stderr));
    let read: Value = serde_json::from_slice(&config.stdout).unwrap();
    let compose = Compose::read();
    for (name, _) in compose.instances() {
        for (variable, value) in compose.file["services"][name]["environment"].as_object().unwrap() {
            assert_eq!(
                read["services"][name]["environment"][variable],
                filled_in(value.as_str().unwrap()),
                "{variable}"
            );
        }
    }
}
