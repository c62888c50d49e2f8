//! `deploy/kubernetes.yaml` against Kubernetes' own schemas, and against the program.

use std::collections::BTreeMap;
use std::process::Stdio;

use clap::CommandFactory;
use onsale::settings::{Cli, ServeSettings};
use serde_json::Value;
use tokio::process::Command;

use super::file::{documents, secret, settings_of, shutdown_seconds, strings};
use crate::lua::source::repository;
use crate::support::{TestApp, block_on, python};

const FILE: &str = "deploy/kubernetes.yaml";

/// The version whose schemas it is held against: the oldest that the file names.
const VERSION: &str = "1.27";

/// The one object of a kind.
fn object(kind: &str) -> Value {
    let [object] = documents(FILE)
        .into_iter()
        .filter(|document| document["kind"] == kind)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|objects| panic!("one {kind}, not {objects:?}"));
    object
}

fn container(kind: &str) -> Value {
    let pod = object(kind)["spec"]["template"]["spec"].clone();
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{kind}");
    let [container] = &pod["containers"].as_array().unwrap()[..] else { panic!("{kind} has one container") };
    container.clone()
}

/// The settings of an instance, with the secrets that the file's head has made.
fn settings() -> ServeSettings {
    let map = object("ConfigMap")["data"].clone();
    let mut environment: BTreeMap<String, String> = serde_json::from_value(map).unwrap();
    let token = secret("ONSALE_TOKEN_KEY");
    let secrets = [("DATABASE_URL", "postgres://a/b"), ("REDIS_URL", "redis://a"), ("ONSALE_TOKEN_KEY", &token)];
    environment.extend(secrets.map(|(name, value)| (name.to_owned(), value.to_owned())));
    settings_of(environment)
}

#[test]
fn kubernetes_would_take_it() {
    block_on(async {
        let mut check = Command::new(python().await.program("kubernetes-validate"));
        check.args(["--strict", "--kubernetes-version", VERSION]).arg(repository(FILE)).stdin(Stdio::null());
        let said = check.output().await.unwrap();
        let text = [said.stdout, said.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert!(said.status.success(), "{text}");
        let passed = text.matches("passed").count();
        assert_eq!(passed, documents(FILE).len(), "{text}");
    });
}

#[test]
fn the_program_has_what_is_asked_of_it() {
    let settings = settings();
    assert!(settings.service.listen.ip().is_unspecified() && settings.service.metrics_listen.ip().is_unspecified());
    for kind in ["Job", "Deployment"] {
        let container = container(kind);
        assert!(Cli::command().find_subcommand(strings(&container["args"])[0]).is_some(), "{kind}");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(container["image"], format!("onsale:{version}"));
        for source in ["configMapRef", "secretRef"] {
            let named = container["envFrom"].as_array().unwrap().iter().any(|from| from[source]["name"] == "onsale");
            assert!(named, "{kind} has no {source}");
        }
    }
    let name = object("Job")["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(name, format!("onsale-migrate-{}", env!("CARGO_PKG_VERSION").replace('.', "-")));
    let ports = container("Deployment")["ports"].clone();
    let port = |name: &str| {
        ports.as_array().unwrap().iter().find(|port| port["name"] == name).unwrap()["containerPort"].clone()
    };
    assert_eq!(
        (port("http"), port("metrics")),
        (settings.service.listen.port().into(), settings.service.metrics_listen.port().into())
    );
    let annotations = &object("Deployment")["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"], port("metrics").to_string());
    assert_eq!(object("Service")["spec"]["ports"][0]["targetPort"], "http");
}

#[test]
fn whoever_ends_is_let_end_and_is_asked_where_it_answers() {
    let patience = object("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
    let settings = settings();
    assert!(patience > u64::from(shutdown_seconds(&settings)) + 1);
    let probe = container("Deployment")["readinessProbe"].clone();
    let seen = probe["periodSeconds"].as_u64().unwrap() * probe["failureThreshold"].as_u64().unwrap();
    assert!(u64::from(settings.service.shutdown_grace_ms) >= seen * 1000, "it serves until it is out of the Service");
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for probe in ["readinessProbe", "livenessProbe"] {
            let path = container("Deployment")[probe]["httpGet"]["path"].as_str().unwrap().to_owned();
            app.get(&path, "").await.data();
        }
    });
}

#[test]
fn what_is_selected_is_what_there_is() {
    let labels = object("Deployment")["spec"]["template"]["metadata"]["labels"].clone();
    let selectors = [
        object("Deployment")["spec"]["selector"]["matchLabels"].clone(),
        object("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].clone(),
        object("Service")["spec"]["selector"].clone(),
    ];
    for selector in selectors {
        assert_eq!(selector, labels, "the migration's pod is no instance");
    }
    assert_ne!(object("Job")["spec"]["template"]["metadata"]["labels"], labels);
    let replicas = object("Deployment")["spec"]["replicas"].as_u64().unwrap();
    assert!(replicas > object("PodDisruptionBudget")["spec"]["minAvailable"].as_u64().unwrap());
}
