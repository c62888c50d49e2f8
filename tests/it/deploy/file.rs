//! The files as what reads them would: `compose.yaml` with anchors followed, maps merged, variables filled in; others as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use clap::{CommandFactory, Parser};
use onsale::settings::{Cli, Command, ServeSettings};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use crate::lua::source::repository;

pub struct Compose {
    pub text: String,
    pub file: Value,
}

/// A file of the repository.
pub fn text(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

impl Compose {
    pub fn read() -> Self {
        let [file] = documents("compose.yaml").try_into().unwrap();
        Self { text: text("compose.yaml"), file }
    }

    pub fn services(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.file["services"].as_object().unwrap().iter().map(|(name, service)| (name.as_str(), service))
    }

    pub fn service(&self, name: &str) -> &Value {
        &self.file["services"][name]
    }

    /// Those that run the program.
    pub fn instances(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.services().filter(|(_, service)| strings(&service["command"]) == ["serve"])
    }

    /// A service's environment, filled in.
    pub fn environment(&self, name: &str) -> BTreeMap<String, String> {
        let variables = self.service(name)["environment"].as_object().unwrap();
        variables.iter().map(|(name, value)| (name.clone(), filled_in(value.as_str().unwrap()))).collect()
    }

    /// The variables that must be set for it.
    pub fn required(&self) -> BTreeSet<String> {
        let code = self.text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<String>();
        let names = code.split("${").skip(1).map(|rest| rest.split_once(":?}").unwrap().0.to_owned());
        names.collect()
    }
}

/// A secret for each variable, as `openssl rand -hex 32` might have made it.
pub fn secret(variable: &str) -> String {
    blake3::hash(variable.as_bytes()).to_hex().to_string()
}

/// Text with its variables filled in.
pub fn filled_in(text: &str) -> String {
    let mut parts = text.split("${");
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let (variable, rest) =
            part.split_once(":?}").unwrap_or_else(|| panic!("{text} does not insist on its variable"));
        filled += &secret(variable);
        filled += rest;
    }
    filled
}

/// The settings that an instance with these variables would have. The program must know each.
pub fn settings_of(environment: BTreeMap<String, String>) -> ServeSettings {
    let mut args = vec!["onsale".to_owned(), "serve".to_owned()];
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    for (variable, value) in environment {
        let options = serve.get_arguments().chain(command.get_arguments());
        let mut options = options.filter(|option| option.get_env().is_some_and(|env| env == variable.as_str()));
        let option = options.next().unwrap_or_else(|| panic!("the program knows no {variable}"));
        args.extend([format!("--{}", option.get_long().unwrap()), value]);
    }
    match Cli::try_parse_from(args).unwrap().command {
        Command::Serve(settings) => *settings,
        other => panic!("{other:?}"),
    }
}

/// How long an instance with these settings may take to end, in whole seconds.
pub fn shutdown_seconds(settings: &ServeSettings) -> u32 {
    settings.service.shutdown_grace_ms / 1000 + settings.service.shutdown_timeout_seconds
}

/// A file of YAML documents as JSON.
pub fn documents(path: &str) -> Vec<Value> {
    Yaml::load_from_str(&text(path)).unwrap().iter().map(value).collect()
}

/// A list of texts; empty if it is none.
pub fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}

/// YAML as JSON, with `<<` merged: what a map says itself comes before what is merged into it.
fn value(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(is)) => (*is).into(),
        Yaml::Value(Scalar::Integer(number)) => (*number).into(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, node) in entries {
                match (key.as_str().unwrap(), value(node)) {
                    ("<<", Value::Object(merged)) => {
                        for (key, value) in merged {
                            map.entry(key).or_insert(value);
                        }
                    }
                    (key, value) => _ = map.insert(key.to_owned(), value),
                }
            }
            map.into()
        }
        other => panic!("not in a Compose file: {other:?}"),
    }
}
